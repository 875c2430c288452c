//! What memory does besides: the kernel's counters, the allocator, and requests that come and go.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, arrivals, between, exp, happens, log_between, normal, waiting};
use super::clock::Tick;
use super::{HOUR, KIB, MIB, MINUTE};

/// Growth of the heap's top: malloc's default, with its padding.
const TOP_BYTES: f64 = 132.0 * KIB;
/// A burst is never larger, in what the process usually holds.
const MAX_BURST: f64 = 0.6;

/// Memory that one process holds now and then, bounded for as long as it runs.
#[derive(Debug, Clone)]
pub struct Noise {
    /// Probability that a process does anything between two samples; an idle one is exactly flat.
    busy: f64,
    /// What the kernel's per-CPU counters have not summed up yet.
    counter_bytes: f64,
    counted_bytes: f64,
    /// In use by requests: its deviation, for how long it stays, and what it is now.
    used_deviation: f64,
    used_secs: f64,
    used_bytes: f64,
    /// What the allocator keeps for them, and what it leaves free before it trims.
    kept_bytes: f64,
    trim_bytes: f64,
    /// Each request or job that is large: how often, how large, how long.
    burst_interval_secs: f64,
    burst_bytes: f64,
    burst_secs: f64,
    max_burst_bytes: f64,
    /// End and size of those there are.
    bursts: Vec<(f64, f64)>,
}

impl Noise {
    /// Of a process that usually holds `base`, and from which a trend of `trend` shall be told.
    pub fn draw(rng: &mut ChaCha8Rng, base: f64, trend: f64) -> Self {
        let kind = between(rng, 0.0, 1.0);
        let deviation = match kind {
            // Mostly idle.
            ..0.2 => 0.0,
            // Calm, lively.
            ..0.6 => log_between(rng, 0.000_3, 0.004) * base,
            _ => log_between(rng, 0.004, 0.03) * base,
        };
        let bursts_often = kind > 0.8;
        let burst_interval_secs = match bursts_often {
            true => log_between(rng, 20.0, 10.0 * MINUTE),
            false => log_between(rng, 20.0 * MINUTE, 6.0 * HOUR),
        };
        let burst_secs = log_between(rng, 2.0, 5.0 * MINUTE).min(burst_interval_secs);
        let burst_bytes = log_between(rng, 256.0 * KIB, 0.15 * base + MIB).min(trend / 4.0);
        Self {
            busy: if kind < 0.2 {
                log_between(rng, 0.005, 0.2)
            } else {
                between(rng, 0.4, 1.0)
            },
            counter_bytes: log_between(rng, 8.0 * KIB, 400.0 * KIB).min(0.02 * base),
            counted_bytes: 0.0,
            used_deviation: deviation.min(trend / 12.0),
            used_secs: log_between(rng, 5.0, 20.0 * MINUTE),
            used_bytes: 0.0,
            kept_bytes: 0.0,
            trim_bytes: log_between(rng, 128.0 * KIB, 0.01 * base + 256.0 * KIB).min(trend / 10.0),
            burst_interval_secs,
            burst_bytes,
            burst_secs,
            max_burst_bytes: (MAX_BURST * base).min(trend / 3.0),
            bursts: Vec::new(),
        }
    }

    /// What it holds at the next sample, in bytes.
    pub fn next(&mut self, rng: &mut ChaCha8Rng, tick: &Tick) -> f64 {
        let n_bursts = arrivals(rng, (tick.elapsed_secs / self.burst_interval_secs).min(5.0));
        self.bursts
            .retain(|(end_secs, _)| *end_secs > tick.running_secs);
        for _ in 0..n_bursts as u32 {
            let end_secs = tick.running_secs + waiting(rng, self.burst_secs);
            let bytes = around(rng, self.burst_bytes, 2.5).min(self.max_burst_bytes);
            self.bursts.push((end_secs, bytes));
        }
        if n_bursts > 0.0 || happens(rng, self.busy) {
            self.work(rng, tick);
        }
        let bursts_bytes: f64 = self.bursts.iter().map(|(_, bytes)| bytes).sum();
        self.counted_bytes + self.kept_bytes + bursts_bytes.min(self.max_burst_bytes)
    }

    fn work(&mut self, rng: &mut ChaCha8Rng, tick: &Tick) {
        self.counted_bytes =
            self.counter_bytes * (between(rng, -0.5, 0.5) + between(rng, -0.5, 0.5));
        if self.used_deviation == 0.0 {
            return;
        }
        let stays = exp(-tick.elapsed_secs / self.used_secs);
        let fresh = self.used_deviation * (1.0 - stays * stays).sqrt() * normal(rng);
        let most = 2.5 * self.used_deviation;
        self.used_bytes = (self.used_bytes * stays + fresh).clamp(-most, most);
        let used_bytes = self.used_bytes + most;
        if used_bytes > self.kept_bytes {
            self.kept_bytes += ((used_bytes - self.kept_bytes) / TOP_BYTES).ceil() * TOP_BYTES;
        } else if self.kept_bytes - used_bytes > self.trim_bytes && happens(rng, 0.3) {
            // Seldom all of it: something is in use above the hole.
            self.kept_bytes -= (self.kept_bytes - used_bytes) * between(rng, 0.2, 1.0);
        }
    }
}

/// A random walk that comes back: what holes in the heap do over hours.
#[derive(Debug, Clone)]
pub struct Wandering {
    deviation: f64,
    stays_secs: f64,
    bytes: f64,
}

impl Wandering {
    /// With a deviation in bytes, and a time over which it forgets where it was.
    pub fn new(rng: &mut ChaCha8Rng, deviation: f64, stays_secs: f64) -> Self {
        let bytes = (deviation * normal(rng)).clamp(-2.0 * deviation, 2.0 * deviation);
        Self {
            deviation,
            stays_secs,
            bytes,
        }
    }

    /// Where it is at the next sample, never negative.
    pub fn next(&mut self, rng: &mut ChaCha8Rng, tick: &Tick) -> f64 {
        let stays = exp(-tick.elapsed_secs / self.stays_secs);
        let fresh = self.deviation * (1.0 - stays * stays).sqrt() * normal(rng);
        let most = 2.0 * self.deviation;
        self.bytes = (self.bytes * stays + fresh).clamp(-most, most);
        self.bytes + most
    }
}
