//! Units of many processes, none of which lives for long.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, between, count, happens, log_between, one_of, waiting};
use super::clock::Clock;
use super::noise::Noise;
use super::scene::Scene;
use super::{HOUR, MIB, MINUTE};
use crate::case::{Case, Process};

/// More processes than this tell nothing new.
const MAX_PROCESSES: usize = 3000;

/// A job that grows until it is done, again and again.
pub fn exiting_batch(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let usual_secs = log_between(rng, 3.0 * MINUTE, 40.0 * MINUTE);
    let every_secs = usual_secs + log_between(rng, MINUTE, 2.0 * HOUR);
    let usual = log_between(rng, 10.0 * MIB, 2048.0 * MIB);
    let mut pid = scene.pid;
    let mut at_secs = between(rng, 0.0, every_secs);
    let mut processes = Vec::new();
    while at_secs < scene.clock.length_secs {
        let lives_secs = around(rng, usual_secs, 1.25).clamp(3.0 * MINUTE, 40.0 * MINUTE);
        let bytes = around(rng, usual, 1.25);
        let base = bytes * between(rng, 0.05, 0.3);
        if at_secs + lives_secs < scene.clock.length_secs {
            let job = Scene {
                base,
                pid,
                ..scene.clone()
            };
            processes.push(grow_and_exit(rng, &job, at_secs, lives_secs, bytes));
        }
        pid += count(rng, 1, 400);
        at_secs += (every_secs * between(rng, 0.9, 1.1)).max(lives_secs + 1.0);
    }
    scene.healthy_case(rng, processes)
}

/// Many short processes, whose numbers soon come again under the same name or another.
pub fn fork_storm(rng: &mut ChaCha8Rng) -> Case {
    let clock = Clock::draw_coarse(rng);
    let scene = Scene::in_recording(rng, clock);
    let length_secs = scene.clock.length_secs;
    let n_slots = count(rng, 2, 12);
    let names = [
        scene.comm,
        one_of(rng, &["sh", "cc1", "php"]),
        one_of(rng, &["convert", "cron"]),
    ];
    let names = &names[..count(rng, 1, 3) as usize];
    let usual = log_between(rng, 2.0 * MIB, 200.0 * MIB);
    // So that all of them are there within the bound.
    let least_secs = length_secs * f64::from(n_slots) / (0.7 * MAX_PROCESSES as f64);
    let usual_secs = log_between(rng, 20.0, 10.0 * MINUTE).max(least_secs);
    let idle_secs = usual_secs * log_between(rng, 0.02, 2.0);
    let mut processes = Vec::new();
    for slot in 0..n_slots {
        let mut at_secs = between(rng, 0.0, usual_secs);
        while at_secs < length_secs && processes.len() < MAX_PROCESSES {
            let lives_secs = around(rng, usual_secs, 2.0).min(20.0 * MINUTE);
            let lives_secs = lives_secs.min(length_secs - at_secs);
            let bytes = around(rng, usual, 2.0).min(8.0 * usual);
            let base = bytes * between(rng, 0.1, 1.0);
            let (pid, comm) = (scene.pid + slot, one_of(rng, names));
            let job = Scene {
                base,
                pid,
                comm,
                ..scene.clone()
            };
            processes.push(grow_and_exit(rng, &job, at_secs, lives_secs, bytes));
            // Now and then the number is taken again at once.
            let pause_secs = if happens(rng, 0.3) {
                0.0
            } else {
                waiting(rng, idle_secs)
            };
            at_secs += lives_secs + pause_secs + 0.001;
        }
    }
    scene.healthy_case(rng, processes)
}

fn grow_and_exit(
    rng: &mut ChaCha8Rng,
    job: &Scene,
    start_secs: f64,
    lives_secs: f64,
    bytes: f64,
) -> Process {
    let mut noise = Noise::draw(rng, job.base, bytes);
    job.record(rng, start_secs, None, &mut noise, |_, tick| {
        let part = (tick.running_secs - start_secs) / lives_secs;
        (part <= 1.0).then_some(job.base + (bytes - job.base) * part)
    })
}
