//! Allocation sites: where memory came from that is still there.
//!
//! Field names are public, see [`crate::alert::Alert`]. Names of functions and files have been made
//! harmless (see [`crate::sample::printable`]).

pub mod culprit;
pub mod words;

use serde::{Deserialize, Serialize};

/// A place that allocates, told from others by the whole stack of calls that led to it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Site {
    /// Outstanding bytes: allocated while it was looked, and not freed by the end. An estimate, as
    /// stacks are sampled.
    pub bytes: u64,
    /// Outstanding blocks.
    pub count: u64,
    /// How bytes came to be counted for this place.
    #[serde(default)]
    pub attribution: Attribution,
    /// What it allocates, in bytes a second.
    #[serde(default)]
    pub allocated_bytes_per_sec: f64,
    /// What of that is freed again, in bytes a second.
    #[serde(default)]
    pub freed_bytes_per_sec: f64,
    /// How long ago half of the outstanding bytes had been allocated, in seconds; nothing where
    /// that is not known.
    #[serde(default)]
    pub median_age_secs: Option<f64>,
    /// Whether it had outstanding bytes in an earlier capture as well: a leak goes on, what warms
    /// up ends. Nothing if there was one capture only.
    #[serde(default)]
    pub grows_again: Option<bool>,
    /// Why the outermost frames are missing, if they are.
    #[serde(default)]
    pub cut: Option<String>,
    /// From the caller of the allocating function outwards.
    pub frames: Vec<Frame>,
}

/// How bytes came to be counted for a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// Each sampled allocation was followed to its free.
    #[default]
    Paired,
    /// Blocks of its sizes grow in number: which of those that allocate them keeps them is not
    /// known, and each has its share.
    BySize,
    /// Memory that the program maps itself, each mapping followed to its end.
    Mapping,
    /// Pages that were touched for the first time there, which need not be where they leak.
    Touched,
    /// Kernel memory that was allocated there, each object followed to its free.
    Kernel,
}

/// One frame of a stack.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Frame {
    /// The function, if it has a name.
    pub function: Option<String>,
    /// The executable or library.
    pub module: Option<String>,
    /// The build id of that file, in hexadecimal digits.
    #[serde(default)]
    pub build_id: Option<String>,
    /// The address as that file counts it (of its symbols, not of its bytes), or for JIT code the
    /// address itself; nothing for the kernel, whose addresses are nobody's business.
    pub offset: Option<u64>,
    /// The source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// Whether the compiler has put it into the next frame outwards.
    #[serde(default)]
    pub inlined: bool,
    /// Why it has no name.
    pub unknown: Option<String>,
}

/// What a capture of stacks has found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sites {
    /// The first is where most stays.
    pub sites: Vec<Site>,
    /// What could not be seen, a phrase each.
    pub loss: Vec<String>,
}
