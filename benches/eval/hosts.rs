//! Recorded hosts: false alerts on them as they are, and how soon leaks put into them are found.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::baselines::{self, alarms, threshold_for};
use crate::detector;
use crate::recorded::Host;
use crate::score::{COLUMNS, Score, Trial};
use crate::under_way::under_way;

const HOUR: f64 = 3600.0;
/// Rates of the leaks, in KiB a minute.
const RATES: [f64; 5] = [32.0, 128.0, 512.0, 2048.0, 8192.0];
/// A leak is given so long to be found, in a recording that is long enough.
const WITHIN_SECS: f64 = 4.0 * HOUR;
/// Each rate is tried so often, each time from other times on.
const N_SEEDS: u64 = 4;

/// Evaluates every recording in a directory.
pub fn report(directory: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else {
        println!(
            "LEFT OUT: there are no recordings in {}",
            directory.display()
        );
        return Ok(());
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        of_host(&Host::read(&path)?)?;
    }
    Ok(())
}

fn of_host(host: &Host) -> Result<()> {
    let progress = under_way(format!("replaying {}", host.name));
    let raised = detector::raised(&host.table())?;
    drop(progress);
    let (days, n_false) = (host.days(), raised.len());
    println!(
        "\n{}: {days:.2} days, {n_false} alerts, {:.2} a day:",
        host.name,
        n_false as f64 / days
    );
    for alert in &raised {
        println!(
            "  after {:.1} h: {} (pid {})",
            alert.secs / HOUR,
            alert.comm,
            alert.pid
        );
    }
    let within_secs = WITHIN_SECS.min(days * 86400.0 / 2.0);
    let progress = under_way("setting other rules to as many false alerts");
    let statistics = host.series();
    let rules: Vec<_> = baselines::all()
        .into_iter()
        .map(|baseline| {
            let of_all: Vec<_> = statistics
                .iter()
                .map(|samples| baseline.statistic(samples))
                .collect();
            (baseline, threshold_for(&of_all, n_false))
        })
        .collect();
    drop(progress);
    println!(
        "leaks in it, within {:.1} h; other rules at no more false alerts:",
        within_secs / HOUR
    );
    println!("  {:>12}  {:<34} {:>5}  {COLUMNS}", "rate", "rule", "leaks");
    for rate in RATES {
        let progress = under_way(format!("replaying it with leaks of {rate} KiB/min"));
        let bytes_per_sec = rate * 1024.0 / 60.0;
        let mut own = Vec::new();
        let mut others = vec![Vec::new(); rules.len()];
        for seed in 0..N_SEEDS {
            let leaks = host.with_leaks(bytes_per_sec, within_secs, seed);
            let raised = detector::raised(&leaks.host.table())?;
            for leak in &leaks.leaks {
                let of_leak = raised
                    .iter()
                    .filter(|raised| raised.pid == leak.pid && raised.comm == leak.comm);
                own.push(trial(
                    leak.from_secs,
                    of_leak.map(|raised| raised.secs).collect(),
                ));
                for ((baseline, threshold), trials) in rules.iter().zip(&mut others) {
                    let raised = alarms(&baseline.statistic(&leak.samples), *threshold);
                    trials.push(trial(leak.from_secs, raised));
                }
            }
        }
        let print = |name: &str, trials: &[Trial]| {
            // What had an alert before is none that can be found.
            let fresh = trials.iter().filter(|trial| {
                let from_secs = trial.leaks_from_secs.unwrap_or_default();
                trial
                    .raised_secs
                    .first()
                    .is_none_or(|secs| *secs >= from_secs)
            });
            let score = Score::of(fresh, within_secs);
            println!(
                "  {rate:>6} KiB/min  {name:<34} {:>5}  {}",
                score.n_leaking,
                score.columns()
            );
        };
        drop(progress);
        print("memleakd", &own);
        let of_rules = rules.iter().zip(&others);
        let best = of_rules.max_by(|(_, a), (_, b)| {
            let score = |trials: &Vec<Trial>| Score::of(trials, within_secs);
            let (a, b) = (score(a), score(b));
            let by_time = b
                .found_after_minutes(0.5)
                .total_cmp(&a.found_after_minutes(0.5));
            a.n_found().cmp(&b.n_found()).then(by_time)
        });
        if let Some(((baseline, _), trials)) = best {
            print(baseline.name, trials);
        }
    }
    Ok(())
}

fn trial(from_secs: f64, raised_secs: Vec<f64>) -> Trial {
    Trial {
        leaks_from_secs: Some(from_secs),
        raised_secs,
    }
}
