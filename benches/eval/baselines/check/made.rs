//! Rules over made series, of which it is plain what they must say.

use anyhow::{Context, Result, ensure};

use super::super::coroot::coroot;
use super::super::mann_kendall::thinned;
use super::super::{Baseline, HOUR, MINUTE, alarms, threshold_for};
use super::is_close;

const MIB: f64 = 1048576.0;

pub fn check_alarms() -> Result<()> {
    // Minutes at which the statistic is above a threshold, and those at which alarms are raised.
    for (above, raised) in [
        (vec![], vec![]),
        (vec![0], vec![0]),
        (vec![5, 6, 7], vec![5]),
        // Below for 14 minutes, and for 15 from the first time that it is.
        (vec![5, 20], vec![5]),
        (vec![5, 21], vec![5]),
        (vec![5, 22], vec![5, 22]),
        (vec![0, 10, 20, 40], vec![0, 40]),
    ] {
        let value = |minute: &u32| f64::from(u8::from(above.contains(minute)));
        let statistic: Vec<(f64, f64)> = (0..60u32)
            .map(|minute| (f64::from(minute) * MINUTE, value(&minute)))
            .collect();
        let found = alarms(&statistic, 1.0);
        let expected: Vec<f64> = raised
            .iter()
            .map(|minute: &u32| f64::from(*minute) * MINUTE)
            .collect();
        ensure!(found == expected, "above at {above:?}: {found:?}");
    }
    Ok(())
}

pub fn check_threshold() -> Result<()> {
    let peaks = [3.0, 7.0, 7.0, 2.0, -1.0];
    let healthy: Vec<Vec<(f64, f64)>> = peaks
        .iter()
        .map(|peak| vec![(0.0, 0.0), (MINUTE, *peak), (2.0 * MINUTE, 0.0)])
        .collect();
    for (n_false_allowed, threshold) in [
        (0, 7.0f64.next_up()),
        (1, 7.0f64.next_up()),
        (2, 7.0),
        (3, 3.0),
        (4, 2.0),
        (9, 2.0),
    ] {
        let found = threshold_for(&healthy, n_false_allowed);
        ensure!(found == threshold, "{n_false_allowed} allowed: {found}");
    }
    let never = threshold_for(&[], 0);
    ensure!(never > 0.0, "of nothing: {never}");
    Ok(())
}

/// Four hours in samples 15 s apart.
fn series(bytes_at: impl Fn(f64) -> f64) -> Vec<(f64, u64)> {
    let at = |step: u32| f64::from(step) * 15.0;
    (0..960)
        .map(|step| (at(step), bytes_at(at(step)) as u64))
        .collect()
}

pub fn check_coroot() -> Result<()> {
    let check = |name, limit_mib: Option<u64>, percent, mib_at: &dyn Fn(f64) -> f64| {
        let samples = series(|secs| mib_at(secs) * MIB);
        let statistic = coroot(&samples, limit_mib.map(|mib| mib << 20));
        let (_, found) = *statistic.last().context("no statistic")?;
        is_close(name, found, percent, percent / 100.0)
    };
    let line = |begin: f64, an_hour: f64| move |secs: f64| begin + an_hour * secs / HOUR;
    let saw =
        |period_secs: f64| move |secs: f64| 100.0 + 900.0 * (secs % period_secs) / period_secs;
    check("100 on 500 MiB", None, 20.0, &line(200.0, 100.0))?;
    check("too few MiB", None, 0.0, &line(100.0, 46.0))?;
    check("too few of a GiB", Some(1024), 0.0, &line(100.0, 46.0))?;
    check(
        "60 on 300 MiB of a GiB",
        Some(1024),
        20.0,
        &line(120.0, 60.0),
    )?;
    check("30 on 150 MiB of 512", Some(512), 20.0, &line(60.0, 30.0))?;
    check("level", None, 0.0, &line(500.0, 0.0))?;
    check("falling", None, 0.0, &line(9000.0, -1000.0))?;
    let step = |secs: f64| if secs < 3.25 * HOUR { 100.0 } else { 900.0 };
    check("a step that is over", None, 0.0, &step)?;
    // 22.5 MiB a minute to 977.5 at last; the line was below nothing an hour before.
    let percent = 1350.0 / 9.775;
    check("restarts each 40 min", None, percent, &saw(40.0 * MINUTE))?;
    check("restarts each 15 min", None, 0.0, &saw(15.0 * MINUTE))?;
    // 80 % of the hour must have been seen, and then it has to last.
    let leak = coroot(&series(|secs| (50.0 + secs / 10.0) * MIB), None);
    let (begin_secs, _) = leak
        .iter()
        .find(|(_, growth)| *growth > 0.0)
        .context("not found")?;
    is_close(
        "first found in minute",
        begin_secs / MINUTE,
        48.0 + 15.0,
        1.0,
    )
}

