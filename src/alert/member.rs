use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Reason;
use crate::quantity::Span;
use crate::sample::{Moment, ProcessId};
use crate::watch::{End, Leak, Pulse};

/// A process keeps its alert open if it goes on at this part of the rate that raised it.
const STILL_GROWING: f64 = 0.25;

/// One leaking process of an open alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub process: ProcessId,
    pub since: Timestamp,
    /// Its size at `since`.
    pub base_bytes: u64,
    pub bytes_per_sec_low: f64,
    /// Over what time its growth was last measured.
    pub window_secs: f64,
    /// How high its floor was at the last sign of growth.
    pub mark_bytes: u64,
    /// Time since then in which it was seen.
    #[serde(default)]
    quiet_secs: f64,
    /// Time for which nothing has been seen of it.
    #[serde(default)]
    pub unseen_secs: f64,
    /// When somebody last looked. Of this run only.
    #[serde(skip)]
    pub looked_secs: f64,
}

/// Whether a process still leaks.
pub(super) enum Vital {
    Leaking,
    Over(Reason),
}

impl Member {
    pub fn new(now: &Moment, leak: &Leak) -> Self {
        let growth = &leak.growth;
        let before = SignedDuration::from_secs_f64(growth.secs);
        Self {
            process: leak.sample.process,
            since: now.time.saturating_sub(before).unwrap_or(now.time),
            base_bytes: leak.sample.bytes.saturating_sub(growth.gained_bytes as u64),
            bytes_per_sec_low: growth.bytes_per_sec.low,
            window_secs: growth.secs,
            mark_bytes: 0,
            quiet_secs: 0.0,
            unseen_secs: 0.0,
            looked_secs: now.monotonic_secs,
        }
    }

    /// It was found leaking again.
    pub fn refresh(&mut self, now: &Moment, leak: &Leak) {
        self.bytes_per_sec_low = leak.growth.bytes_per_sec.low;
        self.window_secs = leak.growth.secs;
        self.quiet_secs = 0.0;
        self.unseen_secs = 0.0;
        self.looked_secs = now.monotonic_secs;
    }

    /// Whether it still leaks, by how its floor rises: what is remembered of it for detection is
    /// lost with a restart of the daemon, this is not. Time in which nothing is seen of it does not
    /// count.
    pub fn follow(
        &mut self,
        now: &Moment,
        keep_firing: Span,
        rule: &str,
        pulse: Result<Pulse<'_>, End>,
    ) -> Vital {
        let elapsed_secs = (now.monotonic_secs - self.looked_secs).max(0.0);
        self.looked_secs = now.monotonic_secs;
        let pulse = match pulse {
            Ok(pulse) => pulse,
            Err(End::Restarted) => return Vital::Over(Reason::Restarted),
            Err(End::Exited) => return Vital::Over(Reason::Exited),
            Err(End::OomKilled) => return Vital::Over(Reason::OomKilled),
        };
        if pulse.rule.is_some_and(|current| current != Some(rule)) {
            return Vital::Over(Reason::RuleChanged);
        }
        let Some(sizes) = pulse.sizes else {
            self.unseen_secs += elapsed_secs;
            return Vital::Leaking;
        };
        if self.unseen_secs > 0.0 {
            // What is measured anew may count from less.
            self.mark_bytes = self.mark_bytes.min(sizes.floor_bytes);
            self.base_bytes = self.base_bytes.min(sizes.bytes);
            self.unseen_secs = 0.0;
        }
        self.quiet_secs += elapsed_secs.min(sizes.secs);
        // A leak that took hours to see is not over after minutes without a sign.
        let patience_secs = keep_firing.secs().max(self.window_secs / 2.0);
        let due_bytes = STILL_GROWING * self.bytes_per_sec_low * patience_secs;
        if self.mark_bytes == 0 {
            self.mark_bytes = sizes.floor_bytes;
        } else if sizes.floor_bytes as f64 >= self.mark_bytes as f64 + due_bytes.max(1.0) {
            self.mark_bytes = sizes.floor_bytes;
            self.quiet_secs = 0.0;
        }
        match self.quiet_secs >= patience_secs {
            true => Vital::Over(Reason::StoppedGrowing),
            false => Vital::Leaking,
        }
    }
}
