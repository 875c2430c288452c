//! Garbage collectors: memory is a saw, of small teeth on large ones.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, between, exp, happens, log_between, one_of};
use super::clock::Tick;
use super::scene::Scene;
use super::{HOUR, MIB, MINUTE};
use crate::case::Case;

/// Young and old garbage, as in the JVM and its like; rarely all is collected.
pub fn generational(rng: &mut ChaCha8Rng) -> Case {
    collected(rng, Collector::generational)
}

/// The heap doubles until it is collected, and what is free goes back slowly, as in Go.
pub fn doubling(rng: &mut ChaCha8Rng) -> Case {
    collected(rng, Collector::doubling)
}

/// Small teeth, and now and then a compaction, as in Node or Python.
pub fn script(rng: &mut ChaCha8Rng) -> Case {
    collected(rng, Collector::script)
}

fn collected(rng: &mut ChaCha8Rng, new: fn(&mut ChaCha8Rng, f64) -> Collector) -> Case {
    let scene = Scene::draw(rng);
    let mut collector = new(rng, scene.base);
    if scene.start_secs == 0.0 {
        collector.run_before(rng);
    }
    scene.healthy(rng, |rng, tick| collector.next(rng, tick, scene.base))
}

/// What a collected heap takes for the objects that live in it.
#[derive(Debug, Clone)]
pub struct Collector {
    young: Tooth,
    old: Tooth,
    /// How fast free memory goes back to the kernel; 0 is at once.
    return_secs: f64,
    /// Garbage scales with what lives, rather than being a fixed size.
    grows_with_live: bool,
    /// What it was made for.
    base: f64,
    held: f64,
}

/// Garbage that gathers until it is collected.
#[derive(Debug, Clone)]
struct Tooth {
    bytes: f64,
    period_secs: f64,
    /// How far this tooth is, and how long and high it is compared with the usual.
    phase: f64,
    length: f64,
    /// Its pages stay when it is collected.
    stays: bool,
    full: f64,
}

impl Collector {
    /// Any of them.
    pub fn any(rng: &mut ChaCha8Rng, base: f64) -> Self {
        one_of(rng, &[Self::generational, Self::doubling, Self::script])(rng, base)
    }

    fn generational(rng: &mut ChaCha8Rng, base: f64) -> Self {
        let young_bytes = base * log_between(rng, 0.05, 0.5);
        let young_secs = log_between(rng, 4.0, 5.0 * MINUTE);
        let old_bytes = base * log_between(rng, 0.15, 1.0);
        let old_secs = log_between(rng, 15.0 * MINUTE, 2.0 * HOUR);
        let stays = happens(rng, 0.5);
        Self::new(
            base,
            Tooth::new(young_bytes, young_secs, stays),
            Tooth::new(old_bytes, old_secs, false),
        )
    }

    fn doubling(rng: &mut ChaCha8Rng, base: f64) -> Self {
        let bytes = base * between(rng, 0.5, 1.0);
        let secs = log_between(rng, 3.0, 30.0 * MINUTE);
        Self {
            return_secs: log_between(rng, 10.0, 6.0 * MINUTE),
            grows_with_live: true,
            ..Self::new(
                base,
                Tooth::new(bytes, secs, false),
                Tooth::new(0.0, HOUR, false),
            )
        }
    }

    fn script(rng: &mut ChaCha8Rng, base: f64) -> Self {
        let small_bytes = base * log_between(rng, 0.005, 0.05);
        let small_secs = log_between(rng, 2.0, MINUTE);
        let large_bytes = base * log_between(rng, 0.05, 0.3);
        let large_secs = log_between(rng, 2.0 * MINUTE, HOUR);
        Self::new(
            base,
            Tooth::new(small_bytes, small_secs, false),
            Tooth::new(large_bytes, large_secs, false),
        )
    }

    fn new(base: f64, young: Tooth, old: Tooth) -> Self {
        Self {
            young,
            old,
            return_secs: 0.0,
            grows_with_live: false,
            base,
            held: 0.0,
        }
    }

    /// The height of its highest tooth as a part of what lives.
    pub fn height(&self) -> f64 {
        (self.young.bytes + self.old.bytes) / self.base
    }

    /// Makes it one that is at any point of its work.
    pub fn run_before(&mut self, rng: &mut ChaCha8Rng) {
        for tooth in [&mut self.young, &mut self.old] {
            tooth.phase = between(rng, 0.0, 1.0);
            tooth.full = 1.0;
        }
    }

    /// What is held at the next sample while `live` is in use.
    pub fn next(&mut self, rng: &mut ChaCha8Rng, tick: &Tick, live: f64) -> f64 {
        let garbage = self.young.next(rng, tick) + self.old.next(rng, tick);
        let scale = if self.grows_with_live {
            live / self.base
        } else {
            1.0
        };
        let heap = live + garbage * scale;
        self.held = match self.return_secs > 0.0 && heap < self.held {
            true => heap + (self.held - heap) * exp(-tick.elapsed_secs / self.return_secs),
            false => heap,
        };
        self.held
    }
}

impl Tooth {
    fn new(bytes: f64, period_secs: f64, stays: bool) -> Self {
        let bytes = bytes.max(MIB / 2.0);
        Self {
            bytes,
            period_secs,
            phase: 0.0,
            length: 1.0,
            stays,
            full: 0.0,
        }
    }

    fn next(&mut self, rng: &mut ChaCha8Rng, tick: &Tick) -> f64 {
        // Work is not even: a tooth is now steeper, now flatter.
        self.phase += tick.elapsed_secs / self.period_secs * around(rng, 1.0, 1.3);
        if self.phase > self.length {
            self.phase = (self.phase - self.length) % 1.0;
            self.length = around(rng, 1.0, 1.15).clamp(0.6, 1.5);
            self.full = 1.0;
        }
        self.bytes
            * if self.stays {
                self.full.max(self.phase)
            } else {
                self.phase
            }
    }
}
