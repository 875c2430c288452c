//! Net allocations: bytes allocated minus bytes freed, since a process began to be measured.

use serde::{Deserialize, Serialize};

/// What one process has allocated and freed, from one source.
///
/// Frees of what was allocated before the measuring began may be among the freed bytes, so the
/// net may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Net {
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Bytes freed.
    pub freed_bytes: u64,
    /// Calls that allocated, resized or freed.
    pub calls: u64,
    /// Calls whose bytes could not be told: a full table, or memory that could not be read.
    pub lost: u64,
}

impl Net {
    /// Bytes allocated and not freed, less those freed that were allocated before.
    pub fn net_bytes(&self) -> i64 {
        self.allocated_bytes.wrapping_sub(self.freed_bytes) as i64
    }
}
