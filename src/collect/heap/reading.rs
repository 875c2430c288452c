use serde::{Deserialize, Serialize};

use crate::net::Net;
use crate::sample::ProcessId;

/// What is known of the heap of one measured process.
#[derive(Debug, Clone, PartialEq)]
pub struct HeapReading {
    /// Which process.
    pub process: ProcessId,
    /// What was seen while the probes were in.
    pub net: Net,
    /// Seconds since the measuring began.
    pub span_secs: f64,
    /// Seconds of that in which the probes were in.
    pub seen_secs: f64,
    /// Net growth over the whole time in bytes: what was seen, and a careful estimate of the rest.
    pub net_bytes: i64,
    /// The rate of net growth while it was seen, in bytes a second.
    pub growth_bytes_per_sec: f64,
    /// The rate at which the program itself maps memory, past its allocator, in bytes a second.
    pub mapped_bytes_per_sec: f64,
    /// What it allocates with, and how its sizes are known.
    pub method: String,
    /// What the probes have cost it, in seconds of CPU time.
    pub cost_secs: f64,
    /// What could not be seen, a phrase each.
    pub loss: Vec<String>,
}

/// What was asked for by `memleakctl capture`. Field names are public, see [`crate::alert::Alert`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Process id.
    pub pid: u32,
    /// How long it was measured, in seconds.
    pub secs: f64,
    /// What it allocates with, and how its sizes are known.
    pub method: String,
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Bytes freed, also of what was allocated before.
    pub freed_bytes: u64,
    /// Bytes allocated less bytes freed.
    pub net_bytes: i64,
    /// Calls that allocated, resized or freed.
    pub calls: u64,
    /// Calls whose bytes could not be told.
    pub lost: u64,
    /// What the probes have cost the process, in seconds of CPU time.
    pub cost_secs: f64,
    /// Where what is left was allocated.
    pub sites: Vec<crate::site::Site>,
    /// What could not be seen, a phrase each.
    pub loss: Vec<String>,
}

impl From<HeapReading> for Capture {
    fn from(reading: HeapReading) -> Self {
        let Net {
            allocated_bytes,
            freed_bytes,
            calls,
            lost,
        } = reading.net;
        Self {
            pid: reading.process.pid,
            secs: reading.seen_secs,
            method: reading.method,
            allocated_bytes,
            freed_bytes,
            net_bytes: reading.net.net_bytes(),
            calls,
            lost,
            cost_secs: reading.cost_secs,
            sites: Vec::new(),
            loss: reading.loss,
        }
    }
}
