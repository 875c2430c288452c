use std::time::Duration;

use crate::site::Sites;

/// How stacks of a process are to be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinpoint {
    /// How long it is looked, in all.
    pub time: Duration,
    /// At first one stack is copied for so many bytes allocated; later more or fewer, by how much
    /// is allocated and what grows.
    pub sampling_bytes: u64,
}

impl Default for Pinpoint {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            sampling_bytes: 64 << 10,
        }
    }
}

/// Where a process allocates what it keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinpointed {
    /// The sites, and what could not be seen.
    pub sites: Sites,
    /// Seconds from the first look to the last one.
    pub span_secs: f64,
    /// Seconds of that in which it was looked.
    pub seen_secs: f64,
    /// What the process allocates with, and how its sizes are known.
    pub method: String,
    /// What the probes have cost it meanwhile, in seconds of CPU time.
    pub cost_secs: f64,
}
