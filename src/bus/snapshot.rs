use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::question::{Asker, Question};
use crate::alert::{Alert, Cause, Silence};
use crate::collect::{Facts, HeapReading, KernelReading, Prober};
use crate::report::Store;
use crate::sample::{Point, Sample, Source};
use crate::watch::Grower;

/// What the bus may be asked for, as of the last round.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Figures of the daemon.
    pub status: Status,
    /// Open alerts, the most severe first.
    pub alerts: Vec<Alert>,
    /// What nobody is to be told of, the silence that ends first in front.
    pub silences: Vec<Silence>,
    /// The processes that probes are in or were to be in, of each source the fastest growing first.
    pub measured: Vec<Measured>,
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
    /// Processes whose heap is measured.
    pub measured: usize,
    /// Open alerts.
    pub alerts: usize,
    /// Open alerts of severity critical.
    pub critical: usize,
    /// Open alerts of whose processes nothing has been seen for long.
    #[serde(default)]
    pub stale: usize,
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
    /// When it started, in clock ticks since boot.
    #[serde(default)]
    pub start_time: u64,
    /// Whether it grows like a leak, whether or not for long enough.
    #[serde(default)]
    pub suspect: bool,
    /// Its open alerts, by their ids.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// What kind of growth it is.
    #[serde(default)]
    pub cause: Cause,
    /// Time until its nearest limit is reached at the estimated rate, in seconds; only of suspects.
    #[serde(default)]
    pub exhausts_in_secs: Option<u64>,
    /// What it has allocated and not freed since its heap is measured, in bytes; nothing if it is not.
    #[serde(default)]
    pub net_heap_bytes: Option<i64>,
    /// How fast that grows, in bytes a second.
    #[serde(default)]
    pub heap_bytes_per_sec: Option<f64>,
    /// How it came to its size within the last hour, the oldest first.
    #[serde(default)]
    pub curve: Vec<Point>,
}

impl From<Grower> for Process {
    /// What else is known of it is for the loop to add.
    fn from(grower: Grower) -> Self {
        let unit = grower.facts.as_ref().and_then(unit);
        Self {
            pid: grower.sample.process.pid,
            comm: grower.sample.comm.to_string(),
            uid: grower.sample.uid,
            unit,
            bytes: grower.sample.bytes,
            growth_bytes_per_sec: grower.bytes_per_sec,
            growth_bytes_per_sec_low: grower.bytes_per_sec_low,
            start_time: grower.sample.process.start_time_ticks(),
            suspect: grower.is_suspect,
            alerts: Vec::new(),
            cause: Cause::Unknown,
            exhausts_in_secs: None,
            net_heap_bytes: None,
            heap_bytes_per_sec: None,
            curve: Vec::new(),
        }
    }
}

/// A process that is measured, or was to be. Field names are public, see [`Alert`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its effective user.
    pub uid: u32,
    /// Its unit or user unit, where it has been read.
    pub unit: Option<String>,
    /// What is measured.
    pub source: Source,
    /// Net growth in bytes since the measuring began: what was seen, and an estimate of the rest.
    pub net_bytes: i64,
    /// Bytes seen to be allocated.
    pub allocated_bytes: u64,
    /// Bytes seen to be freed.
    pub freed_bytes: u64,
    /// Calls seen.
    pub calls: u64,
    /// Calls whose bytes could not be told.
    pub lost: u64,
    /// The rate of net growth while it was seen, in bytes a second.
    pub growth_bytes_per_sec: f64,
    /// Seconds since the measuring began, 0 if it did not.
    pub span_secs: f64,
    /// Seconds of that in which it was seen.
    pub seen_secs: f64,
    /// How it is measured; empty if it is not.
    pub method: String,
    /// What the probes have cost it, in seconds of CPU time.
    pub cost_secs: f64,
    /// What could not be seen, a phrase each; why it is not measured.
    pub loss: Vec<String>,
}

