//! Growth that goes on over restarts: runs that each ended while they grew, and the one after them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::detect::Growth;

/// A run that starts within so long of the end of another comes after it: after a pause, or
/// beside it for a while, as in a rolling restart.
const NEXT_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// So many runs in a row may be a job that grows and is done; the next is none.
const LEAST_RUNS: u32 = 2;
/// Of what a run had gained, the next begins below at least this part.
const FALLEN: f64 = 0.5;
/// More than this is never needed, and keeps sums finite.
const MOST_SECS: f64 = 7.0 * 86400.0;

/// Runs in a row that each ended while it grew like a leak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interrupted {
    /// For how long growth had lasted in them, together.
    pub lasted_secs: f64,
    /// How many there are.
    pub n_runs: u32,
    /// When the last of them ended.
    pub ended_at: Timestamp,
    /// At which rate it grew, in bytes a second.
    pub bytes_per_sec: f64,
    /// What it had gained, in bytes.
    pub gained_bytes: u64,
    /// How much it held in the end, in bytes.
    pub bytes: u64,
    /// Whether it ended for lack of memory: the kernel killed it, or its limit was reached.
    pub lacked_memory: bool,
}

impl Interrupted {
    /// These runs with another that has ended now, and had started at a time; or that other alone.
    pub(super) fn and(self, last: Self, started_at: Timestamp) -> Self {
        let base_bytes = last.bytes.saturating_sub(last.gained_bytes);
        let is_like = last.bytes_per_sec <= 2.0 * self.bytes_per_sec
            && self.bytes_per_sec <= 2.0 * last.bytes_per_sec;
        if self.is_before(started_at) && is_like && self.is_above(base_bytes) {
            Self {
                lasted_secs: (self.lasted_secs + last.lasted_secs).min(MOST_SECS),
                n_runs: self.n_runs.saturating_add(1),
                ..last
            }
        } else if started_at < self.ended_at && !self.is_before(started_at) {
            // One of several at a time: time that has passed once counts once.
            Self {
                ended_at: last.ended_at,
                lacked_memory: self.lacked_memory || last.lacked_memory,
                ..self
            }
        } else {
            last
        }
    }

    /// For how long the same growth had lasted before a process that started at a time, in seconds.
    /// `bytes` is what that holds now.
    pub fn carried_secs(&self, growth: &Growth, started_at: Timestamp, bytes: u64) -> f64 {
        let base_bytes = bytes.saturating_sub(growth.gained_bytes as u64);
        let is_known = self.n_runs >= LEAST_RUNS || self.lacked_memory;
        let goes_on = self.is_before(started_at) && growth.has_rate(self.bytes_per_sec);
        match is_known && goes_on && self.is_above(base_bytes) {
            true => self.lasted_secs,
            false => 0.0,
        }
    }

    fn is_before(&self, started_at: Timestamp) -> bool {
        started_at.duration_since(self.ended_at).abs() <= NEXT_WITHIN
    }

    /// Whether it ended well above a height.
    fn is_above(&self, bytes: u64) -> bool {
        bytes as f64 <= self.bytes as f64 - FALLEN * self.gained_bytes as f64
    }
}

#[cfg(test)]
mod tests;
