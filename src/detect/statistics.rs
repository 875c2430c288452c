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

/// The slope a step, and its bounds at 95 % (each one-sided).
///
/// The slope is the median of the slopes of all pairs, and the bounds are the slopes of the ranks
/// M and N + 1 - M among those N (P. K. Sen, "Estimates of the Regression Coefficient Based on
/// Kendall's Tau", JASA 63, 1968; R. O. Gilbert, "Statistical Methods for Environmental Pollution
/// Monitoring", 1987, section 16.5).
///
/// M is (N - z * sd(S)) / 2 to the nearest whole number, as SciPy's `theilslopes` has it. For 4 to
/// [`N_FLOORS`] values that is the very rank that the exact distribution of Kendall's S gives
/// (M. Hollander and D. A. Wolfe, "Nonparametric Statistical Methods", chapter 9): S goes in steps
/// of two, and the half that rounding adds is the correction for it. Rounding down would give a
/// rank away for 5 and for 11 values. Programs after Gilbert interpolate between two ranks, of which
/// the exact distribution knows nothing. Fewer than 4 values have no bound at 95 %: what is given is
/// the least and the greatest slope.
///
/// Unlike SciPy and Gilbert this takes nothing off sd(S) for equal values. They are ties only if the
/// true slope is 0: held against any other slope they are not, and a level stretch in the row would
/// narrow the bounds without reason.
///
/// At most [`N_FLOORS`] values, the newest; of fewer than two the slope is 0.
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
        return Slope::LEVEL;
    }
    let slopes = &mut slopes[..n_slopes];
    slopes.sort_unstable_by(f64::total_cmp);
    let below = bound_rank(values.len(), n_slopes) - 1;
    let middle = n_slopes / 2;
    Slope {
        median: match n_slopes % 2 {
            0 => slopes[middle - 1].midpoint(slopes[middle]),
            _ => slopes[middle],
        },
        low: slopes[below],
        high: slopes[n_slopes - 1 - below],
    }
}

/// Which of the slopes of a row's pairs is the lower bound, from 1 for the least.
fn bound_rank(n_values: usize, n_slopes: usize) -> usize {
    let n = n_values as f64;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let rank = (n_slopes as f64 - Z_95 * deviation) / 2.0;
    rank.round().max(1.0) as usize
}

/// A slope a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The estimate.
    pub median: f64,
    /// What it is at least, at 95 %.
    pub low: f64,
    /// What it is at most, at 95 %.
    pub high: f64,
}

impl Slope {
    /// Neither rise nor fall.
    pub const LEVEL: Self = Self {
        median: 0.0,
        low: 0.0,
        high: 0.0,
    };
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
    /// slopes are sorted, M = (15 - 1.645 * 5.3229) / 2 = 3.12, so the third from either end.
    #[test]
    fn slope_of_a_worked_example() {
        let found = slope(&[10.0, 14.0, 13.0, 19.0, 21.0, 20.0]);
        assert_eq!(found.median, 7.0 / 3.0);
        assert_eq!(found.low, 0.5);
        assert_eq!(found.high, 4.0);
    }

    #[test]
    fn slope_of_a_line_is_the_line() {
        let line: Vec<f64> = (0..12).map(|step| 5.0 + 3.0 * f64::from(step)).collect();
        let three = Slope {
            median: 3.0,
            low: 3.0,
            high: 3.0,
        };
        assert_eq!(slope(&line), three);
        assert_eq!(slope(&[7.0]), Slope::LEVEL);
    }

    /// How many orders of `n` values have so many inversions, by the number of inversions.
    fn orders_by_inversions(n: usize) -> Vec<u64> {
        (1..n).fold(vec![1], |orders, most| {
            let mut next = vec![0; orders.len() + most];
            for (inversions, count) in orders.iter().enumerate() {
                for added in 0..=most {
                    next[inversions + added] += count;
                }
            }
            next
        })
    }

    #[test]
    fn the_bound_is_the_best_that_the_exact_distribution_allows() {
        for n in 4..=N_FLOORS {
            let orders = orders_by_inversions(n);
            let all: u64 = orders.iter().sum();
            // The slope of rank M is above the true one if fewer than M slopes are below that.
            let missed = |rank: usize| orders[..rank].iter().sum::<u64>() as f64 / all as f64;
            let rank = bound_rank(n, n * (n - 1) / 2);
            assert!(missed(rank) <= 0.05, "{n}: {}", missed(rank));
            assert!(missed(rank + 1) > 0.05, "{n}: {}", missed(rank + 1));
        }
    }

    /// Whole numbers, so that adding and doubling round nothing.
    fn rows() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(
            (-1i64 << 40..1i64 << 40).prop_map(|n| n as f64),
            0..=N_FLOORS,
        )
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
        fn bounds_hold_for_any_row(values in proptest::collection::vec(-1e300..1e300f64, 0..20)) {
            let Slope { median, low, high } = slope(&values);
            prop_assert!(low <= median && median <= high, "{low} {median} {high}");
            prop_assert!(concordance(&values, 0.0).abs() <= 1.0);
        }

        #[test]
        fn a_higher_row_is_no_steeper(values in rows(), height in -1i64 << 40..1i64 << 40) {
            let higher: Vec<f64> = values.iter().map(|value| value + height as f64).collect();
            prop_assert_eq!(slope(&higher), slope(&values));
            prop_assert_eq!(concordance(&higher, 0.0), concordance(&values, 0.0));
        }

        #[test]
        fn a_larger_unit_makes_it_less_steep(values in rows(), doublings in -20i32..20) {
            let factor = f64::from(doublings).exp2();
            let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
            let Slope { median, low, high } = slope(&values);
            let expected = Slope {
                median: median * factor,
                low: low * factor,
                high: high * factor,
            };
            prop_assert_eq!(slope(&scaled), expected);
            let tie = 1000.0;
            prop_assert_eq!(concordance(&scaled, tie * factor), concordance(&values, tie));
        }

        #[test]
        fn backwards_it_is_the_opposite(values in rows(), tie in 0.0..1e12f64) {
            let reversed: Vec<f64> = values.iter().rev().copied().collect();
            prop_assert_eq!(concordance(&reversed, tie), -concordance(&values, tie));
            let Slope { median, low, high } = slope(&values);
            let expected = Slope {
                median: -median,
                low: -high,
                high: -low,
            };
            prop_assert_eq!(slope(&reversed), expected);
        }

        #[test]
        fn a_line_is_found_exactly(n in 2usize..=N_FLOORS, start in -1i64 << 40..1i64 << 40, step in -1i64 << 30..1i64 << 30) {
            let line: Vec<f64> = (0..n as i64).map(|index| (start + index * step) as f64).collect();
            let step = step as f64;
            let expected = Slope {
                median: step,
                low: step,
                high: step,
            };
            prop_assert_eq!(slope(&line), expected);
            prop_assert_eq!(concordance(&line, 0.0), if step == 0.0 { 0.0 } else { step.signum() });
        }
    }
}
