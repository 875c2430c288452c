//! The figures of each round, in a file for node_exporter.
//!
//! A round whose scan failed writes nothing, so that the time of the last scan in the file grows
//! old; and a file that nobody will renew is removed, as figures that are not true any more
//! mislead.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use super::{Daemon, clock};
use crate::alert::{Alert, State};
use crate::bus::{Process, Status};
use crate::config::Severity;
use crate::file::{replace, unless_gone};
use crate::metrics::{Alerts, Figures, Program, programs, render};

/// For everybody: node_exporter is no member of any group of ours.
const MODE: u32 = 0o644;

/// So many processes are looked through for programs that grow.
const MAX_GROWERS: usize = 500;

/// The file that was written last.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    written: Option<PathBuf>,
}

impl Metrics {
    /// Writes the file that is asked for, and removes one that is not any more.
    pub fn write(&mut self, file: &Path, figures: impl FnOnce() -> Figures) -> Result<()> {
        if self
            .written
            .as_deref()
            .is_some_and(|written| written != file)
        {
            self.remove()?;
        }
        if file.as_os_str().is_empty() {
            return Ok(());
        }
        replace(file, render(&figures()).as_bytes(), MODE)
            .with_context(|| format!("writing {}", file.display()))?;
        self.written = Some(file.to_owned());
        Ok(())
    }

    /// Removes the file, as nobody renews it from now on.
    pub fn remove(&mut self) -> Result<()> {
        match self.written.take() {
            Some(file) => unless_gone(fs::remove_file(&file))
                .with_context(|| format!("removing {}", file.display())),
            None => Ok(()),
        }
    }
}

impl Daemon {
    /// Writes the figures of a round whose scan went well.
    pub(super) fn write_metrics(&mut self) {
        let mut metrics = std::mem::take(&mut self.metrics);
        let written = metrics.write(&self.config.metrics.file, || self.figures());
        self.metrics = metrics;
        match written {
            Ok(()) => self.complaints.settle("metrics"),
            Err(error) => self.complaints.raise("metrics", &error),
        }
    }

    fn figures(&self) -> Figures {
        let Status {
            version,
            processes,
            suspects,
            measured,
            held_back,
            undelivered,
            dropped,
            interval_secs,
            round_secs,
            ..
        } = self.status();
        // Without those that only may grow: they are others in every round.
        let growers = self.pages().growers(&clock::now(), MAX_GROWERS);
        let growers = growers
            .into_iter()
            .filter(|one| one.bytes_per_sec_low > 0.0);
        let top = self.config.metrics.top as usize;
        let readings = self.prober.readings();
        let lost_heap_calls = readings.iter().map(|reading| reading.net.lost).sum();
        let kernel = self.collector.kernel_readings();
        let lost_kernel_calls = kernel.iter().map(|reading| reading.net.lost).sum();
        Figures {
            version,
            processes,
            suspects,
            heaps: measured,
            heaps_failed: self.chosen.len().saturating_sub(measured),
            alerts: Alerts {
                held_back,
                ..count(&self.state.book.standing())
            },
            programs: programs(growers.map(program), top),
            lost_heap_calls,
            lost_kernel_calls,
            undelivered,
            dropped: dropped as u64,
            round_secs,
            interval_secs,
            scanned_at_secs: clock::now().time.as_millisecond() as f64 / 1e3,
            own_cpu_secs: own_cpu_secs(),
            own_resident_bytes: own_resident_bytes(),
        }
    }
}

fn program(grower: crate::watch::Grower) -> Program {
    let process = Process::from(grower);
    Program {
        comm: process.comm,
        unit: process.unit.unwrap_or_default(),
        processes: 1,
        bytes: process.bytes,
        growth_bytes_per_sec: process.growth_bytes_per_sec,
    }
}

fn count(alerts: &[Alert]) -> Alerts {
    let standing = |severity, state| {
        let is_such = |alert: &&Alert| alert.severity == severity && alert.state == state;
        alerts.iter().filter(is_such).count()
    };
    let with = |is_such: fn(&Alert) -> bool| alerts.iter().filter(|alert| is_such(alert)).count();
    Alerts {
        warning_firing: standing(Severity::Warning, State::Firing),
        warning_stale: standing(Severity::Warning, State::Stale),
        critical_firing: standing(Severity::Critical, State::Firing),
        critical_stale: standing(Severity::Critical, State::Stale),
        acknowledged: with(|alert| alert.acknowledged.is_some()),
        silenced: with(|alert| alert.silenced_until.is_some()),
        inhibited: with(|alert| alert.inhibited_by.is_some()),
        held_back: 0,
    }
}

/// All threads' time, in user space and in the kernel, as getrusage(2) has it, too.
fn own_cpu_secs() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The second figure of statm is in pages. A kernel without it tells nothing.
fn own_resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * rustix::param::page_size() as u64
}
