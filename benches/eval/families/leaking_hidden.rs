//! One process whose leak is hidden by what else its memory does.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, between, exp, happens, log_between};
use super::collecting::Collector;
use super::leaking::{Leaking, MAX_RATE, MIN_RATE};
use super::noise::Wandering;
use super::scene::Scene;
use super::{HOUR, MINUTE};
use crate::case::Case;

/// The floor of a saw rises.
pub fn under_collector(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let rate = leaking.rate;
    let base = leaking.scene.base;
    // What lives is part of the base; the saw is at most half of what will be leaked.
    let saw_base = base.min(leaking.total);
    let mut collector = Collector::any(rng, saw_base);
    let shrink = (0.5 * leaking.total / (saw_base * collector.height())).min(1.0);
    if leaking.scene.start_secs == 0.0 {
        collector.run_before(rng);
    }
    leaking.case(
        rng,
        |rng, tick| rate * tick.elapsed_secs * between(rng, 0.5, 1.5),
        |rng, tick, sum| {
            let live = saw_base + sum;
            (collector.next(rng, tick, live) - live) * shrink
        },
    )
}

/// An hour of a warm-up that anybody has, and then the leak.
pub fn after_warm_up(rng: &mut ChaCha8Rng) -> Case {
    let mut scene = Scene::draw(rng);
    let latest_secs = scene.clock.length_secs / 3.0 - HOUR;
    scene.start_secs = scene.start_secs.min(0.9 * latest_secs);
    let warms_from_secs = match scene.start_secs > 0.0 {
        true => scene.start_secs,
        false => between(rng, 0.0, latest_secs),
    };
    let from_secs = warms_from_secs + HOUR;
    let rate = log_between(rng, MIN_RATE, MAX_RATE);
    let mut leaking = Leaking::new(rng, scene, from_secs, rate);
    let warm = leaking.scene.base * log_between(rng, 0.2, 2.0);
    leaking.limit = leaking.limit.map(|limit| limit + warm);
    let unit_secs = log_between(rng, 2.0 * MINUTE, 15.0 * MINUTE);
    let fills_evenly = happens(rng, 0.5);
    leaking.case(
        rng,
        |rng, tick| rate * tick.elapsed_secs * between(rng, 0.5, 1.5),
        |_, tick, _| {
            let since_secs = (tick.running_secs - warms_from_secs).max(0.0);
            match fills_evenly {
                true => warm * (since_secs / (4.0 * unit_secs)).min(1.0),
                false => warm * (1.0 - exp(-since_secs / unit_secs)),
            }
        },
    )
}

/// What is leaked is soon in swap; while the kernel reclaims, pages are counted twice or not at all.
pub fn swapped_out(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let rate = leaking.rate;
    let most = leaking.total / 8.0;
    let part = log_between(rng, 0.003, 0.03);
    let calm_secs = log_between(rng, 5.0 * MINUTE, HOUR);
    let base = leaking.scene.base;
    let mut until_secs = 0.0;
    leaking.case(
        rng,
        |rng, tick| rate * tick.elapsed_secs * between(rng, 0.5, 1.5),
        |rng, tick, sum| {
            if happens(rng, (tick.elapsed_secs / calm_secs).min(0.5)) {
                until_secs = tick.running_secs + around(rng, 3.0 * MINUTE, 2.0);
            }
            let jitter = if tick.running_secs < until_secs {
                between(rng, -1.0, 0.4)
            } else {
                0.0
            };
            jitter * (part * (base + sum)).min(most)
        },
    )
}

/// Under holes in the heap that come and go.
pub fn in_fragmentation(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let rate = leaking.rate;
    let deviation = (leaking.scene.base * log_between(rng, 0.01, 0.1)).min(leaking.total / 12.0);
    let stays_secs = log_between(rng, 5.0 * MINUTE, HOUR);
    let mut holes = Wandering::new(rng, deviation, stays_secs);
    leaking.case(
        rng,
        |rng, tick| rate * tick.elapsed_secs * between(rng, 0.3, 1.7),
        |rng, tick, _| holes.next(rng, tick),
    )
}
