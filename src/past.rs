//! What programs did before: it survives restarts of their units and of the daemon.
//!
//! A [`Run`] accompanies a process that has grown and says what is to be learnt from it; [`Past`]
//! is what has been learnt of all programs; a [`Prior`] is what that tells of a process that runs
//! now, and [`patience`] what it means for the time that growth must last. Everything here is
//! pure: time is an argument, nothing fails.

mod chain;
mod run;

pub use chain::Interrupted;
pub use run::{Lesson, Look, Run, started_at};

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Programs remembered are bounded by this; the longest unseen goes first.
const MAX_PROGRAMS: usize = 1000;
/// A program whose name takes more bytes is not remembered.
const MAX_NAME: usize = 1024;
/// Of how far a plateau was lower than those before it, this part counts: runs differ by what is
/// asked of them, and what has been reached once is no leak the next time.
const LOWERED_BY: f64 = 0.25;
/// A leak so long ago has been mended, or would have shown again.
const FORGIVEN_AFTER: SignedDuration = SignedDuration::from_hours(90 * 24);
/// A process that is no further above its past plateau merely fills up as before.
const MARGIN: f64 = 1.1;
/// How much longer growth must last while that is so,
const FILLING_UP: f64 = 4.0;
/// and how much of the time is enough where the program has leaked before.
const LEAKED_BEFORE: f64 = 0.5;

/// What is remembered of programs, by what alerts would name them, and by their executable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Past {
    programs: BTreeMap<String, Program>,
    /// Programs that were forgotten as there was no room.
    n_dropped: u64,
    /// Lessons taken since the start.
    #[serde(skip)]
    n_lessons: u64,
}

/// What is remembered of one program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Program {
    /// Runs that have grown, and ended.
    n_runs: u64,
    plateau: Option<Plateau>,
    /// Runs that were found leaking, and when that was last.
    n_leaks: u64,
    leaked_at: Option<Timestamp>,
    /// Runs up to now that were each restarted while they grew.
    #[serde(default)]
    interrupted: Option<Interrupted>,
    seen_at: Timestamp,
}

/// Where a process levels off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// What it holds then.
    pub bytes: u64,
    /// How long after its start that was.
    pub settles_secs: f64,
}

/// What the past of a program tells of a process that runs it; by default nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prior {
    /// Where earlier runs have levelled off, or this one has before, in bytes.
    pub plateau_bytes: Option<u64>,
    /// How long after their start that was.
    pub settles_secs: Option<f64>,
    /// Whether it has leaked, within what is remembered of that.
    pub leaked: bool,
    /// Runs before it that were restarted while they grew.
    pub interrupted: Option<Interrupted>,
}

/// The factor on the time that growth must last, for a process that holds so much.
pub fn patience(prior: &Prior, bytes: u64) -> f64 {
    let is_filling_up = |plateau: u64| (bytes as f64) < plateau as f64 * MARGIN;
    match prior.plateau_bytes.is_some_and(is_filling_up) {
        true => FILLING_UP,
        false if prior.leaked => LEAKED_BEFORE,
        false => 1.0,
    }
}

impl Past {
    /// What is known of a program.
    pub fn prior(&self, program: &str, now: Timestamp) -> Prior {
        let Some(past) = self.programs.get(program) else {
            return Prior::default();
        };
        let is_recent = |leaked_at| now.duration_since(leaked_at) < FORGIVEN_AFTER;
        Prior {
            plateau_bytes: past.plateau.map(|plateau| plateau.bytes),
            settles_secs: past.plateau.map(|plateau| plateau.settles_secs),
            leaked: past.leaked_at.is_some_and(is_recent),
            interrupted: past.interrupted,
        }
    }

    /// Whether a program was found leaking at that time or later.
    pub fn has_leaked_since(&self, program: &str, since: Timestamp) -> bool {
        let past = self.programs.get(program);
        past.and_then(|past| past.leaked_at)
            .is_some_and(|leaked_at| leaked_at >= since)
    }

    /// Takes in what a run teaches.
    pub fn learn(&mut self, program: &str, lesson: Lesson, now: Timestamp) {
        self.n_lessons += 1;
        let Some(past) = self.room_for(program, now) else {
            self.n_dropped += 1;
            return;
        };
        past.seen_at = now;
        match lesson {
            Lesson::Settled(plateau) => {
                past.settle(plateau);
                past.interrupted = None;
            }
            Lesson::Leaked => {
                past.n_leaks += 1;
                past.leaked_at = Some(now);
            }
            Lesson::Ended => {
                past.n_runs += 1;
                past.interrupted = None;
            }
            Lesson::Interrupted { last, started_at } => {
                past.n_runs += 1;
                let before = past.interrupted;
                past.interrupted = Some(before.map_or(last, |before| before.and(last, started_at)));
            }
        }
    }

    /// A program still runs, and teaches nothing new.
    pub fn see(&mut self, program: &str, now: Timestamp) {
        if let Some(past) = self.programs.get_mut(program) {
            past.seen_at = now;
        }
    }

    /// How many programs are remembered.
    pub fn n_programs(&self) -> usize {
        self.programs.len()
    }

    /// How many were forgotten as there was no room.
    pub fn n_dropped(&self) -> u64 {
        self.n_dropped
    }

    /// How many lessons have been taken in since the start: whether there is news to be saved.
    pub fn n_lessons(&self) -> u64 {
        self.n_lessons
    }

    fn room_for(&mut self, program: &str, now: Timestamp) -> Option<&mut Program> {
        if program.len() > MAX_NAME {
            return None;
        }
        // A file may have more than its bound.
        while self.programs.len() >= MAX_PROGRAMS && !self.programs.contains_key(program) {
            let unseen = self.programs.iter().min_by_key(|(_, past)| past.seen_at);
            let name = unseen.map(|(name, _)| name.clone())?;
            self.programs.remove(&name);
            self.n_dropped += 1;
        }
        let program = self.programs.entry(program.to_owned());
        Some(program.or_insert_with(|| Program {
            n_runs: 0,
            plateau: None,
            n_leaks: 0,
            leaked_at: None,
            interrupted: None,
            seen_at: now,
        }))
    }
}

impl Program {
    /// A higher plateau counts at once, a lower one bit by bit.
    fn settle(&mut self, new: Plateau) {
        let lowered = |old: f64, new: f64| old + LOWERED_BY * (new - old);
        self.plateau = Some(match self.plateau {
            Some(old) if new.bytes < old.bytes => Plateau {
                bytes: lowered(old.bytes as f64, new.bytes as f64) as u64,
                settles_secs: lowered(old.settles_secs, new.settles_secs),
            },
            _ => new,
        });
    }
}

#[cfg(test)]
mod tests;
