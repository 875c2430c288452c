//! Where samples come from: this machine's kernel, or a recording.
//!
//! Nothing here decides anything.

mod allocator;
mod cgroup;
mod container;
mod facts;
mod field;
mod host;
mod kernel;
mod limit;
mod live;
mod passwd;
mod recorded;
mod scan;
mod smaps;
mod table;
#[cfg(test)]
mod tree;
mod unit;

pub use allocator::{Absent, Allocator, Cost, FileId, Function, Method, Probe};
pub use cgroup::MemoryCgroup;
pub use facts::Facts;
pub use host::Host;
pub use kernel::{KernelLoss, KernelMemory, KernelSite};
pub use limit::{Headroom, LimitKind};
pub use live::Live;
pub use recorded::{Recorded, Recording};
pub use scan::Scan;

use std::io;

use anyhow::Result;

use crate::sample::Sample;

/// A source of samples, and of what else is to be known about a process that stands out.
pub trait Collector {
    /// Reads every process once.
    fn scan(&mut self, each: &mut dyn FnMut(Sample)) -> Result<()>;

    /// What a process is. `NotFound` if it has ended.
    fn facts(&mut self, sample: &Sample) -> io::Result<Facts>;

    /// How far a process is from the limit that it would reach first.
    fn headroom(&mut self, sample: &Sample, facts: &Facts) -> Option<Headroom>;

    /// The exact size behind [`Sample::bytes`], which is cheap but approximate.
    fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64>;
}
