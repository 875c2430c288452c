use std::collections::{BTreeMap, BTreeSet};

use super::Curve;
use super::kept::Kept;
use super::track::{Heap, Track};
use crate::sample::{Moment, ProcessId};

/// Curves are kept of so many processes, those that have ended included.
pub const MAX_TRACKS: usize = 256;
/// For so long they are kept.
const KEPT_SECS: f64 = 30.0 * 86_400.0;
/// A process that was not followed for so long is made up for by what is remembered of it.
const GAP_SECS: f64 = 60.0;

/// What is seen of a process in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Which process.
    pub process: ProcessId,
    /// Its effective user.
    pub uid: u32,
    /// What it holds, in bytes.
    pub bytes: u64,
    /// Its net heap, if that is measured.
    pub heap: Option<Heap>,
}

/// The curves of all processes that are suspects or have an alert, or did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tracks {
    of_boot: BTreeMap<ProcessId, Tracked>,
    /// Of earlier boots, with the boot.
    earlier: Vec<(String, ProcessId, Tracked)>,
    n_observed: u64,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Tracked {
    uid: u32,
    has_alerted: bool,
    track: Track,
}

impl Tracks {
    /// What the last run has kept. A clock that has gone back since, as one that has lost its
    /// battery, moves it all.
    pub fn restore(now: &Moment, boot_id: &str, kept: Vec<Kept>) -> Self {
        let last_secs = kept.iter().filter_map(Kept::last_secs).max();
        let ahead_secs = last_secs.map_or(0, |last| last.saturating_sub(now.time.as_second()));
        let mut tracks = Self::default();
        for kept in kept {
            let tracked = Tracked {
                track: kept.track(now, -ahead_secs.max(0)),
                uid: kept.uid,
                has_alerted: kept.has_alerted,
            };
            if kept.boot_id == boot_id {
                tracks.of_boot.insert(kept.process, tracked);
            } else {
                tracks.earlier.push((kept.boot_id, kept.process, tracked));
            }
        }
        tracks.forget_old(now.boot_secs);
        while tracks.n_tracks() > MAX_TRACKS {
            tracks.forget_one(&BTreeSet::new());
        }
        tracks
    }

    /// Whom to follow in this round, and how many there is no room for: first those that have an
    /// alert, then suspects, of whom those come first that are followed already.
    pub fn choose(
        &self,
        alerting: &[ProcessId],
        suspects: &[ProcessId],
    ) -> (BTreeSet<ProcessId>, usize) {
        let is_followed = |process: &&ProcessId| self.of_boot.contains_key(process);
        let (followed, new): (Vec<_>, Vec<_>) = suspects.iter().partition(is_followed);
        let mut chosen = BTreeSet::new();
        let mut n_left_out = 0;
        for process in alerting.iter().chain(followed).chain(new) {
            if chosen.len() < MAX_TRACKS {
                chosen.insert(*process);
            } else {
                n_left_out += usize::from(!chosen.contains(process));
            }
        }
        (chosen, n_left_out)
    }

    /// Takes in what one of the chosen processes holds. `remembered` is asked if it was not followed
    /// of late.
    pub fn observe(
        &mut self,
        now: &Moment,
        chosen: &BTreeSet<ProcessId>,
        seen: Observation,
        remembered: impl FnOnce() -> Curve,
    ) {
        self.n_observed += 1;
        if !self.of_boot.contains_key(&seen.process) {
            while self.n_tracks() >= MAX_TRACKS && self.forget_one(chosen) {}
        }
        let tracked = self.of_boot.entry(seen.process).or_default();
        tracked.uid = seen.uid;
        if tracked.has_gap(now) {
            tracked.track.catch_up(now.boot_secs, &remembered());
        }
        tracked.track.observe(now.boot_secs, seen.bytes, seen.heap);
    }

    /// Takes note that an alert is about these processes.
    pub fn alerting(&mut self, processes: &[ProcessId]) {
        for process in processes {
            if let Some(tracked) = self.of_boot.get_mut(process) {
                tracked.has_alerted = true;
            }
        }
    }

