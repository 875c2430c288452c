//! The synthetic families: how each fares, and the other rules at as many false alerts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use crate::baselines::{self, alarms, threshold_for};
use crate::case::Case;
use crate::detector;
use crate::families::{self, Family, Part};
use crate::score::{COLUMNS, Score, Trial};
use crate::under_way::under_way;

/// A leak may take as long to be found as its case goes on.
const EVER_SECS: f64 = f64::INFINITY;

/// Runs every family of a part on so many seeds, and prints what came of it.
pub fn report(part: Part, n_seeds: u64) -> Result<()> {
    let of_part = families::families()
        .iter()
        .filter(|family| family.part == part);
    let families: Vec<&Family> = of_part.collect();
    let seeds = families
        .iter()
        .flat_map(|family| (0..n_seeds).map(move |seed| (*family, seed)));
    let progress = under_way("replaying the families");
    let cases = parallel(&seeds.collect::<Vec<_>>(), |(family, seed)| {
        families::case(family, *seed)
    });
    let trials = parallel(&cases, |case| {
        let raised = detector::raised(&case.table())?;
        Ok(trial(
            case,
            raised.iter().map(|raised| raised.secs).collect(),
        ))
    });
    let trials = trials.into_iter().collect::<Result<Vec<_>>>()?;
    drop(progress);

    println!("{:<34} {:>6} {:>6}  {COLUMNS}", "family", "cases", "false");
    for family in families {
        let mine = cases
            .iter()
            .zip(&trials)
            .filter(|(case, _)| case.family == family.name);
        let mine: Vec<&Trial> = mine.map(|(_, trial)| trial).collect();
        let score = Score::of(mine.iter().copied(), EVER_SECS);
        let found = if score.n_leaking > 0 {
            score.columns()
        } else {
            String::new()
        };
        println!(
            "{:<34} {:>6} {:>6}  {found}",
            family.name,
            mine.len(),
            score.n_false
        );
    }
    let score = Score::of(&trials, EVER_SECS);
    println!(
        "\n{:<34} {:>9} {:>6}  {COLUMNS}",
        "rule", "precision", "false"
    );
    let print = |name: &str, score: &Score| {
        println!(
            "{name:<34} {:>9.3} {:>6}  {}",
            score.precision(),
            score.n_false,
            score.columns()
        );
    };
    print("memleakd", &score);
    for baseline in baselines::all() {
        let progress = under_way(format!("trying {}", baseline.name));
        // Of each process of each case.
        let statistics = parallel(&cases, |case| {
            let processes = case.processes.iter();
            let of = processes
                .map(|process| baseline.statistic_below(&process.samples, case.limit_bytes));
            of.collect::<Vec<_>>()
        });
        let healthy = cases
            .iter()
            .zip(&statistics)
            .filter(|(case, _)| case.leak.is_none());
        let healthy: Vec<_> = healthy
            .flat_map(|(_, statistics)| statistics.clone())
            .collect();
        let threshold = threshold_for(&healthy, score.n_false);
        let of_rule = cases.iter().zip(&statistics).map(|(case, statistics)| {
            let raised = statistics
                .iter()
                .flat_map(|statistic| alarms(statistic, threshold));
            trial(case, raised.collect())
        });
        let score = Score::of(&of_rule.collect::<Vec<_>>(), EVER_SECS);
        drop(progress);
        print(baseline.name, &score);
    }
    Ok(())
}

fn trial(case: &Case, mut raised_secs: Vec<f64>) -> Trial {
    raised_secs.sort_by(f64::total_cmp);
    Trial {
        leaks_from_secs: case.leak.map(|leak| leak.from_secs),
        raised_secs,
    }
}

/// Does something with each of many, on all CPUs; results are in their order.
fn parallel<T: Sync, R: Send>(of: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                while let (index, Some(item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    (index, of.get(index))
                } {
                    let result = work(item);
                    results
                        .lock()
                        .expect("no worker has panicked")
                        .push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no worker has panicked");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
