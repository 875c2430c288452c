//! Random numbers by distribution, and the two functions that platforms round differently.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

const LN_2: f64 = std::f64::consts::LN_2;

/// Any number between two alike.
pub fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// Any order of magnitude between two alike.
pub fn log_between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low * exp(between(rng, 0.0, ln(high / low)))
}

/// A whole number from one to another, both included.
pub fn count(rng: &mut ChaCha8Rng, low: u32, high: u32) -> u32 {
    rng.random_range(low..=high)
}

/// One of several.
pub fn one_of<T: Copy>(rng: &mut ChaCha8Rng, all: &[T]) -> T {
    let last = u32::try_from(all.len()).expect("short lists only") - 1;
    all[count(rng, 0, last) as usize]
}

/// Whether something of this probability happens.
pub fn happens(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    rng.random::<f64>() < probability
}

/// Standard normal.
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// Lognormal: two thirds are within `spread` times of the median.
pub fn around(rng: &mut ChaCha8Rng, median: f64, spread: f64) -> f64 {
    median * exp(normal(rng) * ln(spread))
}

/// How long until the next of things that happen independently.
pub fn waiting(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    let wait: f64 = Exp1.sample(rng);
    mean * wait
}

/// How many of them happen while `mean` are expected.
pub fn arrivals(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    if mean > 30.0 {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0);
    }
    let mut n = 0.0;
    let mut waited = waiting(rng, 1.0);
    while waited < mean {
        n += 1.0;
        waited += waiting(rng, 1.0);
    }
    n
}

/// e to the power of x.
pub fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let doublings = (x / LN_2).round().min(1023.0);
    let rest = x - doublings * LN_2;
    let series = (1..=18)
        .rev()
        .fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    series * f64::from_bits(((1023.0 + doublings) as u64) << 52)
}

/// The natural logarithm of a positive, normal number.
pub fn ln(x: f64) -> f64 {
    let doublings = (x.to_bits() >> 52) as f64 - 1023.0;
    let fraction = f64::from_bits(x.to_bits() & ((1 << 52) - 1) | (1023 << 52));
    let ratio = (fraction - 1.0) / (fraction + 1.0);
    let series = (0..=20).rev().fold(0.0, |sum, n| {
        1.0 / f64::from(2 * n + 1) + sum * ratio * ratio
    });
    doublings * LN_2 + 2.0 * ratio * series
}
