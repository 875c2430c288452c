//! What the daemon says of itself on the bus.

use super::{Daemon, clock};
use crate::alert::State;
use crate::bus::{MAX_LISTED, Measured, Snapshot, Status};
use crate::collect::KernelReading;
use crate::config::Severity;
use crate::sample::{ProcessId, Source};

impl Daemon {
    /// Renews what the bus may be asked for.
    pub(super) fn publish(&self, status: Status) {
        if !self.config.dbus.enabled {
            return;
        }
        self.shared.publish(Snapshot {
            status,
            alerts: self.state.book.standing(),
            silences: self.state.book.standing_silences(),
            measured: [self.heaps(), self.kernel_memories()].concat(),
        });
    }

    /// The processes whose heap is measured, and those of which that failed.
    fn heaps(&self) -> Vec<Measured> {
        let readings = self.prober.readings();
        let failure = self.prober.failure();
        let heap = |process: &ProcessId| {
            let (sample, facts) = self.pages().find(*process)?;
            let reading = readings.iter().find(|reading| reading.process == *process);
            let why = || {
                let of_process = self.prober.failure_of(*process).or(failure.clone());
                of_process.unwrap_or_else(|| "its probes are not in yet".to_owned())
            };
            Some(match reading {
                Some(reading) => Measured::heap(sample, facts, reading),
                None => Measured::failed(Source::Heap, sample, facts, why()),
            })
        };
        fastest(self.chosen.iter().filter_map(heap).collect())
    }

    /// The processes whose kernel memory is measured.
    fn kernel_memories(&self) -> Vec<Measured> {
        let memory = |reading: KernelReading| {
            let (_, facts) = self.pages().find(reading.sample.process)?;
            Some(Measured::kernel(&reading, facts))
        };
        let readings = self.collector.kernel_readings();
        fastest(readings.into_iter().filter_map(memory).collect())
    }

    /// Figures of the last round.
    pub(super) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            processes: self.pages().n_processes(),
            suspects: self.pages().n_suspects(&clock::now()),
            measured: self.prober.n_measured(),
            alerts: self.state.book.n_open(),
            critical: self
                .state
                .book
                .count(|alert| alert.severity == Severity::Critical),
            stale: self.state.book.count(|alert| alert.state == State::Stale),
            held_back: self
                .state
                .outbox
                .n_held(|sink| self.outlets.packing(sink).is_some()),
            undelivered: self.state.outbox.n_waiting(),
            dropped: (self.state.book.n_dropped() + self.state.outbox.n_dropped()) as usize,
            interval_secs: self.config.scan.interval.secs(),
            round_secs: self.round_secs,
        }
    }
}

/// The fastest growing first, and last those that are not measured.
fn fastest(mut measured: Vec<Measured>) -> Vec<Measured> {
    measured.sort_by(|a, b| {
        let by_growth = b.growth_bytes_per_sec.total_cmp(&a.growth_bytes_per_sec);
        b.is_measured().cmp(&a.is_measured()).then(by_growth)
    });
    measured.truncate(MAX_LISTED);
    measured
}
