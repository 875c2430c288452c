//! Coroot's check for memory leaks, told again from its source.
//!
//! <https://github.com/coroot/coroot/blob/370a33fd4fd3a9fff4433ded83de335df64ecd2f/auditor/memory.go>
//! (`MemoryGrowthPct`), with the threshold of `model/check.go` (10 % an hour) and the alert of
//! `model/alerting_rule.go` (for 15 minutes, keeps firing for 15 minutes). In words:
//! <https://docs.coroot.com/inspections/memory>.

use super::windows::hold_secs;
use super::{HOUR, MINUTE};

/// The check looks at the last hour.
const WINDOW_SECS: f64 = HOUR;
/// So many of the window's points must be there.
const MIN_PRESENT: f64 = 0.8;
/// A fall to less than this part is a restart.
const RESTART: f64 = 0.5;
const MIN_POINTS: usize = 10;
/// The longest run between restarts makes up at least one in so many of the window's points.
const MIN_RUN: usize = 3;
/// The end of the run, which must still be rising: one in so many of its points, or 15 minutes.
const TAIL: usize = 4;
const TAIL_SECS: f64 = 15.0 * MINUTE;
const MIN_TAIL_POINTS: usize = 5;
/// How fast the end rises at least, compared with the run.
const MIN_TAIL_PACE: f64 = 0.3;
/// The least growth in an hour, in bytes, where there is no limit, and as a part of one.
const MIN_GROWTH: f64 = 50.0 * 1048576.0;
const MIN_GROWTH_OF_LIMIT: f64 = 0.05;
/// The alert waits until the check has failed for so long.
const PENDING_SECS: f64 = 15.0 * MINUTE;

/// The growth in percent an hour that has lasted for [`PENDING_SECS`], at each minute.
///
/// That the check fails for all of a time is that its least value in that time is above the
/// threshold. Coroot's points are as far apart as it scrapes, 15 s or more; here they are a minute
/// apart, each the last sample that is not too old.
pub fn coroot(samples: &[(f64, u64)], limit_bytes: Option<u64>) -> Vec<(f64, f64)> {
    let points = by_minute(samples);
    let n_window = (WINDOW_SECS / MINUTE) as usize + 1;
    let growths: Vec<(f64, f64)> = points
        .windows(n_window)
        .map(|window| (window[n_window - 1].0, growth_percent(window, limit_bytes)))
        .collect();
    let n_pending = (PENDING_SECS / MINUTE) as usize + 1;
    let lasting = growths.windows(n_pending).map(|pending| {
        let least = pending
            .iter()
            .fold(f64::INFINITY, |least, (_, growth)| least.min(*growth));
        (pending[n_pending - 1].0, least)
    });
    lasting.collect()
}

/// The value at each whole minute, if there is one. An hour without any comes first, for the process
/// may be younger than the window: what is missing is for the rule to judge.
fn by_minute(samples: &[(f64, u64)]) -> Vec<(f64, Option<f64>)> {
    let (Some((begin_secs, _)), Some((end_secs, _))) = (samples.first(), samples.last()) else {
        return Vec::new();
    };
    let hold_secs = hold_secs(samples);
    let first = (begin_secs - WINDOW_SECS).div_euclid(MINUTE) as i64;
    let last = end_secs.div_euclid(MINUTE) as i64;
    let mut n_past = 0;
    let value_at = |minute: i64| {
        let secs = minute as f64 * MINUTE;
        n_past += samples[n_past..]
            .iter()
            .take_while(|sample| sample.0 <= secs)
            .count();
        let newest = samples[..n_past].last();
        let fresh = newest.filter(|(at_secs, _)| secs - at_secs < hold_secs);
        (secs, fresh.map(|(_, bytes)| *bytes as f64))
    };
    (first..=last).map(value_at).collect()
}

/// The growth in percent an hour by the line through the longest run; 0 if it is no leak.
pub fn growth_percent(window: &[(f64, Option<f64>)], limit_bytes: Option<u64>) -> f64 {
    let n_present = window.iter().filter(|(_, bytes)| bytes.is_some()).count();
    if (n_present as f64) < MIN_PRESENT * window.len() as f64 {
        return 0.0;
    }
    let run = longest_run(window);
    if run.len() < MIN_POINTS || run.len() < window.len() / MIN_RUN {
        return 0.0;
    }
    let (slope, bytes_at) = line(&run);
    if slope <= 0.0 || !is_still_rising(&run, slope) {
        return 0.0;
    }
    let now_secs = window.last().map_or(0.0, |(secs, _)| *secs);
    let (before, now) = (bytes_at(now_secs - HOUR), bytes_at(now_secs));
    let min_growth = limit_bytes.filter(|limit| *limit > 0);
    let min_growth = min_growth.map_or(MIN_GROWTH, |limit| MIN_GROWTH_OF_LIMIT * limit as f64);
    if now <= 0.0 || now - before < min_growth {
        0.0
    } else if before > 0.0 {
        (now - before) / before * 100.0
    } else {
        (now - before) / now * 100.0
    }
}

/// The most points between two restarts; of equally long runs the first.
fn longest_run(window: &[(f64, Option<f64>)]) -> Vec<(f64, f64)> {
    let present: Vec<(f64, f64)> = window
        .iter()
        .filter_map(|(secs, bytes)| bytes.map(|bytes| (*secs, bytes)))
        .collect();
    let runs = present.chunk_by(|(_, before), (_, after)| *after >= RESTART * before);
    let longest = runs.reduce(|longest, run| {
        if run.len() > longest.len() {
            run
        } else {
            longest
        }
    });
    longest.unwrap_or_default().to_vec()
}

fn is_still_rising(run: &[(f64, f64)], slope: f64) -> bool {
    let end_secs = run[run.len() - 1].0;
    let quarter = run.len() - run.len() / TAIL;
    // Back from the quarter until the end is long enough.
    let is_long = |begin: &usize| end_secs - run[*begin].0 >= TAIL_SECS;
    let begin = (0..=quarter).rev().find(is_long).unwrap_or(0);
    let tail = &run[begin..];
    let (tail_slope, _) = line(tail);
    tail.len() >= MIN_TAIL_POINTS && tail_slope > 0.0 && tail_slope >= MIN_TAIL_PACE * slope
}

/// The least-squares line: its slope in bytes a second, and what it is at a time.
fn line(points: &[(f64, f64)]) -> (f64, impl Fn(f64) -> f64) {
    let n = points.len() as f64;
    let mean_secs = points.iter().map(|(secs, _)| secs).sum::<f64>() / n;
    let mean_bytes = points.iter().map(|(_, bytes)| bytes).sum::<f64>() / n;
    let (mut xx, mut xy) = (0.0, 0.0);
    for (secs, bytes) in points {
        xx += (secs - mean_secs) * (secs - mean_secs);
        xy += (secs - mean_secs) * (bytes - mean_bytes);
    }
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    (slope, move |secs| mean_bytes + slope * (secs - mean_secs))
}
