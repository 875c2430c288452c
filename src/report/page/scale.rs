//! Where the marks of an axis are. Pure.

/// Units of sizes, with their bytes.
const UNITS: [(&str, f64); 6] = [
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("PiB", 1_125_899_906_842_624.0),
];
/// Steps of clocks, in seconds.
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

/// A size among others, in the unit of the largest and with as many digits as tell them apart.
pub(super) fn label(size: f64, sizes: &[f64]) -> String {
    let most = sizes.last().copied().unwrap_or(size);
    let (unit, bytes) = UNITS
        .iter()
        .rev()
        .find(|(_, bytes)| most >= *bytes)
        .unwrap_or(&UNITS[0]);
    let step = match sizes {
        [first, second, ..] => (second - first) / bytes,
        _ => most / bytes,
    };
    let is_exact = |digits: &i32| (step * 10f64.powi(*digits)).fract() == 0.0;
    let enough = || (-step.log10()).ceil().clamp(0.0, 4.0) as i32;
    let digits = (0..=3).find(is_exact).unwrap_or_else(enough) as usize;
    match size == 0.0 {
        true => "0".to_owned(),
        false => format!("{:.digits$} {unit}", size / bytes),
    }
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
    fn labels_tell_sizes_apart() {
        let gib = f64::from(1 << 30);
        for (sizes, expected) in [
            (&[0.0, 0.5 * gib, gib][..], &["0", "0.5 GiB", "1.0 GiB"][..]),
            (&[2.0 * gib, 4.0 * gib], &["2 GiB", "4 GiB"]),
            (
                &[9.75 * gib, 9.875 * gib, 10.0 * gib],
                &["9.750 GiB", "9.875 GiB", "10.000 GiB"],
            ),
            (&[512.0, 768.0], &["512 B", "768 B"]),
            (&[7.0], &["7 B"]),
        ] {
            let labels: Vec<_> = sizes.iter().map(|size| label(*size, sizes)).collect();
            assert_eq!(labels, expected);
        }
    }

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
