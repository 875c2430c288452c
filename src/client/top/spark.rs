//! A curve in one line of text, in eight heights.

use crate::sample::Point;

/// From low to high.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// As much of a size is the whole height at least: what wavers by less is level.
const LEAST_RANGE: f64 = 0.1;
/// The longest time that is shown.
pub(super) const HOUR_SECS: f64 = 3600.0;
/// And the shortest.
const LEAST_SECS: f64 = 60.0;

/// The time that sparklines are to show: an hour, or as far as the longest curve goes.
pub(super) fn span_secs<'a>(curves: impl Iterator<Item = &'a [Point]>) -> f64 {
    let oldest = curves.filter_map(|curve| curve.first());
    let secs = oldest.map(|point| point.secs_ago);
    secs.filter(|secs| secs.is_finite())
        .fold(LEAST_SECS, f64::max)
        .min(HOUR_SECS)
}

/// A curve over the last so many seconds in so many columns; blank where nothing is known.
pub(super) fn sparkline(curve: &[Point], span_secs: f64, columns: usize) -> String {
    let sizes = sizes(curve, span_secs, columns);
    let known = || sizes.iter().flatten().copied();
    let (least, most) = known().fold((u64::MAX, 0), |(least, most), size| {
        (size.min(least), size.max(most))
    });
    let range = (most.saturating_sub(least) as f64).max(most as f64 * LEAST_RANGE);
    let height = |size: u64| {
        let part = (size.saturating_sub(least)) as f64 / range.max(1.0);
        let index = (part * (HEIGHTS.len() - 1) as f64).round() as usize;
        HEIGHTS.get(index).copied().unwrap_or(HEIGHTS[7])
    };
    let columns = sizes.iter().map(|size| size.map_or(' ', height));
    columns.collect()
}

/// The size in each of so many columns, the last of which is now. Between two points it is that of
/// the straight line between them.
pub(super) fn sizes(curve: &[Point], span_secs: f64, columns: usize) -> Vec<Option<u64>> {
    let is_time = |point: &&Point| point.secs_ago.is_finite();
    let mut points: Vec<_> = curve.iter().filter(is_time).collect();
    points.sort_by(|a, b| b.secs_ago.total_cmp(&a.secs_ago));
    let steps = columns.saturating_sub(1).max(1) as f64;
    // A point that is a little older than a column's time still tells of it.
    let slack_secs = span_secs / steps / 2.0;
    let at = |column: usize| {
        let secs_ago = span_secs * (1.0 - column as f64 / steps);
        let after = points.partition_point(|point| point.secs_ago > secs_ago);
        let before = after.checked_sub(1).and_then(|index| points.get(index));
        match (before, points.get(after)) {
            (Some(a), Some(b)) => {
                let span = (a.secs_ago - b.secs_ago).max(f64::MIN_POSITIVE);
                let part = (a.secs_ago - secs_ago) / span;
                let size = a.bytes as f64 + part * (b.bytes as f64 - a.bytes as f64);
                Some(size as u64)
            }
            // The newest is as of the last look, some seconds ago.
            (Some(a), None) => Some(a.bytes),
            (None, Some(b)) if b.secs_ago + slack_secs >= secs_ago => Some(b.bytes),
            (None, _) => None,
        }
    };
    (0..columns).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, u64)]) -> Vec<Point> {
        let point = |&(secs_ago, bytes)| Point { secs_ago, bytes };
        points.iter().map(point).collect()
    }

    #[test]
    fn a_curve_is_eight_heights() {
        for (points, span_secs, columns, expected) in [
            (&[(700.0, 0), (0.0, 7000)][..], 700.0, 8, "▁▂▃▄▅▆▇█"),
            // Younger than what is shown.
            (&[(350.0, 0), (0.0, 7000)], 700.0, 8, "   ▁▂▄▆█"),
            // Older.
            (&[(1400.0, 0), (0.0, 14000)], 700.0, 8, "▁▂▃▄▅▆▇█"),
            // Level but for a thousandth, and for a twentieth.
            (&[(700.0, 1000), (0.0, 1001)], 700.0, 4, "▁▁▁▁"),
            (&[(700.0, 950), (0.0, 1000)], 700.0, 2, "▁▅"),
            // The last look was a while ago.
            (&[(700.0, 7), (600.0, 7)], 700.0, 4, "▁▁▁▁"),
            (&[(5.0, 7)], 700.0, 4, "   ▁"),
            (&[], 700.0, 4, "    "),
            (&[(700.0, 0), (0.0, 7000)], 700.0, 1, "▁"),
            (&[(700.0, 0), (0.0, 7000)], 700.0, 0, ""),
            (&[(f64::NAN, 3), (f64::INFINITY, 9)], 700.0, 2, "  "),
            (&[(0.0, u64::MAX), (0.0, 0)], 700.0, 2, " ▁"),
        ] {
            let curve = curve(points);
            assert_eq!(
                sparkline(&curve, span_secs, columns),
                expected,
                "{points:?}"
            );
        }
    }

    #[test]
    fn what_is_shown_is_an_hour_at_the_most() {
        for (oldest, expected) in [
            (&[][..], 60.0),
            (&[5.0], 60.0),
            (&[500.0, 700.0], 700.0),
            (&[1e9], 3600.0),
            (&[f64::NAN, 100.0], 100.0),
        ] {
            let curves: Vec<_> = oldest.iter().map(|&secs| curve(&[(secs, 1)])).collect();
            assert_eq!(span_secs(curves.iter().map(Vec::as_slice)), expected);
        }
    }
}
