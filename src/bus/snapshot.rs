use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::watch::Grower;

/// What the bus may be asked for, as of the last round.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Figures of the daemon.
    pub status: Status,
    /// Open alerts, the most severe first.
    pub alerts: Vec<Alert>,
    /// The processes that grow fastest, the fastest first.
    pub processes: Vec<Process>,
}

/// Figures of the daemon. Field names are public, see [`Alert`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Processes watched.
    pub processes: usize,
    /// Processes that grow like a leak, whether or not for long enough.
    pub suspects: usize,
    /// Open alerts.
    pub alerts: usize,
    /// Open alerts of severity critical.
    pub critical: usize,
    /// Open alerts that wait for the hour's budget of messages.
    pub held_back: usize,
    /// Changes that some sink has not yet had.
    pub undelivered: usize,
    /// Changes and leaks that were given up, as there were too many.
    pub dropped: usize,
    /// Time between two scans in seconds.
    pub interval_secs: f64,
    /// How long the last round took, scan and detection, in seconds.
    pub round_secs: f64,
}

/// One of the fastest growing processes. Field names are public, see [`Alert`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its effective user.
    pub uid: u32,
    /// Its unit or user unit, where it has been read.
    pub unit: Option<String>,
    /// What it holds, in bytes.
    pub bytes: u64,
    /// Its rate of growth, in bytes a second.
    pub growth_bytes_per_sec: f64,
    /// The lower bound of that.
    pub growth_bytes_per_sec_low: f64,
}

impl From<Grower> for Process {
    fn from(grower: Grower) -> Self {
        let unit = grower
            .facts
            .and_then(|facts| facts.user_unit.or(facts.unit));
        Self {
            pid: grower.sample.process.pid,
            comm: grower.sample.comm.to_string(),
            uid: grower.sample.uid,
            unit,
            bytes: grower.sample.bytes,
            growth_bytes_per_sec: grower.bytes_per_sec,
            growth_bytes_per_sec_low: grower.bytes_per_sec_low,
        }
    }
}

/// The snapshot that the daemon's loop writes and the bus reads.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Snapshot>>);

impl Shared {
    /// Replaces it.
    pub fn publish(&self, snapshot: Snapshot) {
        *self.lock() = snapshot;
    }

    /// Looks at it, briefly.
    pub(super) fn lock(&self) -> MutexGuard<'_, Snapshot> {
        // A snapshot is replaced in one go, so even a panic leaves a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
