//! When a rule is evaluated, and over which samples.

use std::ops::RangeInclusive;

use super::MINUTE;

/// A sample stands for the time after it for as long as Prometheus looks back for one.
pub const LOOK_BACK_SECS: f64 = 5.0 * MINUTE;
/// Less of a window must not be covered by samples.
const MIN_COVERED: f64 = 0.5;

/// The samples of the window before each evaluation, the last of which is the one evaluated at. There
/// is one evaluation a minute at most, and none while a window is not full.
pub fn windows(
    samples: &[(f64, u64)],
    window_secs: f64,
) -> impl Iterator<Item = RangeInclusive<usize>> {
    let begin_secs = samples.first().map_or(0.0, |(secs, _)| *secs);
    let hold_secs = hold_secs(samples);
    let mut minute = f64::NEG_INFINITY;
    let mut covered_secs = 0.0;
    let mut first = 0;
    (0..samples.len()).filter_map(move |last| {
        let now_secs = samples[last].0;
        let covers = |index: usize| (samples[index + 1].0 - samples[index].0).min(hold_secs);
        if last > 0 {
            covered_secs += covers(last - 1);
        }
        while samples[first].0 < now_secs - window_secs {
            covered_secs -= covers(first);
            first += 1;
        }
        let this_minute = (now_secs / MINUTE).floor();
        let is_due = this_minute > minute && now_secs - begin_secs >= window_secs;
        if !is_due {
            return None;
        }
        minute = this_minute;
        (covered_secs >= MIN_COVERED * window_secs).then_some(first..=last)
    })
}

/// How long a sample stands for the time after it: longer where all samples are sparse.
pub fn hold_secs(samples: &[(f64, u64)]) -> f64 {
    let mut distances: Vec<f64> = samples
        .windows(2)
        .map(|pair| pair[1].0 - pair[0].0)
        .collect();
    let middle = distances.len() / 2;
    if distances.is_empty() {
        return LOOK_BACK_SECS;
    }
    let (_, usual_secs, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    LOOK_BACK_SECS.max(2.0 * *usual_secs)
}
