//! When samples are taken: never quite on time, and not while the machine is suspended.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, between, happens, log_between, normal, one_of};
use super::{HOUR, MINUTE};

/// The times of a recording's samples.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The usual time between two.
    pub step_secs: f64,
    /// How long the machine runs while it is recorded; suspended time does not count.
    pub length_secs: f64,
    /// In the order of time.
    pub ticks: Vec<Tick>,
    /// When it is suspended, in running time, and for how long.
    gap: Option<(f64, f64)>,
}

/// The time of a sample.
#[derive(Debug, Clone, Copy)]
pub struct Tick {
    /// As recorded.
    pub secs: f64,
    /// Without suspended time.
    pub running_secs: f64,
    /// Running time since the process's sample before.
    pub elapsed_secs: f64,
}

impl Clock {
    /// Of a recording of 6 to 24 hours.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let hours = log_between(rng, 6.0, 24.0);
        let step_secs = one_of(rng, &[5.0, 10.0, 15.0, 30.0, 60.0]);
        Self::with(rng, hours, step_secs)
    }

    /// Of a recording of many processes.
    pub fn draw_coarse(rng: &mut ChaCha8Rng) -> Self {
        let hours = log_between(rng, 6.0, 24.0);
        let step_secs = one_of(rng, &[15.0, 30.0, 60.0]);
        Self::with(rng, hours, step_secs)
    }

    /// Of a recording of a whole day.
    pub fn draw_day(rng: &mut ChaCha8Rng) -> Self {
        let step_secs = one_of(rng, &[5.0, 10.0, 15.0, 30.0, 60.0]);
        Self::with(rng, 24.0, step_secs)
    }

    fn with(rng: &mut ChaCha8Rng, hours: f64, step_secs: f64) -> Self {
        let length_secs = hours * HOUR;
        let gap = happens(rng, 0.1).then(|| {
            let at_secs = between(rng, 0.1, 0.9) * length_secs;
            (
                at_secs,
                around(rng, 40.0 * MINUTE, 2.5).clamp(10.0 * MINUTE, 8.0 * HOUR),
            )
        });
        let mut clock = Self {
            step_secs,
            length_secs,
            ticks: Vec::new(),
            gap,
        };
        let late_secs = log_between(rng, 0.002, 0.3);
        let missing = log_between(rng, 0.000_1, 0.005);
        let n_ticks = (length_secs / step_secs) as u32;
        let mut skipped = false;
        for n in 0..=n_ticks {
            // Not two in a row: a process that is silent for so long has exited.
            skipped = !skipped && n > 0 && happens(rng, missing);
            if !skipped {
                let late_secs = (normal(rng).abs() * late_secs).min(1.0);
                let running_secs = f64::from(n) * step_secs + if n > 0 { late_secs } else { 0.0 };
                let secs = (clock.recorded_secs(running_secs) * 1000.0).round() / 1000.0;
                clock.ticks.push(Tick {
                    secs,
                    running_secs,
                    elapsed_secs: step_secs,
                });
            }
        }
        clock
    }

    /// What a running time is recorded as.
    pub fn recorded_secs(&self, running_secs: f64) -> f64 {
        match self.gap {
            Some((at_secs, gap_secs)) if running_secs > at_secs => running_secs + gap_secs,
            _ => running_secs,
        }
    }
}
