//! A process that leaks, and those that do so bit by bit.

use rand_chacha::ChaCha8Rng;

use super::chance::{arrivals, between, happens, log_between, one_of};
use super::clock::Tick;
use super::load::Day;
use super::noise::{Noise, Wandering};
use super::pieces::Pieces;
use super::scene::Scene;
use super::{KIB, MIB, MINUTE};
use crate::case::{Case, Leak};

/// The slowest leak, in bytes a second.
pub const MIN_RATE: f64 = 128.0 * KIB / MINUTE;
/// The fastest.
pub const MAX_RATE: f64 = 16.0 * MIB / MINUTE;

/// A service that is going to leak.
#[derive(Debug, Clone)]
pub struct Leaking {
    /// Where it leaks.
    pub scene: Scene,
    /// From when on, in running time.
    pub from_secs: f64,
    /// How fast, in bytes a second.
    pub rate: f64,
    /// What it is killed at, in bytes.
    pub limit: Option<f64>,
    /// What it leaks until the end or its limit, in bytes.
    pub total: f64,
}

impl Leaking {
    /// At any rate.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        Self::with_rate(rng, MIN_RATE, MAX_RATE)
    }

    /// At a rate between two.
    pub fn with_rate(rng: &mut ChaCha8Rng, least: f64, most: f64) -> Self {
        let scene = Scene::draw(rng);
        let earliest_secs = scene.start_secs;
        let latest_secs = scene.clock.length_secs / 3.0;
        let from_secs = between(rng, earliest_secs, latest_secs);
        let rate = log_between(rng, least, most);
        Self::new(rng, scene, from_secs, rate)
    }

    /// In this scene, from this time on, at this rate.
    pub fn new(rng: &mut ChaCha8Rng, scene: Scene, from_secs: f64, rate: f64) -> Self {
        let total = rate * (scene.clock.length_secs - from_secs);
        let part = happens(rng, 0.5).then(|| log_between(rng, 0.5, 3.0));
        Self {
            // Noise alone does not reach it.
            limit: part.map(|part| scene.base + (part + 0.3) * total),
            total: part.unwrap_or(1.0).min(1.0) * total,
            scene,
            from_secs,
            rate,
        }
    }

    /// The case in which `leaked` says what is leaked between two samples, while it leaks, and
    /// `besides` what is held apart from the base and all that has been leaked, which it is told.
    pub fn case(
        self,
        rng: &mut ChaCha8Rng,
        mut leaked: impl FnMut(&mut ChaCha8Rng, &Tick) -> f64,
        mut besides: impl FnMut(&mut ChaCha8Rng, &Tick, f64) -> f64,
    ) -> Case {
        let Self {
            scene,
            from_secs,
            limit,
            ..
        } = self;
        let mut noise = Noise::draw(rng, scene.base, self.total);
        let mut sum = 0.0;
        let mut until_secs = from_secs;
        let process = scene.record(rng, scene.start_secs, limit, &mut noise, |rng, tick| {
            if tick.running_secs > from_secs {
                until_secs = tick.running_secs;
                sum += leaked(rng, tick);
            }
            let base = scene.base * scene.settled(scene.start_secs, tick.running_secs);
            let bytes = base + sum + besides(rng, tick, sum);
            Some(bytes)
        });
        let leak = Leak {
            from_secs: scene.clock.recorded_secs(from_secs),
            bytes_per_sec: sum / (until_secs - from_secs),
        };
        scene.case(Some(leak), limit, vec![process])
    }
}

/// Nothing besides.
pub fn nothing(_: &mut ChaCha8Rng, _: &Tick, _: f64) -> f64 {
    0.0
}

/// Small pieces without end.
pub fn constant(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let rate = leaking.rate;
    let mut pieces = Pieces::of(one_of(rng, &[4.0 * KIB, 132.0 * KIB]));
    leaking.case(
        rng,
        |_, tick| pieces.fill(rate * tick.elapsed_secs),
        nothing,
    )
}

/// The same for each request, which come as they come.
pub fn per_request(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let requests = log_between(rng, 0.02, 50.0);
    let each = leaking.rate / requests;
    // Traffic is busier now than then.
    let mut traffic = Wandering::new(rng, 0.2, 10.0 * MINUTE);
    leaking.case(
        rng,
        |rng, tick| {
            let expected = requests * tick.elapsed_secs * (0.6 + traffic.next(rng, tick));
            each * arrivals(rng, expected)
        },
        nothing,
    )
}

/// For each request, of which there are few at night.
pub fn by_day(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let day = match happens(rng, 0.5) {
        true => Day::around_the_clock(rng, leaking.scene.start_secs),
        false => Day::office(rng),
    };
    let lowest = between(rng, 0.15, 0.5);
    let load = move |secs| lowest + (1.0 - lowest) * day.load(secs);
    let leaks_at = leaking.scene.clock.ticks.iter();
    let leaks_at = leaks_at.filter(|tick| tick.running_secs > leaking.from_secs);
    let loads: Vec<f64> = leaks_at.map(|tick| load(tick.secs)).collect();
    let rate = leaking.rate * loads.len() as f64 / loads.iter().sum::<f64>();
    let in_use = leaking.total * between(rng, 0.0, 0.15);
    let mut pieces = Pieces::of(32.0 * KIB);
    leaking.case(
        rng,
        |rng, tick| {
            let uneven = between(rng, 0.7, 1.3);
            pieces.fill(rate * load(tick.secs) * uneven * tick.elapsed_secs)
        },
        |_, tick, _| in_use * load(tick.secs),
    )
}

/// Only while somebody uses it.
pub fn while_in_use(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let used_secs = log_between(rng, 5.0 * MINUTE, 40.0 * MINUTE);
    let idle_secs = used_secs * log_between(rng, 0.4, 2.0);
    let rate = leaking.rate * (used_secs + idle_secs) / used_secs;
    let working_set = leaking.total * between(rng, 0.0, 0.1);
    let mut is_used = false;
    let mut until_secs = leaking.from_secs;
    let used = std::cell::Cell::new(false);
    leaking.case(
        rng,
        |rng, tick| {
            if tick.running_secs > until_secs {
                is_used = !is_used;
                let usual_secs = if is_used { used_secs } else { idle_secs };
                until_secs = tick.running_secs + usual_secs * between(rng, 0.4, 1.6);
            }
            used.set(is_used);
            let uneven = between(rng, 0.6, 1.4);
            if is_used {
                rate * tick.elapsed_secs * uneven
            } else {
                0.0
            }
        },
        |rng, _, _| {
            if used.get() {
                working_set * between(rng, 0.7, 1.0)
            } else {
                0.0
            }
        },
    )
}
