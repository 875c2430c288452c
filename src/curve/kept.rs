use serde::{Deserialize, Serialize};

use super::track::{Mark, Track};
use crate::sample::{Moment, ProcessId};

/// The curve of one process as it is on disk, by the time of day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// In which boot of the machine it ran.
    pub boot_id: String,
    /// Which process.
    pub process: ProcessId,
    /// Its effective user.
    pub uid: u32,
    /// Whether an alert was about it.
    pub has_alerted: bool,
    /// Seconds since 1970, pages in KiB, and its net heap in KiB if that was measured; the oldest
    /// first.
    marks: Vec<(i64, u32, Option<i32>)>,
}

impl Kept {
    /// What a track is on disk.
    pub fn new(
        now: &Moment,
        boot_id: &str,
        process: ProcessId,
        uid: u32,
        has_alerted: bool,
        track: &Track,
    ) -> Self {
        let boot = boot(now);
        let mark = |mark: Mark| (boot + i64::from(mark.secs), mark.kib, mark.net_kib);
        Self {
            boot_id: boot_id.to_owned(),
            process,
            uid,
            has_alerted,
            marks: track.marks().map(mark).collect(),
        }
    }

    /// The last time in it, in seconds since 1970.
    pub fn last_secs(&self) -> Option<i64> {
        self.marks.iter().map(|(secs, ..)| *secs).max()
    }

    /// The track that it was, moved by a time if the clock was set meanwhile. What is not in order
    /// is left out.
    pub fn track(&self, now: &Moment, moved_secs: i64) -> Track {
        let boot = boot(now);
        let mut track = Track::default();
        for (secs, kib, net_kib) in &self.marks {
            let secs = secs.saturating_sub(boot).saturating_add(moved_secs);
            track.take(Mark {
                secs: secs.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
                kib: *kib,
                net_kib: *net_kib,
            });
        }
        track.resume();
        track
    }
}

/// When the machine was started, by the time of day as it is now known. It is the same second
/// whenever it is asked for, or blocks would be others after each restart.
fn boot(now: &Moment) -> i64 {
    (now.time.as_millisecond() as f64 / 1e3 - now.boot_secs).round() as i64
}
