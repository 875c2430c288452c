//! Where the marks of an axis are. Pure.

/// Sizes grow by halves of these, which are whole in the units of memory.
const STEPS_SECS: &[u64] = &[
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
];

/// Sizes from the first to the last, at most about so many steps apart, each a power of two.
pub(super) fn sizes(bottom: f64, top: f64, n_steps: u32) -> Vec<f64> {
    let least = ((top - bottom) / f64::from(n_steps)).max(1.0);
    let step = 2f64.powf(least.log2().ceil());
    marks(bottom, top, step)
}

/// Times on the clock between two, in seconds of local time, and how far they are apart.
pub(super) fn times(from_secs: f64, to_secs: f64, n_steps: u32) -> (Vec<f64>, u64) {
    let least = (to_secs - from_secs) / f64::from(n_steps);
    let step = STEPS_SECS.iter().find(|step| **step as f64 >= least);
    let step = step.copied().unwrap_or(315_360_000);
    (marks(from_secs, to_secs, step as f64), step)
}

/// Multiples of a step.
fn marks(from: f64, to: f64, step: f64) -> Vec<f64> {
    let first = (from / step).ceil();
    let last = (to / step).floor();
    // There are as many as steps were asked for, and a few more at the most.
    let n = (last - first).clamp(-1.0, 100.0) as i64;
    (0..=n).map(|i| (first + i as f64) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        let mib = f64::from(1 << 20);
        for (bottom, top, expected) in [
            (0.0, 100.0, &[0.0, 32.0, 64.0, 96.0][..]),
            (30.0, 62.0, &[32.0, 40.0, 48.0, 56.0]),
            (0.0, 1.0, &[0.0, 0.25, 0.5, 0.75, 1.0]),
        ] {
            let expected: Vec<_> = expected.iter().map(|size| size * mib).collect();
            assert_eq!(sizes(bottom * mib, top * mib, 4), expected);
        }
        assert_eq!(times(61.0, 185.0, 5), (vec![90.0, 120.0, 150.0, 180.0], 30));
        assert_eq!(
            times(0.0, 90_000.0, 5),
            (vec![0.0, 21_600.0, 43_200.0, 64_800.0, 86_400.0], 21_600)
        );
        for (from, to) in [(0.0, f64::MAX), (5.0, 5.0), (0.0, 1e300)] {
            assert!(sizes(from, to, 4).len() <= 101 && times(from, to, 4).0.len() <= 101);
        }
    }
}