impl Measured {
    /// A process that is not measured, and why.
    pub fn failed(source: Source, sample: &Sample, facts: Option<&Facts>, why: String) -> Self {
        Self {
            pid: sample.process.pid,
            comm: sample.comm.to_string(),
            uid: sample.uid,
            unit: facts.and_then(unit),
            source,
            net_bytes: 0,
            allocated_bytes: 0,
            freed_bytes: 0,
            calls: 0,
            lost: 0,
            growth_bytes_per_sec: 0.0,
            span_secs: 0.0,
            seen_secs: 0.0,
            method: String::new(),
            cost_secs: 0.0,
            loss: vec![why],
        }
    }

    /// A process whose heap is measured.
    pub fn heap(sample: &Sample, facts: Option<&Facts>, reading: &HeapReading) -> Self {
        Self {
            net_bytes: reading.net_bytes,
            allocated_bytes: reading.net.allocated_bytes,
            freed_bytes: reading.net.freed_bytes,
            calls: reading.net.calls,
            lost: reading.net.lost,
            growth_bytes_per_sec: reading.growth_bytes_per_sec,
            span_secs: reading.span_secs,
            seen_secs: reading.seen_secs,
            method: reading.method.clone(),
            cost_secs: reading.cost_secs,
            loss: reading.loss.clone(),
            ..Self::failed(Source::Heap, sample, facts, String::new())
        }
    }

    /// A process whose kernel memory is measured.
    pub fn kernel(reading: &KernelReading, facts: Option<&Facts>) -> Self {
        let net_bytes = reading.net.net_bytes();
        Self {
            net_bytes,
            allocated_bytes: reading.net.allocated_bytes,
            freed_bytes: reading.net.freed_bytes,
            calls: reading.net.calls,
            lost: reading.net.lost,
            growth_bytes_per_sec: net_bytes as f64 / reading.span_secs.max(1e-3),
            span_secs: reading.span_secs,
            seen_secs: reading.span_secs,
            method: "tracepoints of the kernel's allocators".to_owned(),
            loss: reading.loss.clone(),
            ..Self::failed(Source::Kernel, &reading.sample, facts, String::new())
        }
    }

    /// Whether its figures mean anything.
    pub fn is_measured(&self) -> bool {
        !self.method.is_empty()
    }
}

/// The unit to name, that of the user's own service manager rather than that manager's.
fn unit(facts: &Facts) -> Option<String> {
    facts.user_unit.as_ref().or(facts.unit.as_ref()).cloned()
}

/// Kernel memory is measured for so long after somebody has asked for it.
const ASKED: Duration = Duration::from_secs(30);

/// What the daemon's loop and the bus share: the snapshot that the one writes and the other reads,
/// and who measures what is asked for by hand.
#[derive(Debug, Clone)]
pub struct Shared {
    snapshot: Arc<Mutex<Snapshot>>,
    /// When somebody has last asked for kernel memory.
    kernel_asked: Arc<Mutex<Option<Instant>>>,
    pub(super) prober: Prober,
    pub(super) asker: Asker,
    /// Reports are read from disk by who answers, as they are too large to be held for everybody.
    pub(super) reports: Option<Store>,
}

impl Shared {
    /// Nothing is known yet. `ask` puts a question to the loop, without waiting for it.
    pub fn new(prober: Prober, ask: impl Fn(Question) + Send + Sync + 'static) -> Self {
        Self {
            snapshot: Arc::default(),
            kernel_asked: Arc::default(),
            prober,
            asker: Asker::new(ask),
            reports: None,
        }
    }

    /// The same with reports, where there is a place for them.
    #[must_use]
    pub fn with_reports(self, reports: Option<Store>) -> Self {
        Self { reports, ..self }
    }

    /// Replaces the snapshot.
    pub fn publish(&self, snapshot: Snapshot) {
        *self.lock() = snapshot;
    }

    /// Takes note that somebody wants to see kernel memory, which is measured as long as they do.
    pub(super) fn ask_for_kernel(&self) {
        let asked = self.kernel_asked.lock();
        *asked.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether somebody has asked for kernel memory of late.
    pub fn is_kernel_asked_for(&self) -> bool {
        let asked = self.kernel_asked.lock();
        asked
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|at| at.elapsed() < ASKED)
    }

    /// Looks at the snapshot, briefly.
    pub(super) fn lock(&self) -> MutexGuard<'_, Snapshot> {
        // A snapshot is replaced in one go, so even a panic leaves a whole one.
        let lock = self.snapshot.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}
