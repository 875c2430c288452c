//! Rules that draw a straight line through a window.

use std::ops::RangeInclusive;

/// Sums over all samples before each: those over any window are differences of two.
///
/// They are whole numbers, of milliseconds and bytes since the first sample, because the variance of
/// what is small on large would be lost in floating point. Up to 10^5 samples in 10^12 ms and of 2^44
/// bytes nothing overflows.
#[derive(Debug)]
pub struct Sums {
    begin_secs: f64,
    begin_bytes: u64,
    /// Of nothing, of the first sample, of the first two, ...
    before: Vec<Sum>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    n: i128,
    x: i128,
    y: i128,
    xx: i128,
    xy: i128,
    yy: i128,
}

/// A line through the samples of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// How steep it is, in bytes a second.
    pub bytes_per_sec: f64,
    /// How much of the variance it explains, 0.0 to 1.0.
    pub r_squared: f64,
    mean_secs: f64,
    mean_bytes: f64,
}

/// The growth from the first sample to the last, in bytes: `mem - mem offset 1h`.
pub fn endpoint(window: &[(f64, u64)]) -> f64 {
    match (window.first(), window.last()) {
        (Some((_, first)), Some((_, last))) => *last as f64 - *first as f64,
        _ => 0.0,
    }
}

/// The slope of a line that fits so well, in bytes a second.
pub fn least_squares(line: &Line, min_r_squared: f64) -> f64 {
    match line.r_squared >= min_r_squared {
        true => line.bytes_per_sec,
        false => 0.0,
    }
}

/// How much more there will be at a time than there is now, in bytes: `predict_linear(mem[1h], 4h)`
/// less `mem`. Where a limit is known it counts only if the prediction is above that, which is the
/// rule that is usually written.
///
/// <https://prometheus.io/docs/prometheus/latest/querying/functions/#predict_linear>
pub fn predict_linear(line: &Line, then_secs: f64, bytes: u64, limit_bytes: Option<u64>) -> f64 {
    let predicted = line.bytes_at(then_secs);
    match limit_bytes.is_none_or(|limit| predicted > limit as f64) {
        true => predicted - bytes as f64,
        false => 0.0,
    }
}

impl Sums {
    /// Of samples in the order of time.
    pub fn new(samples: &[(f64, u64)]) -> Self {
        let (begin_secs, begin_bytes) = samples.first().copied().unwrap_or_default();
        let mut before = vec![Sum::default()];
        let mut sum = Sum::default();
        for (secs, bytes) in samples {
            let x = ((secs - begin_secs) * 1000.0).round() as i128;
            let y = i128::from(*bytes) - i128::from(begin_bytes);
            sum.n += 1;
            sum.x += x;
            sum.y += y;
            sum.xx += x * x;
            sum.xy += x * y;
            sum.yy += y * y;
            before.push(sum);
        }
        Self {
            begin_secs,
            begin_bytes,
            before,
        }
    }

    /// The line through a window that is not empty. One through a single time is level.
    pub fn fit(&self, window: RangeInclusive<usize>) -> Line {
        let (from, to) = (
            &self.before[*window.start()],
            &self.before[window.end() + 1],
        );
        let (n, x, y) = (to.n - from.n, to.x - from.x, to.y - from.y);
        let xx = (n * (to.xx - from.xx) - x * x) as f64;
        let xy = (n * (to.xy - from.xy) - x * y) as f64;
        let yy = (n * (to.yy - from.yy) - y * y) as f64;
        let is_line = xx > 0.0 && yy > 0.0;
        Line {
            bytes_per_sec: if is_line { xy / xx * 1000.0 } else { 0.0 },
            r_squared: if is_line { xy / xx * (xy / yy) } else { 0.0 },
            mean_secs: self.begin_secs + x as f64 / n as f64 / 1000.0,
            mean_bytes: self.begin_bytes as f64 + y as f64 / n as f64,
        }
    }
}

impl Line {
    fn bytes_at(&self, secs: f64) -> f64 {
        self.mean_bytes + self.bytes_per_sec * (secs - self.mean_secs)
    }
}
