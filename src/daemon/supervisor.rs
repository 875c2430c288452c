use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::quantity::Span;

/// The service manager that started us, if one did.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// What the unit says.
    watchdog: Option<Duration>,
    /// What was asked for instead.
    patience: Option<Duration>,
    is_ready: bool,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled(),
            patience: None,
            is_ready: false,
        }
    }
}

impl Supervisor {
    /// A watchdog that is fed by completed rounds must not bite between two of them: it is as
    /// patient as the unit says, or as three rounds take.
    pub fn set_interval(&mut self, interval: Span) {
        let Some(unit) = self.watchdog else { return };
        let patience = unit.max(interval.duration() * 3);
        if patience != self.patience.unwrap_or(unit) {
            let micros = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
            notify(&[NotifyState::WatchdogUsec(micros)]);
        }
        self.patience = Some(patience);
    }

    /// A round was completed: the first one makes us ready.
    pub fn round_done(&mut self, summary: &str) {
        if !self.is_ready {
            self.ready(summary);
        }
        let summary = escaped(summary);
        let status = NotifyState::Status(&summary);
        match self.watchdog {
            Some(_) => notify(&[NotifyState::Watchdog, status]),
            None => notify(&[status]),
        }
    }

    /// Ready, or ready again.
    pub fn ready(&mut self, summary: &str) {
        self.is_ready = true;
        notify(&[NotifyState::Ready, NotifyState::Status(&escaped(summary))]);
    }

    /// The configuration is being read again.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => debug!("the monotonic clock cannot be read: {error}, ignoring"),
        }
    }

    /// We are about to end.
    pub fn stopping(&self) {
        notify(&[NotifyState::Stopping]);
    }
}

/// A status as the service manager reads it: what a backslash is before loses it there, and at the
/// end of a line it would take the next line with it.
fn escaped(summary: &str) -> String {
    summary.replace('\\', "\\\\")
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("the service manager could not be told: {error}, ignoring");
    }
}
