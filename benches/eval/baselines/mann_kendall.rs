//! The Mann-Kendall test for a trend, with Sen's slope.
//!
//! H. B. Mann, "Nonparametric Tests Against Trend", Econometrica 13 (1945); R. O. Gilbert,
//! "Statistical Methods for Environmental Pollution Monitoring", 1987, chapter 16.

/// Quantiles of the normal distribution for a two-sided test.
pub const Z_5_PERCENT: f64 = 1.959_963_984_540_054;
pub const Z_1_PERCENT: f64 = 2.575_829_303_548_901;

/// Of a window with more samples so many are taken, at equal distances: the work goes by their pairs.
const MAX_VALUES: usize = 60;

/// Sen's slope in bytes a second, if a rise is significant.
pub fn mann_kendall(window: &[(f64, u64)], min_z: f64) -> f64 {
    let taken = thinned(window);
    match z(&taken) > min_z {
        true => sen(&taken),
        false => 0.0,
    }
}

/// The test's statistic: Kendall's S by its deviation, corrected for continuity and ties.
pub fn z(values: &[(f64, u64)]) -> f64 {
    let mut score = 0i64;
    for (index, (_, earlier)) in values.iter().enumerate() {
        for (_, later) in &values[index + 1..] {
            score += i64::from(later > earlier) - i64::from(later < earlier);
        }
    }
    if score == 0 {
        return 0.0;
    }
    let mut in_order: Vec<u64> = values.iter().map(|(_, bytes)| *bytes).collect();
    in_order.sort_unstable();
    let variance_of = |n: usize| (n * (n - 1) * (2 * n + 5)) as f64 / 18.0;
    let ties = in_order
        .chunk_by(|a, b| a == b)
        .map(|same| variance_of(same.len()));
    let variance = variance_of(values.len()) - ties.sum::<f64>();
    (score - score.signum()) as f64 / variance.sqrt()
}

/// The median of the slopes of all pairs, in bytes a second. Of fewer than two values it is 0.
pub fn sen(values: &[(f64, u64)]) -> f64 {
    let mut slopes = Vec::with_capacity(values.len() * values.len().saturating_sub(1) / 2);
    for (index, (earlier_secs, earlier)) in values.iter().enumerate() {
        for (later_secs, later) in &values[index + 1..] {
            let change = later.cast_signed() - earlier.cast_signed();
            slopes.push(change as f64 / (later_secs - earlier_secs));
        }
    }
    if slopes.is_empty() {
        return 0.0;
    }
    let middle = slopes.len() / 2;
    let is_even = slopes.len().is_multiple_of(2);
    let (lower, upper, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    match lower.iter().copied().max_by(f64::total_cmp) {
        Some(below) if is_even => below.midpoint(*upper),
        _ => *upper,
    }
}

/// At most [`MAX_VALUES`] samples of a window, its first and its last among them.
pub fn thinned(window: &[(f64, u64)]) -> Vec<(f64, u64)> {
    match window.len() <= MAX_VALUES {
        true => window.to_vec(),
        false => (0..MAX_VALUES)
            .map(|index| window[index * (window.len() - 1) / (MAX_VALUES - 1)])
            .collect(),
    }
}
