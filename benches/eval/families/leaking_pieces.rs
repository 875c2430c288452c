//! One process that leaks whole pieces: blocks, mappings, threads, segments.

use rand_chacha::ChaCha8Rng;

use super::chance::{arrivals, between, count, exp, happens, log_between, one_of, waiting};
use super::leaking::{Leaking, MAX_RATE, MIN_RATE, nothing};
use super::pieces::Pieces;
use super::{KIB, MIB, MINUTE};
use crate::case::Case;

/// A mebibyte or some, regularly or not.
pub fn in_small_steps(rng: &mut ChaCha8Rng) -> Case {
    let piece = log_between(rng, MIB, 8.0 * MIB);
    let leaking = Leaking::with_rate(rng, (piece / (15.0 * MINUTE)).max(MIN_RATE), MAX_RATE);
    let every_secs = piece / leaking.rate;
    let is_regular = happens(rng, 0.5);
    let mut next_secs = leaking.from_secs;
    leaking.case(
        rng,
        |rng, tick| {
            let mut bytes = 0.0;
            while next_secs < tick.running_secs {
                bytes += piece
                    * if is_regular {
                        1.0
                    } else {
                        between(rng, 0.5, 1.5)
                    };
                next_secs += match is_regular {
                    true => every_secs * between(rng, 0.98, 1.02),
                    false => waiting(rng, every_secs),
                };
            }
            bytes
        },
        nothing,
    )
}

/// Mappings of whole mebibytes, touched when they are made or soon after.
pub fn of_mappings(rng: &mut ChaCha8Rng) -> Case {
    let piece = one_of(rng, &[1.0, 2.0, 4.0, 16.0, 64.0]) * MIB;
    let leaking = Leaking::with_rate(rng, (piece / (15.0 * MINUTE)).max(MIN_RATE), MAX_RATE);
    let rate = leaking.rate;
    let touch_secs = log_between(rng, 0.5, 2.0 * MINUTE);
    let mut pieces = Pieces::of(piece);
    let mut untouched = 0.0;
    leaking.case(
        rng,
        |rng, tick| {
            untouched += pieces.fill(rate * tick.elapsed_secs * between(rng, 0.2, 1.8));
            let touched = untouched * (1.0 - exp(-tick.elapsed_secs / touch_secs));
            untouched -= touched;
            touched
        },
        nothing,
    )
}

/// Threads that never end: of each stack some pages, and an arena for the first of them.
pub fn of_threads(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::with_rate(rng, MIN_RATE, 3.0 * MIB / MINUTE);
    let stack = log_between(rng, 20.0 * KIB, 90.0 * KIB);
    let arena = log_between(rng, 132.0 * KIB, 600.0 * KIB);
    let mut n_arenas = 8 * count(rng, 1, 8);
    let every_secs = stack / leaking.rate;
    leaking.case(
        rng,
        |rng, tick| {
            let n_threads = arrivals(rng, tick.elapsed_secs / every_secs) as u32;
            let n_new_arenas = n_threads.min(n_arenas);
            n_arenas -= n_new_arenas;
            let stacks: f64 = (0..n_threads).map(|_| stack * between(rng, 0.6, 1.4)).sum();
            stacks + arena * f64::from(n_new_arenas)
        },
        nothing,
    )
}

/// Segments or files of shared memory that nobody deletes, among some that are.
pub fn of_shared_memory(rng: &mut ChaCha8Rng) -> Case {
    let leaking = Leaking::draw(rng);
    let most = (leaking.rate * 10.0 * MINUTE).min(16.0 * MIB);
    let usual = log_between(rng, 64.0 * KIB, most);
    let every_secs = usual / leaking.rate;
    let lives_secs = log_between(rng, 10.0, 20.0 * MINUTE);
    let deleted =
        log_between(rng, 0.2, 5.0).min(0.1 * leaking.total / usual * every_secs / lives_secs);
    let mut transient: Vec<(f64, f64)> = Vec::new();
    leaking.case(
        rng,
        |rng, tick| {
            let n_kept = arrivals(rng, tick.elapsed_secs / every_secs) as u32;
            (0..n_kept).map(|_| usual * between(rng, 0.5, 1.5)).sum()
        },
        |rng, tick, _| {
            transient.retain(|(end_secs, _)| *end_secs > tick.running_secs);
            for _ in 0..arrivals(rng, tick.elapsed_secs / every_secs * deleted) as u32 {
                let end_secs = tick.running_secs + waiting(rng, lives_secs);
                transient.push((end_secs, usual * between(rng, 0.5, 1.5)));
            }
            transient.iter().map(|(_, bytes)| bytes).sum()
        },
    )
}
