//! Statistics of a short row of values at equal distances.

use super::history::N_FLOORS;

/// Pairs that a row of [`N_FLOORS`] values has.
const MAX_PAIRS: usize = N_FLOORS * (N_FLOORS - 1) / 2;

/// Quantile of the normal distribution for a one-sided bound at 95 %.
const Z_95: f64 = 1.645;

/// Rank concordance with time, -1.0 to 1.0: Kendall's tau-a, where a tie counts as neither. Two
/// values are a tie if they are apart by `tie` or less.
///
/// M. G. Kendall, "A New Measure of Rank Correlation", Biometrika 30 (1938).
pub fn concordance(values: &[f64], tie: f64) -> f64 {
    let n_pairs = values.len() * values.len().saturating_sub(1) / 2;
    if n_pairs == 0 {
        return 0.0;
    }
    let mut score = 0i32;
    for (index, earlier) in values.iter().enumerate() {
        for later in &values[index + 1..] {
            score += i32::from(later - earlier > tie) - i32::from(earlier - later > tie);
        }
    }
    f64::from(score) / n_pairs as f64
}

/// The slope a step, and its lower bound at 95 % (one-sided).
///
/// The slope is the median of the slopes of all pairs (P. K. Sen, "Estimates of the Regression
/// Coefficient Based on Kendall's Tau", JASA 63, 1968); the bound is the slope whose rank is the
/// normal approximation's (R. O. Gilbert, "Statistical Methods for Environmental Pollution
/// Monitoring", 1987, section 16.5). At most [`N_FLOORS`] values; of fewer than two it is 0.
pub fn slope(values: &[f64]) -> Slope {
    let values = &values[values.len().saturating_sub(N_FLOORS)..];
    let mut slopes = [0.0; MAX_PAIRS];
    let mut n_slopes = 0;
    for (index, earlier) in values.iter().enumerate() {
        for (distance, later) in values[index + 1..].iter().enumerate() {
            slopes[n_slopes] = (later - earlier) / (distance + 1) as f64;
            n_slopes += 1;
        }
    }
    if n_slopes == 0 {
        return Slope {
            median: 0.0,
            low: 0.0,
        };
    }
    let slopes = &mut slopes[..n_slopes];
    slopes.sort_unstable_by(f64::total_cmp);
    let n = values.len() as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let rank = (n_slopes as f64 - Z_95 * deviation) / 2.0;
    let middle = n_slopes / 2;
    Slope {
        median: match n_slopes % 2 {
            0 => (slopes[middle - 1] + slopes[middle]) / 2.0,
            _ => slopes[middle],
        },
        low: slopes[(rank - 1.0).max(0.0) as usize],
    }
}

/// A slope a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The estimate.
    pub median: f64,
    /// What it is at least, at 95 %.
    pub low: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn concordance_counts_pairs() {
        for (values, expected) in [
            (&[][..], 0.0),
            (&[1.0], 0.0),
            (&[1.0, 2.0, 3.0], 1.0),
            (&[3.0, 2.0, 1.0], -1.0),
            (&[1.0, 1.0, 1.0], 0.0),
            (&[1.0, 3.0, 2.0], 1.0 / 3.0),
            (&[1.0, 1.0, 2.0], 2.0 / 3.0),
        ] {
            assert_eq!(concordance(values, 0.0), expected, "{values:?}");
        }
        assert_eq!(concordance(&[0.0, 1.0, 10.0], 1.0), 2.0 / 3.0);
    }

    /// Gilbert's worked example has unequal distances; this row was worked by hand: the fifteen
    /// slopes are sorted, M1 = (15 - 1.645 * 5.3229) / 2 = 3.12, so the third smallest.
    #[test]
    fn slope_of_a_worked_example() {
        let Slope { median, low } = slope(&[10.0, 14.0, 13.0, 19.0, 21.0, 20.0]);
        assert_eq!(median, 7.0 / 3.0);
        assert_eq!(low, 0.5);
    }

    #[test]
    fn slope_of_a_line_is_the_line() {
        let line: Vec<f64> = (0..12).map(|step| 5.0 + 3.0 * f64::from(step)).collect();
        assert_eq!(
            slope(&line),
            Slope {
                median: 3.0,
                low: 3.0
            }
        );
        assert_eq!(
            slope(&[7.0]),
            Slope {
                median: 0.0,
                low: 0.0
            }
        );
    }

    proptest! {
        #[test]
        fn one_outlier_moves_the_slope_little(at in 0usize..12, height in 0.0..1e9f64) {
            let mut values: Vec<f64> = (0..12).map(f64::from).collect();
            values[at] += height;
            let found = slope(&values);
            prop_assert!((found.median - 1.0).abs() < 1.0 && found.low <= found.median);
        }

        #[test]
        fn bounds_hold_for_any_row(values in proptest::collection::vec(0.0..1e12f64, 0..12)) {
            let found = slope(&values);
            prop_assert!(found.low <= found.median);
            prop_assert!(concordance(&values, 0.0).abs() <= 1.0);
        }
    }
}
