//! The families as a table, for a person to see whether they are like what they are named for.

use std::fmt::Write;

use super::chance::{exp, ln};
use super::{Family, MIB, Part, case, families};
use crate::case::Case;

/// Seeds that are shown.
const SEEDS: std::ops::Range<u64> = 0..5;

/// A line for each of some cases of every family, or the table of one case for `memleakd replay`
/// where its family and seed are given.
///
/// Panics on a case that is none: it is the check of this file's neighbours.
pub fn look(arguments: &[String]) -> Result<String, String> {
    let Some(name) = arguments.first() else {
        return Ok(overview());
    };
    let family = families().iter().find(|family| family.name == name);
    let family = family.ok_or_else(|| format!("no family is called {name:?}"))?;
    let seed = arguments.get(1).map_or(Ok(0), |seed| seed.parse());
    let seed = seed.map_err(|_| "a seed is a whole number".to_owned())?;
    let case = case(family, seed);
    check(family, &case);
    Ok(case.table())
}

fn overview() -> String {
    let mut text = format!(
        "{:24} {:9} {:>4} {:>16} {:>5} {:>4} {:>6} {:>27} {:>9}\n",
        "family",
        "part",
        "seed",
        "leak KiB/min from",
        "procs",
        "step",
        "hours",
        "min/median/max MiB",
        "limit MiB",
    );
    check_functions();
    for family in families() {
        for seed in SEEDS {
            let case = case(family, seed);
            check(family, &case);
            line(&mut text, family, &case);
        }
    }
    text
}

fn line(text: &mut String, family: &Family, case: &Case) {
    let part = match family.part {
        Part::Tuned => "tuned",
        Part::HeldOut => "held out",
    };
    let leak = case.leak.map_or("healthy".to_owned(), |leak| {
        let rate = leak.bytes_per_sec * 60.0 / 1024.0;
        format!("{rate:.0} {:.1} h", leak.from_secs / 3600.0)
    });
    let limit = case
        .limit_bytes
        .map_or("-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / MIB));
    let samples = case.processes.iter().flat_map(|process| &process.samples);
    let mut sizes: Vec<u64> = samples.map(|(_, bytes)| *bytes).collect();
    sizes.sort_unstable();
    let [least, middle, most] =
        [0, sizes.len() / 2, sizes.len() - 1].map(|n| sizes[n] as f64 / MIB);
    let n_processes = case.processes.len();
    let Case {
        family,
        seed,
        step_secs,
        ..
    } = case;
    let hours = case.end_secs() / 3600.0;
    writeln!(
        text,
        "{family:24} {part:9} {seed:>4} {leak:>16} {n_processes:>5} {step_secs:>4} {hours:>6.1} \
         {least:>9.1}{middle:>9.1}{most:>9.1} {limit:>9}",
    )
    .expect("a String takes any text");
}

/// What is true of every case.
fn check(family: &Family, made: &Case) {
    let name = family.name;
    let again = case(family, made.seed);
    assert_eq!(made.table(), again.table(), "{name}: a seed makes one case");
    assert_eq!(made.leak, again.leak, "{name}: a seed makes one leak");
    assert!(!made.processes.is_empty(), "{name}: nothing to see");
    for process in &made.processes {
        let samples = &process.samples;
        assert!(samples.len() <= 20_000, "{name}: too many samples");
        assert!(
            samples.is_sorted_by(|a, b| a.0 < b.0),
            "{name}: time goes on"
        );
        let limit = made.limit_bytes.unwrap_or(u64::MAX);
        for (_, bytes) in samples {
            assert!(bytes % 4096 == 0, "{name}: whole pages");
            assert!(*bytes <= limit, "{name}: beyond its limit");
        }
    }
    assert_eq!(
        name.contains("leak"),
        made.leak.is_some(),
        "{name}: named for what it is"
    );
    if let Some(leak) = made.leak {
        assert!(
            leak.from_secs < made.end_secs(),
            "{name}: leaks in its time"
        );
        let rate = leak.bytes_per_sec * 60.0 / 1024.0;
        assert!(
            (64.0..40_000.0).contains(&rate),
            "{name}: leaks {rate} KiB/min"
        );
    }
}

/// The functions that are made from arithmetic alone are those that they are named for.
fn check_functions() {
    for n in -2000..=2000 {
        let x = f64::from(n) / 100.0;
        assert!(
            (exp(x) / x.exp() - 1.0).abs() < 1e-12,
            "e to the power of {x} is {}",
            exp(x)
        );
        assert!(
            (ln(exp(x)) - x).abs() < 1e-12,
            "the logarithm of {} is {}",
            exp(x),
            ln(exp(x))
        );
    }
}
