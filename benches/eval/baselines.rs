//! The usual rules for memory that grows, which detection is compared with.
//!
//! Each rule turns the samples of a process into a statistic over time. A threshold on it is all that
//! is left to choose, so that any two rules can be compared at equal numbers of false alarms.

mod check;
mod coroot;
mod least_squares;
mod mann_kendall;
mod windows;

pub use check::check;

use coroot::coroot;
use least_squares::{Sums, endpoint, least_squares, predict_linear};
use mann_kendall::{Z_1_PERCENT, Z_5_PERCENT, mann_kendall};
use windows::windows;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;

/// A statistic must have been below its threshold so long until an alarm is over.
const KEEP_FIRING_SECS: f64 = 15.0 * MINUTE;

/// A rule that others use.
#[derive(Debug, Clone, Copy)]
pub struct Baseline {
    /// What it is called in the table.
    pub name: &'static str,
    rule: Rule,
}

/// What is held against a threshold.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// The growth from one end of a window to the other, in bytes.
    Endpoint { window_secs: f64 },
    /// The slope of the least-squares line, in bytes a second, if it fits.
    LeastSquares {
        window_secs: f64,
        min_r_squared: f64,
    },
    /// Sen's slope, in bytes a second, if the Mann-Kendall test finds a rise.
    MannKendall { window_secs: f64, min_z: f64 },
    /// The growth that Prometheus' `predict_linear` foresees, in bytes.
    PredictLinear { window_secs: f64, ahead_secs: f64 },
    /// Coroot's rule, in percent an hour.
    Coroot,
}

/// Every rule, each with the windows and the significance that it is usually given.
pub fn all() -> Vec<Baseline> {
    let new = |name, rule| Baseline { name, rule };
    let endpoint = |name, window_secs| new(name, Rule::Endpoint { window_secs });
    let least_squares = |name, window_secs, min_r_squared| {
        let rule = Rule::LeastSquares {
            window_secs,
            min_r_squared,
        };
        new(name, rule)
    };
    let mann_kendall = |name, window_secs, min_z| {
        let rule = Rule::MannKendall { window_secs, min_z };
        new(name, rule)
    };
    let predict_linear = Rule::PredictLinear {
        window_secs: HOUR,
        ahead_secs: 4.0 * HOUR,
    };
    vec![
        endpoint("growth over 30 min", HOUR / 2.0),
        endpoint("growth over 1 h", HOUR),
        endpoint("growth over 3 h", 3.0 * HOUR),
        least_squares("least squares over 1 h, r2 >= 0.8", HOUR, 0.8),
        least_squares("least squares over 1 h, r2 >= 0.9", HOUR, 0.9),
        least_squares("least squares over 3 h, r2 >= 0.8", 3.0 * HOUR, 0.8),
        mann_kendall("Mann-Kendall over 1 h, p < 0.05", HOUR, Z_5_PERCENT),
        mann_kendall("Mann-Kendall over 1 h, p < 0.01", HOUR, Z_1_PERCENT),
        mann_kendall("Mann-Kendall over 3 h, p < 0.01", 3.0 * HOUR, Z_1_PERCENT),
        new("predict_linear(mem[1h], 4h)", predict_linear),
        new("Coroot's memory leak", Rule::Coroot),
    ]
}

impl Baseline {
    /// The decision statistic over time, from samples in the order of time: when, in seconds, and what,
    /// in the rule's unit. It is 0 where a rule's own conditions are not met, and there is none while
    /// the process is younger than the window or half of the window has no samples.
    pub fn statistic(&self, samples: &[(f64, u64)]) -> Vec<(f64, f64)> {
        self.statistic_below(samples, None)
    }

    /// The same where the process's limit is known, of which two rules make something.
    pub fn statistic_below(
        &self,
        samples: &[(f64, u64)],
        limit_bytes: Option<u64>,
    ) -> Vec<(f64, f64)> {
        let at_each = |window_secs, statistic: &dyn Fn(std::ops::RangeInclusive<usize>) -> f64| {
            windows(samples, window_secs)
                .map(|window| (samples[*window.end()].0, statistic(window)))
                .collect()
        };
        match self.rule {
            Rule::Endpoint { window_secs } => {
                at_each(window_secs, &|window| endpoint(&samples[window]))
            }
            Rule::LeastSquares {
                window_secs,
                min_r_squared,
            } => {
                let sums = Sums::new(samples);
                at_each(window_secs, &|window| {
                    least_squares(&sums.fit(window), min_r_squared)
                })
            }
            Rule::MannKendall { window_secs, min_z } => {
                at_each(window_secs, &|window| mann_kendall(&samples[window], min_z))
            }
            Rule::PredictLinear {
                window_secs,
                ahead_secs,
            } => {
                let sums = Sums::new(samples);
                at_each(window_secs, &|window| {
                    let (now_secs, bytes) = samples[*window.end()];
                    let line = sums.fit(window);
                    predict_linear(&line, now_secs + ahead_secs, bytes, limit_bytes)
                })
            }
            Rule::Coroot => coroot(samples, limit_bytes),
        }
    }
}

/// When alarms are raised, in seconds: each time the statistic reaches the threshold after it has been
/// below for [`KEEP_FIRING_SECS`], or for the first time.
pub fn alarms(statistic: &[(f64, f64)], threshold: f64) -> Vec<f64> {
    let mut raised = Vec::new();
    let mut is_firing = false;
    let mut below_since = None;
    for (secs, value) in statistic {
        if *value >= threshold {
            if !is_firing {
                raised.push(*secs);
            }
            is_firing = true;
            below_since = None;
        } else {
            let since = *below_since.get_or_insert(*secs);
            is_firing &= secs - since < KEEP_FIRING_SECS;
        }
    }
    raised
}

/// The least threshold at which the statistics of healthy processes raise at most so many alarms.
///
/// It is one of their values, or just above the highest. A lower threshold can also raise fewer
/// alarms, where several become one that does not end: that is no better rule, so the search goes by
/// halves from above and below and ends where the number passes what is allowed.
pub fn threshold_for(healthy: &[Vec<(f64, f64)>], n_false_allowed: usize) -> f64 {
    let rises = healthy.iter().flatten().map(|(_, value)| *value);
    let mut thresholds: Vec<f64> = rises.filter(|value| *value > 0.0).collect();
    thresholds.sort_unstable_by(f64::total_cmp);
    thresholds.dedup();
    let highest = thresholds.last().copied().unwrap_or(0.0);
    thresholds.push(highest.next_up());
    let too_low = thresholds.partition_point(|threshold| {
        let counts = healthy
            .iter()
            .map(|statistic| alarms(statistic, *threshold).len());
        counts.sum::<usize>() > n_false_allowed
    });
    thresholds[too_low]
}
