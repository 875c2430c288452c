//! What the daemon says of itself: on the bus, to the service manager, in the log.

use tracing::warn;

use super::{Daemon, clock};
use crate::bus::{Process, Snapshot, Status};
use crate::quantity::count;
use crate::sample::Source;

/// Processes that the bus can be asked for.
const MAX_GROWERS: usize = 100;

impl Daemon {
    /// Renews what the bus may be asked for.
    pub(super) fn publish(&self, status: Status) {
        if !self.config.dbus.enabled {
            return;
        }
        let growers = self.watch.growers(MAX_GROWERS);
        self.shared.publish(Snapshot {
            status,
            alerts: self.state.book.standing(),
            processes: growers.into_iter().map(Process::from).collect(),
        });
    }

    /// Figures of the last round.
    pub(super) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            processes: self.watch.n_processes(),
            suspects: self.watch.n_suspects(&clock::now()),
            alerts: self.state.book.n_open(),
            critical: self.state.book.n_critical(),
            held_back: self.state.book.n_held(),
            undelivered: self.state.outbox.n_waiting(),
            dropped: (self.state.book.n_dropped() + self.state.outbox.n_dropped()) as usize,
            interval_secs: self.config.scan.interval.secs(),
            round_secs: self.round_secs,
        }
    }

    /// Says which rules have no effect.
    pub(super) fn warn_of_idle_rules(&self) {
        for (name, rule) in self
            .config
            .rule
            .active()
            .filter(|(_, rule)| rule.source != Source::Pages)
        {
            warn!(
                "rule {name}: source {:?} is not collected by this version, so the rule never fires",
                rule.source
            );
        }
    }
}

/// One line for `systemctl status`.
pub(super) fn summary(status: &Status) -> String {
    format!(
        "watching {}, {}, {} firing",
        count(status.processes, "process", "processes"),
        count(status.suspects, "suspect", "suspects"),
        count(status.alerts, "alert", "alerts"),
    )
}