pub fn check_thinning() -> Result<()> {
    for n in [1usize, 2, 59, 60, 61, 100, 1000] {
        let window: Vec<(f64, u64)> = (0..n).map(|index| (index as f64, index as u64)).collect();
        let taken = thinned(&window);
        let has_ends = taken.first() == window.first() && taken.last() == window.last();
        let is_even = taken
            .windows(2)
            .all(|pair| pair[1].0 - pair[0].0 <= (n / 59 + 1) as f64);
        ensure!(
            taken.len() == n.min(60) && has_ends && is_even,
            "of {n}: {taken:?}"
        );
    }
    Ok(())
}

/// A leak has the statistic that its rate gives, health has none, and what is not known is not told.
pub fn check_leak(baseline: &Baseline) -> Result<()> {
    let rate = MIB / 20.0;
    let samples = series(|secs| 720.0 * MIB + rate * secs);
    let last = |samples: &[(f64, u64)]| baseline.statistic(samples).last().map(|(_, value)| *value);
    let found = last(&samples).context("no statistic of a leak")?;
    let hours: f64 = match baseline.name {
        name if name.contains("30 min") => 0.5,
        name if name.contains("3 h") => 3.0,
        _ => 1.0,
    };
    let expected = match baseline.name {
        name if name.starts_with("growth") => rate * hours * HOUR,
        name if name.starts_with("predict") => rate * 4.0 * HOUR,
        // The least of the last 15 minutes is the last: 180 MiB on what was there an hour before.
        name if name.starts_with("Coroot") => 180.0 / (720.0 + 3.0 * 180.0) * 100.0,
        _ => rate,
    };
    is_close("a leak", found, expected, expected / 100.0)?;
    let n_minutes = 4 * 60;
    let n_evaluated = baseline.statistic(&samples).len();
    ensure!(n_evaluated <= n_minutes, "evaluated {n_evaluated} times");
    let raised = alarms(&baseline.statistic(&samples), expected / 2.0);
    ensure!(raised.len() == 1, "a leak raises {raised:?}");
    let level = last(&series(|_| 720.0 * MIB)).context("no statistic of health")?;
    is_close("a level process", level, 0.0, 1e-6)?;
    // One that is younger than the window; Coroot asks for 80 % of it.
    let full_secs = hours
        * HOUR
        * if baseline.name.starts_with("Coroot") {
            0.8
        } else {
            1.0
        };
    let statistic = baseline.statistic(&samples);
    let young = statistic
        .iter()
        .find(|(secs, value)| *secs < full_secs - MINUTE && *value != 0.0);
    ensure!(young.is_none(), "a young process has {young:?}");
    // One that was seen for an hour and then, after a long silence, for 6 minutes.
    let was_seen = |secs: f64| !(HOUR..3.9 * HOUR).contains(&secs);
    let seen: Vec<(f64, u64)> = samples
        .iter()
        .copied()
        .filter(|(secs, _)| was_seen(*secs))
        .collect();
    let statistic = baseline.statistic(&seen);
    let after = statistic
        .iter()
        .find(|(secs, value)| *secs > 2.0 * HOUR && *value != 0.0);
    ensure!(after.is_none(), "after a silence there is {after:?}");
    // One that is seen every 4 minutes after 2 hours: sparse, but not silent.
    let is_seen = |secs: f64| secs < 2.0 * HOUR || secs % (4.0 * MINUTE) == 0.0;
    let seen: Vec<(f64, u64)> = samples
        .iter()
        .copied()
        .filter(|(secs, _)| is_seen(*secs))
        .collect();
    let (secs, value) = *baseline.statistic(&seen).last().context("no statistic")?;
    ensure!(
        secs > 3.9 * HOUR && value > 0.0,
        "seen less often it has {value} at {secs} s"
    );
    // A limit that is far above all predictions.
    let far = baseline.statistic_below(&samples, Some(1 << 60));
    let is_limited = far.iter().all(|(_, value)| *value == 0.0);
    let looks_at_limits = ["predict", "Coroot"]
        .iter()
        .any(|name| baseline.name.starts_with(name));
    ensure!(is_limited == looks_at_limits, "far below its limit");
    Ok(())
}
