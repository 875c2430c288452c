//! Memory that is level but for a few steps.

use rand_chacha::ChaCha8Rng;

use super::chance::{between, count, happens, log_between};
use super::scene::Scene;
use super::{KIB, MIB, MINUTE};
use crate::case::Case;

/// Nothing but noise.
pub fn steady(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    scene.healthy(rng, |_, _| scene.base)
}

/// Compiled code, arenas and pools: one after the other, ever rarer, each touched bit by bit.
pub fn arenas(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let mut at_secs = scene.onset_secs(rng);
    let last_secs = 0.65 * scene.clock.length_secs;
    let mut wait_secs = log_between(rng, 0.5 * MINUTE, 6.0 * MINUTE);
    let rarer = between(rng, 1.15, 1.7);
    let usual = log_between(rng, MIB, 64.0 * MIB);
    let mut arenas = Vec::new();
    for _ in 0..count(rng, 4, 24) {
        let touch_secs = log_between(rng, 5.0, 15.0 * MINUTE);
        if at_secs + touch_secs > last_secs {
            break;
        }
        arenas.push((at_secs, touch_secs, usual * between(rng, 0.3, 1.0)));
        at_secs += wait_secs * between(rng, 0.5, 1.5);
        wait_secs *= rarer;
    }
    scene.healthy(rng, |_, tick| {
        let touched = arenas.iter().map(|(at_secs, touch_secs, bytes)| {
            bytes * ((tick.running_secs - at_secs) / touch_secs).clamp(0.0, 1.0)
        });
        scene.base + touched.sum::<f64>()
    })
}

/// A file that grows under a mapping: of its pages none are counted, but of its bookkeeping some.
pub fn mapped_file(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let book_bytes = log_between(rng, 16.0 * KIB, 768.0 * KIB);
    let length_secs = scene.clock.length_secs;
    scene.healthy(rng, |_, tick| {
        let part = (tick.running_secs / length_secs * 16.0).floor() / 16.0;
        scene.base + book_bytes * part
    })
}

/// A configuration that is read again and asks for more; old and new are there for a moment.
pub fn reloads(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let first_secs = scene.start_secs + 10.0 * MINUTE;
    let mut steps: Vec<(f64, f64, f64)> = Vec::new();
    for _ in 0..count(rng, 1, 3) {
        let at_secs = between(rng, first_secs, 0.85 * scene.clock.length_secs);
        let size = scene.base * log_between(rng, 0.2, 2.0);
        // Some give back what they had asked for.
        let size = if steps.len() == 2 && happens(rng, 0.5) {
            -steps[0].1
        } else {
            size
        };
        steps.push((at_secs, size, log_between(rng, 1.0, MINUTE)));
    }
    if let [first, .., last] = &mut steps[..]
        && last.1 < 0.0
        && last.0 < first.0
    {
        std::mem::swap(&mut first.0, &mut last.0);
    }
    let twice_secs = log_between(rng, 1.0, 2.0 * MINUTE);
    let twice = scene.base * between(rng, 0.0, 0.5);
    scene.healthy(rng, |_, tick| {
        let mut held = scene.base;
        for (at_secs, size, takes_secs) in &steps {
            let since_secs = tick.running_secs - at_secs;
            held += size * (since_secs / takes_secs).clamp(0.0, 1.0);
            if (0.0..twice_secs).contains(&since_secs) {
                held += twice;
            }
        }
        held
    })
}