    /// What is kept of a process, with its user; of several in earlier boots that of the last. If it
    /// runs, `remembered` is what is known of it anyway: that goes on where it is not followed any
    /// more.
    pub fn find(
        &self,
        now: &Moment,
        pid: u32,
        start_time: u64,
        remembered: Option<&Curve>,
    ) -> Option<(u32, Curve)> {
        let is_it =
            |process: &ProcessId| process.pid == pid && process.start_time_ticks() == start_time;
        let of_boot = self.of_boot.iter().find(|(process, _)| is_it(process));
        let (process, tracked) = match (of_boot, remembered) {
            (Some(found), _) => found,
            // It is another one that was of an earlier boot.
            (None, Some(_)) => return None,
            (None, None) => self.latest_earlier(is_it)?,
        };
        let curve = match remembered {
            Some(remembered) if tracked.has_gap(now) => {
                let mut track = tracked.track.clone();
                track.catch_up(now.boot_secs, remembered);
                track.curve(now.boot_secs, *process)
            }
            _ => tracked.track.curve(now.boot_secs, *process),
        };
        Some((tracked.uid, curve))
    }

    /// What is to be on disk.
    pub fn kept(&mut self, now: &Moment, boot_id: &str) -> Vec<Kept> {
        self.forget_old(now.boot_secs);
        let kept = |boot_id: &str, process: ProcessId, tracked: &Tracked| {
            let Tracked {
                uid,
                has_alerted,
                track,
            } = tracked;
            Kept::new(now, boot_id, process, *uid, *has_alerted, track)
        };
        let of_boot = self.of_boot.iter();
        let of_boot = of_boot.map(|(process, tracked)| kept(boot_id, *process, tracked));
        let earlier = self.earlier.iter();
        let earlier = earlier.map(|(boot_id, process, tracked)| kept(boot_id, *process, tracked));
        of_boot.chain(earlier).collect()
    }

    /// Counts what has been taken in, so that it shows whether there is anything new.
    pub fn n_observed(&self) -> u64 {
        self.n_observed
    }

    fn latest_earlier(&self, is_it: impl Fn(&ProcessId) -> bool) -> Option<(&ProcessId, &Tracked)> {
        let earlier = self.earlier.iter().filter(|(_, process, _)| is_it(process));
        let last_secs = |tracked: &Tracked| tracked.track.last_secs().unwrap_or(f64::NEG_INFINITY);
        earlier
            .map(|(_, process, tracked)| (process, tracked))
            .max_by(|(_, a), (_, b)| last_secs(a).total_cmp(&last_secs(b)))
    }

    fn n_tracks(&self) -> usize {
        self.of_boot.len() + self.earlier.len()
    }

    fn forget_old(&mut self, now_secs: f64) {
        let is_new = |tracked: &Tracked| {
            let last_secs = tracked.track.last_secs();
            last_secs.is_some_and(|last_secs| now_secs - last_secs <= KEPT_SECS)
        };
        self.of_boot.retain(|_, tracked| is_new(tracked));
        self.earlier.retain(|(_, _, tracked)| is_new(tracked));
    }

    /// Forgets the one that is over the longest, first of those that never had an alert. Whether
    /// there was one that may be forgotten.
    fn forget_one(&mut self, chosen: &BTreeSet<ProcessId>) -> bool {
        let rank = |tracked: &Tracked| (tracked.has_alerted, tracked.track.last_secs());
        let of_boot = self.of_boot.iter();
        let of_boot = of_boot.filter(|(process, _)| !chosen.contains(process));
        let of_boot = of_boot.map(|(process, tracked)| (rank(tracked), Ok(*process)));
        let earlier = self.earlier.iter().enumerate();
        let earlier = earlier.map(|(index, (_, _, tracked))| (rank(tracked), Err(index)));
        let least = of_boot
            .chain(earlier)
            .min_by(|(a, _), (b, _)| a.partial_cmp(b).expect("times are finite"));
        match least {
            Some((_, Ok(process))) => self.of_boot.remove(&process).is_some(),
            Some((_, Err(index))) => {
                drop(self.earlier.swap_remove(index));
                true
            }
            None => false,
        }
    }
}

impl Tracked {
    /// Whether it was not followed of late.
    fn has_gap(&self, now: &Moment) -> bool {
        let last_secs = self.track.last_secs();
        last_secs.is_none_or(|last_secs| now.boot_secs - last_secs > GAP_SECS)
    }
}

#[cfg(test)]
mod tests;
