//! Memory that grows after a start or a first use and then is enough.

use rand_chacha::ChaCha8Rng;

use super::chance::{between, exp, ln, log_between};
use super::noise::Wandering;
use super::pieces::Pieces;
use super::scene::Scene;
use super::{GIB, HOUR, KIB, MIB, MINUTE};
use crate::case::Case;

/// Fills at an even rate until its bound.
pub fn bounded_cache(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let onset_secs = scene.onset_secs(rng);
    let size = log_between(rng, 50.0 * MIB, 2.0 * GIB);
    let fill_secs = log_between(rng, 5.0 * MINUTE, 3.0 * HOUR).min(0.4 * scene.clock.length_secs);
    let unevenness = log_between(rng, 0.05, 0.8);
    let mut pieces = Pieces::of(log_between(rng, 4.0 * KIB, 4.0 * MIB));
    let mut held = 0.0;
    // What it takes in and drops once it is full.
    let mut turnover = Wandering::new(rng, 0.004 * size, MINUTE);
    scene.healthy(rng, |rng, tick| {
        if tick.running_secs > onset_secs && held < size {
            let pace = between(rng, 1.0 - unevenness, 1.0 + unevenness);
            held += pieces.fill(size / fill_secs * tick.elapsed_secs * pace);
        }
        let dropped = if held < size {
            0.0
        } else {
            turnover.next(rng, tick)
        };
        scene.base + held.min(size) - dropped
    })
}

/// Ever rarer additions, as of names seen for the first time.
pub fn logarithmic(rng: &mut ChaCha8Rng) -> Case {
    let unit_secs = log_between(rng, MINUTE, 8.0 * MINUTE);
    let most = between(rng, 8.0, 18.0);
    warm_up(rng, move |secs, _| {
        ln(1.0 + (secs / unit_secs).min(most)) / ln(1.0 + most)
    })
}

/// Approaches its bound, as a cache of which ever more is there.
pub fn exponential(rng: &mut ChaCha8Rng) -> Case {
    let unit_secs = log_between(rng, 2.0 * MINUTE, 2.0 * HOUR);
    // It must be seen to end.
    warm_up(rng, move |secs, left_secs| {
        1.0 - exp(-secs / unit_secs.min(0.22 * left_secs))
    })
}

/// Holes in the heap, ever more until they are enough for all that comes.
pub fn fragmentation_plateau(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let onset_secs = scene.onset_secs(rng);
    let rise = scene.base * log_between(rng, 0.1, 0.8);
    let unit_secs = log_between(rng, 15.0 * MINUTE, 2.0 * HOUR).min(0.2 * scene.clock.length_secs);
    let stays_secs = log_between(rng, 5.0 * MINUTE, 40.0 * MINUTE);
    let deviation = rise * log_between(rng, 0.01, 0.06);
    let mut holes = Wandering::new(rng, deviation, stays_secs);
    scene.healthy(rng, |rng, tick| {
        let part = 1.0 - exp(-(tick.running_secs - onset_secs).max(0.0) / unit_secs);
        scene.base + rise * part + holes.next(rng, tick) * part
    })
}

/// Grows by a part of the base, or several times it, along a curve from 0 to 1 over the time since
/// it began, which is also told how long the recording goes on from there.
fn warm_up(rng: &mut ChaCha8Rng, curve: impl Fn(f64, f64) -> f64) -> Case {
    let scene = Scene::draw(rng);
    let onset_secs = scene.onset_secs(rng);
    let left_secs = scene.clock.length_secs - onset_secs;
    let rise = scene.base * log_between(rng, 0.2, 3.0);
    let unevenness = log_between(rng, 0.02, 0.5);
    let mut pieces = Pieces::of(log_between(rng, 4.0 * KIB, 1.0 * MIB));
    let mut due = 0.0;
    let mut held = 0.0;
    scene.healthy(rng, |rng, tick| {
        let target = rise * curve((tick.running_secs - onset_secs).max(0.0), left_secs);
        // Comes as it is used: what is left out now comes later.
        let taken = (target - due) * between(rng, 1.0 - unevenness, 1.0);
        due += taken;
        held += pieces.fill(taken);
        scene.base + held
    })
}
