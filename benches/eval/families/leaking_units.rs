//! Units that leak in more than one process.

use rand_chacha::ChaCha8Rng;

use super::chance::{between, count, happens, log_between};
use super::clock::Clock;
use super::noise::Noise;
use super::scene::Scene;
use super::{HOUR, KIB, MIB, MINUTE};
use crate::case::{Case, Leak};

/// Each worker of a flat master leaks its part.
pub fn of_workers(rng: &mut ChaCha8Rng) -> Case {
    let clock = Clock::draw_coarse(rng);
    let mut scene = Scene::in_recording(rng, clock);
    let n_workers = count(rng, 4, 16);
    scene.base = scene.base.min(2048.0 * MIB / f64::from(n_workers));
    let length_secs = scene.clock.length_secs;
    let from_secs = between(rng, scene.start_secs, length_secs / 3.0);
    let least = 64.0 * KIB * f64::from(n_workers) / MINUTE;
    let rate = log_between(rng, least, 16.0 * MIB / MINUTE) / f64::from(n_workers);
    let total = rate * (length_secs - from_secs);
    let mut master_noise = Noise::draw(rng, scene.base, total);
    let master = scene.record(rng, scene.start_secs, None, &mut master_noise, |_, tick| {
        Some(scene.base * scene.settled(scene.start_secs, tick.running_secs))
    });
    let noise = Noise::draw(rng, scene.base, total);
    let mut processes = vec![master];
    let mut leaked = 0.0;
    for n in 1..=n_workers {
        // They share what comes, if not quite evenly.
        let part = between(rng, 0.5, 1.5);
        let base = scene.base * between(rng, 0.8, 1.2);
        let worker = Scene {
            pid: scene.pid + n,
            base,
            ..scene.clone()
        };
        let start_secs = match scene.start_secs > 0.0 {
            true => scene.start_secs + 0.2 * f64::from(n),
            false => 0.0,
        };
        let mut sum = 0.0;
        processes.push(
            worker.record(rng, start_secs, None, &mut noise.clone(), |rng, tick| {
                if tick.running_secs > from_secs {
                    sum += rate * part * tick.elapsed_secs * between(rng, 0.3, 1.7);
                }
                Some(base * scene.settled(start_secs, tick.running_secs) + sum)
            }),
        );
        leaked += sum;
    }
    let leak = Leak {
        from_secs: scene.clock.recorded_secs(from_secs),
        bytes_per_sec: leaked / (length_secs - from_secs),
    };
    let limit = happens(rng, 0.5).then(|| scene.base + 2.0 * total * between(rng, 1.1, 2.0));
    scene.case(Some(leak), limit, processes)
}

/// Leaks from each start on, and is restarted by its limit or by a timer before long.
pub fn across_restarts(rng: &mut ChaCha8Rng) -> Case {
    let mut scene = Scene::draw(rng);
    let length_secs = scene.clock.length_secs;
    let life_secs = log_between(rng, HOUR, 3.0 * HOUR);
    let by_limit = happens(rng, 0.5);
    let rate = log_between(rng, 256.0 * KIB / MINUTE, 16.0 * MIB / MINUTE);
    let total = rate * life_secs;
    let limit = by_limit.then_some(scene.base + total);
    let down_secs = log_between(rng, 0.2, 60.0);
    let idle_secs = log_between(rng, 5.0, 10.0 * MINUTE);
    let first_secs = scene.start_secs;
    let noise = Noise::draw(rng, scene.base, total);
    let mut processes = Vec::new();
    let (mut leaked, mut leaking_secs) = (0.0, 0.0);
    let mut start_secs = first_secs;
    // What is there before has leaked already.
    let mut sum = if first_secs > 0.0 {
        0.0
    } else {
        total * between(rng, 0.0, 0.7)
    };
    while start_secs < length_secs {
        let before = sum;
        let lives_secs = life_secs * (1.0 - before / total) * between(rng, 0.97, 1.03);
        let idle_secs = if before > 0.0 { 0.0 } else { idle_secs };
        let mut end_secs = start_secs;
        processes.push(
            scene.record(rng, start_secs, limit, &mut noise.clone(), |rng, tick| {
                if tick.running_secs > start_secs + idle_secs {
                    sum += rate * tick.elapsed_secs * between(rng, 0.4, 1.6);
                }
                let bytes = scene.base * scene.settled(start_secs, tick.running_secs) + sum;
                let is_over = !by_limit && tick.running_secs > start_secs + lives_secs;
                end_secs = tick.running_secs;
                (!is_over).then_some(bytes)
            }),
        );
        leaked += sum - before;
        leaking_secs += end_secs - start_secs;
        sum = 0.0;
        start_secs = end_secs.max(start_secs + scene.clock.step_secs) + down_secs;
        scene.pid += count(rng, 20, 3000);
    }
    let leak = Leak {
        from_secs: scene.clock.recorded_secs(first_secs),
        bytes_per_sec: leaked / leaking_secs,
    };
    scene.case(Some(leak), limit, processes)
}
