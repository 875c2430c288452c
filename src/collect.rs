//! Where samples come from: this machine's kernel, or a recording.
//!
//! Nothing here decides anything.

mod allocator;
mod bpf;
mod cgroup;
mod container;
mod facts;
mod fault;
mod field;
mod heap;
mod held;
mod host;
mod kernel;
mod limit;
mod live;
mod name;
mod oom;
mod passwd;
mod recorded;
mod scan;
mod shortage;
mod smaps;
mod table;
#[cfg(test)]
mod tree;
mod unit;

pub use allocator::{Absent, Allocator, Cost, FileId, Function, Method, Probe};
pub(crate) use allocator::{image, mapped};
pub use cgroup::MemoryCgroup;
pub use facts::Facts;
pub use fault::{FaultTotals, Faults, MOST_PARANOID, TouchCapture};
pub use heap::{
    CALLS_ARGUMENT, Capture, HeapReading, Listen, Listener, MAX_MEASURED, OLD_KERNEL_DROP_IN,
    Pinpoint, Pinpointed, Prober, Release, answer_calls,
};
pub use held::Held;
pub use host::Host;
pub use kernel::{KernelLoss, KernelMemory};
pub use limit::{Headroom, LimitKind};
pub use live::{KernelReading, Live};
pub use oom::OomKills;
pub use recorded::{Recorded, Recording};
pub use scan::Scan;
pub use shortage::HostMemory;

use std::io;

use anyhow::Result;

use crate::sample::{ProcessId, Sample, Source};

/// A source of samples, and of what else is to be known about a process that stands out.
pub trait Collector {
    /// Reads every process of which a source is measured, once. Pages come first in a round: what
    /// else is said of a process goes with its pages.
    fn scan(&mut self, source: Source, each: &mut dyn FnMut(Sample)) -> Result<()>;

    /// What a process is. `NotFound` if it has ended.
    fn facts(&mut self, sample: &Sample) -> io::Result<Facts>;

    /// How far a process is from the limit that it would reach first.
    fn headroom(&mut self, sample: &Sample, facts: &Facts) -> Option<Headroom>;

    /// What is known of a process's heap, if that is measured: its rates are those of the last
    /// seconds, as far as they were measured.
    fn heap(&mut self, process: ProcessId, secs: f64) -> Option<HeapReading>;

    /// What measuring the kernel's memory has not seen, a phrase each.
    fn kernel_loss(&self) -> Vec<String> {
        Vec::new()
    }

    /// By how much the kernel's own memory has grown on the whole host in the last seconds, by the
    /// kernel's own account; nothing if that is not known.
    fn kernel_gained_bytes(&mut self, secs: f64) -> Option<f64>;

    /// Why a process's heap was to be measured, but is not.
    fn heap_failure(&mut self, _process: ProcessId) -> Option<String> {
        None
    }

    /// Whether the kernel has killed a process as memory ran out, as far as that is seen.
    fn oom_killed(&self, _process: ProcessId) -> bool {
        false
    }

    /// The exact size behind [`Sample::bytes`], which is cheap but approximate.
    fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64>;
}
