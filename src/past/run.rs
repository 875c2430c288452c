use jiff::{SignedDuration, Timestamp};

use super::{Interrupted, Past, Plateau};
use crate::detect::{Growth, Level};
use crate::sample::Moment;

/// A run that goes on is learnt from once in this time.
const LOOK_EVERY_SECS: f64 = 600.0;
/// A level that is kept for less is a pause.
const LEAST_LEVEL_SECS: f64 = 1800.0;
/// A plateau that is no further away from what the run has taught is the same.
const SAME: f64 = 0.05;

/// A run that is shorter may be a job that has been done.
const LEAST_RUN_SECS: f64 = 2700.0;
/// Growth must have taken this part of what was seen of a run, and of its own time, no level more.
const MOST: f64 = 0.5;

/// What one process teaches of its program, from when it has grown until it ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    program: String,
    has_leaked: bool,
    looked_secs: f64,
    /// The plateau that was learnt from it.
    taught_bytes: Option<u64>,
}

/// What is learnt from a run at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lesson {
    /// It has levelled off.
    Settled(Plateau),
    /// It was found leaking; said once of each run.
    Leaked,
    /// It is over.
    Ended,
    /// It is over, and grew like a leak until then.
    Interrupted {
        /// That run alone.
        last: Interrupted,
        /// When it had started.
        started_at: Timestamp,
    },
}

/// How a process is doing when its run is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// The time since its start.
    pub age_secs: f64,
    /// The height that its memory keeps.
    pub level: Option<Level>,
    /// Whether it grows like a leak.
    pub is_suspect: bool,
    /// What it holds.
    pub bytes: u64,
    /// For how long it has been seen.
    pub seen_secs: f64,
    /// How it grows, if it does so like a leak but for the time that this must last.
    pub growth: Option<Growth>,
    /// Whether it has ended for lack of memory.
    pub lacked_memory: bool,
}

impl Run {
    /// Nothing learnt yet from a process that runs a program.
    ///
    /// One that is older than the program's last leak may be what leaked, before the daemon was
    /// started anew: it is taken for that.
    pub fn new(program: String, age_secs: f64, now: &Moment, past: &Past) -> Self {
        Self {
            has_leaked: past.has_leaked_since(&program, started_at(age_secs, now)),
            program,
            looked_secs: f64::NEG_INFINITY,
            taught_bytes: None,
        }
    }

    /// What it runs.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Whether it is time to look at it again.
    pub fn is_due(&self, now: &Moment) -> bool {
        now.monotonic_secs - self.looked_secs >= LOOK_EVERY_SECS
    }

    /// Learns from a run that goes on.
    pub fn look(&mut self, look: &Look, now: &Moment, past: &mut Past) {
        self.looked_secs = now.monotonic_secs;
        let is_same = |plateau: &Plateau| {
            self.taught_bytes
                .is_some_and(|taught| plateau.bytes.abs_diff(taught) as f64 <= taught as f64 * SAME)
        };
        match self.plateau(look).filter(|plateau| !is_same(plateau)) {
            Some(plateau) => {
                self.taught_bytes = Some(plateau.bytes);
                past.learn(&self.program, Lesson::Settled(plateau), now.time);
            }
            None => past.see(&self.program, now.time),
        }
    }

    /// It was found leaking.
    pub fn leak(&mut self, now: &Moment, past: &mut Past) {
        if !self.has_leaked {
            self.has_leaked = true;
            past.learn(&self.program, Lesson::Leaked, now.time);
        }
    }

    /// Learns from a run that has ended.
    pub fn end(mut self, look: &Look, now: &Moment, past: &mut Past) {
        self.look(look, now, past);
        let lesson = interruption(look, now).unwrap_or(Lesson::Ended);
        past.learn(&self.program, lesson, now.time);
    }

    /// Where it has levelled off, if it has: a level that it has kept for as long as it took to
    /// get there. What leaks by day and rests by night has none.
    fn plateau(&self, look: &Look) -> Option<Plateau> {
        let level = look
            .level
            .filter(|_| !self.has_leaked && !look.is_suspect)?;
        let settles_secs = (look.age_secs - level.secs).max(0.0);
        let is_kept = level.secs >= settles_secs.max(LEAST_LEVEL_SECS);
        is_kept.then_some(Plateau {
            bytes: level.bytes,
            settles_secs,
        })
    }
}

/// When a process of an age has started.
pub fn started_at(age_secs: f64, now: &Moment) -> Timestamp {
    let age = SignedDuration::from_secs_f64(age_secs.max(0.0));
    now.time.saturating_sub(age).unwrap_or(Timestamp::MIN)
}

/// What a run teaches that was cut off in its growth: one that lasted for long enough, and grew
/// for most of that until its end.
fn interruption(look: &Look, now: &Moment) -> Option<Lesson> {
    let growth = look.growth?;
    let run_secs = look.seen_secs.min(look.age_secs);
    let level_secs = look.level.map_or(0.0, |level| level.secs);
    let is_growing =
        growth.lasted_secs >= MOST * run_secs && level_secs <= MOST * growth.lasted_secs;
    (run_secs >= LEAST_RUN_SECS && is_growing).then(|| Lesson::Interrupted {
        last: Interrupted {
            lasted_secs: growth.lasted_secs,
            n_runs: 1,
            ended_at: now.time,
            bytes_per_sec: growth.bytes_per_sec.median,
            gained_bytes: growth.gained_bytes as u64,
            bytes: look.bytes,
            lacked_memory: look.lacked_memory,
        },
        started_at: started_at(look.age_secs, now),
    })
}
