//! How a process came to its size: the curve of its pages, and beside it that of its net heap.
//!
//! The daemon keeps curves of what it suspects and alerts on, fine for an hour and coarse for 30
//! days; reports draw them. A [`Track`] is one of these, `Tracks` are all, and what they are on disk
//! is `Kept`. Nothing here reads a clock or can fail.

mod kept;
mod track;
mod tracks;

pub use kept::Kept;
pub use track::{Heap, MAX_MARKS, Track};
pub use tracks::{MAX_TRACKS, Observation, Tracks};

use serde::{Deserialize, Serialize};

use crate::sample::Point;

/// How one process came to its size. Field names are public, see [`crate::alert::Alert`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curve {
    /// Process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// What it held, the oldest first: pages, as the scan sees them.
    pub pages: Vec<Point>,
    /// What it had allocated and not freed since its heap was first measured, the oldest first;
    /// empty if it never was.
    pub net_heap: Vec<NetPoint>,
}

/// Net allocations up to a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NetPoint {
    /// How long before the curve was asked for, in seconds.
    pub secs_ago: f64,
    /// Allocated and not freed since the measuring began, in bytes; below 0 if more was freed.
    pub net_bytes: i64,
}
