//! Memory that follows the work there is.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, between, exp, happens, log_between};
use super::clock::Clock;
use super::load::{Day, ease};
use super::noise::Wandering;
use super::scene::Scene;
use super::{HOUR, MINUTE};
use crate::case::Case;

/// Load around the clock.
pub fn day_and_night(rng: &mut ChaCha8Rng) -> Case {
    let clock = Clock::draw_day(rng);
    let scene = Scene::in_recording(rng, clock);
    let day = Day::around_the_clock(rng, scene.start_secs);
    by_day(rng, &scene, &day)
}

/// Load in office hours.
pub fn office_day(rng: &mut ChaCha8Rng) -> Case {
    let clock = Clock::draw_day(rng);
    let scene = Scene::in_recording(rng, clock);
    let day = Day::office(rng);
    by_day(rng, &scene, &day)
}

fn by_day(rng: &mut ChaCha8Rng, scene: &Scene, day: &Day) -> Case {
    let amplitude = scene.base * log_between(rng, 0.05, 0.5);
    let stays_secs = log_between(rng, 2.0 * MINUTE, 30.0 * MINUTE);
    let mut weather = Wandering::new(rng, 0.05, stays_secs);
    // Memory comes with load at once, and goes when the allocator sees fit.
    let return_secs = log_between(rng, 10.0, HOUR);
    let mut held = 0.0;
    scene.healthy(rng, |rng, tick| {
        let load = day.load(tick.secs);
        let wanted = amplitude * load * (0.9 + weather.next(rng, tick));
        held = match wanted < held {
            true => wanted + (held - wanted) * exp(-tick.elapsed_secs / return_secs),
            false => wanted,
        };
        scene.base + held
    })
}

/// A job inside the service, every few hours or once a day: grows, works, and frees it all.
pub fn nightly_batch(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let end_secs = 0.97 * scene.clock.length_secs;
    let usual_secs = log_between(rng, 5.0 * MINUTE, HOUR);
    let usual = scene.base * log_between(rng, 0.2, 3.0);
    let every_secs = match happens(rng, 0.3) {
        true => scene.clock.length_secs,
        false => log_between(rng, 2.0 * HOUR, 8.0 * HOUR),
    };
    let latest_secs = (end_secs - 2.0 * HOUR).min(every_secs);
    let mut at_secs =
        scene.start_secs + between(rng, 0.05, 0.9) * (latest_secs - scene.start_secs).max(HOUR);
    let mut jobs = Vec::new();
    while at_secs < end_secs {
        let grow_secs = around(rng, usual_secs, 1.2).clamp(5.0 * MINUTE, HOUR);
        let stay_secs = log_between(rng, 5.0, 10.0 * MINUTE);
        let free_secs = log_between(rng, 1.0, 5.0 * MINUTE);
        if at_secs + grow_secs + stay_secs + free_secs < end_secs {
            jobs.push((
                at_secs,
                grow_secs,
                stay_secs,
                free_secs,
                around(rng, usual, 1.2),
            ));
        }
        at_secs += every_secs * between(rng, 0.98, 1.02);
    }
    // The heap does not shrink quite to what it was, once.
    let rest = between(rng, 0.0, 0.05) * usual;
    let first_secs = jobs.first().map_or(f64::INFINITY, |job| job.0 + job.1);
    scene.healthy(rng, |_, tick| {
        let mut held = scene.base;
        for (at_secs, grow_secs, stay_secs, free_secs, bytes) in &jobs {
            let since_secs = tick.running_secs - at_secs;
            let grown = (since_secs / grow_secs).clamp(0.0, 1.0);
            let freed = ((since_secs - grow_secs - stay_secs) / free_secs).clamp(0.0, 1.0);
            held += bytes * (grown - freed);
        }
        held + if tick.running_secs > first_secs {
            rest
        } else {
            0.0
        }
    })
}

/// Load that comes up, with memory in proportion, and stays, or goes again.
pub fn load_ramp(rng: &mut ChaCha8Rng) -> Case {
    let scene = Scene::draw(rng);
    let length_secs = scene.clock.length_secs;
    let at_secs = scene.start_secs.max(between(rng, 0.05, 0.5) * length_secs);
    let rise_secs = log_between(rng, 20.0 * MINUTE, 2.0 * HOUR);
    let rise = scene.base * log_between(rng, 0.2, 2.0);
    let falls = happens(rng, 0.5);
    let fall_at_secs = at_secs + rise_secs + between(rng, 0.0, 0.3) * length_secs;
    let fall_secs = log_between(rng, 10.0 * MINUTE, 2.0 * HOUR);
    let is_even = happens(rng, 0.5);
    let mut users = Wandering::new(rng, 0.02, 5.0 * MINUTE);
    scene.healthy(rng, |rng, tick| {
        let risen = ((tick.running_secs - at_secs) / rise_secs).clamp(0.0, 1.0);
        let fallen = ((tick.running_secs - fall_at_secs) / fall_secs).clamp(0.0, 1.0);
        let load =
            if is_even { risen } else { ease(risen) } - if falls { ease(fallen) } else { 0.0 };
        scene.base + rise * load * (0.96 + users.next(rng, tick))
    })
}
