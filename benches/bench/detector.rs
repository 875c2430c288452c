//! How long the detector looks at one process, and how much it remembers of it.

use std::hint::black_box;

use anyhow::{Result, ensure};
use memleakd::config::Rule;
use memleakd::detect::{Gate, History, assess};

use crate::host::{self, INTERVAL_SECS};
use crate::interrupt;
use crate::measure::{cpu_secs, median};
use crate::table::Table;

const N_PROCESSES: u32 = 1000;
/// Samples that are taken in before anything is timed: two days, more than is remembered.
const N_EARLIER: u32 = 2 * 24 * 3600 / INTERVAL_SECS;
/// Samples of each process in one timed batch: every scale but the two coarsest closes a block.
const N_SAMPLES: u32 = 243;
const N_BATCHES: u32 = 21;
/// As many scales as a history has; all of them have something new once in hours.
const ALL_SCALES: usize = usize::MAX;

/// Observations and assessments, by turns.
pub fn measure(table: &mut Table) -> Result<()> {
    let mut histories: Vec<History> = (0..N_PROCESSES)
        .map(|process| new(host::bytes(process, 0)))
        .collect();
    for (process, history) in (0..).zip(&mut histories) {
        interrupt::check()?;
        for sample in 1..N_EARLIER {
            history.observe(secs(sample), host::bytes(process, sample));
        }
    }
    let slow_leak = slow_leak()?;
    let (mut observing_secs, mut usual_secs, mut worst_secs) = (Vec::new(), Vec::new(), Vec::new());
    for batch in 0..N_BATCHES {
        interrupt::check()?;
        let begin = N_EARLIER + batch * N_SAMPLES;
        observing_secs.push(observe(&mut histories, begin));
        usual_secs.push(assess_all(&slow_leak, |n_scales| n_scales));
        worst_secs.push(assess_all(&slow_leak, |_| ALL_SCALES));
    }
    let n_observed = f64::from(N_PROCESSES * N_SAMPLES);
    table.say(
        "detector: one sample of one process",
        format!("{:.0} ns", median(observing_secs) / n_observed * 1e9),
    );
    let n_assessed = slow_leak.len() as f64;
    table.say(
        "detector: one look at one that grows",
        format!("{:.2} us", median(usual_secs) / n_assessed * 1e6),
    );
    table.say(
        "- at most, when every scale has news",
        format!("{:.2} us", median(worst_secs) / n_assessed * 1e6),
    );
    let remembered = size_of::<History>();
    table.aim(
        "detector: memory of one process",
        format!("{remembered} B"),
        "512 B",
        remembered <= 512,
    );
    Ok(())
}

/// Takes in the next samples of every process, one sample of all after the other as the daemon
/// does. Returns the time.
fn observe(histories: &mut [History], begin: u32) -> f64 {
    let (secs, ()) = cpu_secs(|| {
        for sample in begin..begin + N_SAMPLES {
            for (process, history) in (0..).zip(&mut *histories) {
                let n_scales = history.observe(secs(sample), host::bytes(process, sample));
                if n_scales > 0 {
                    black_box(history.gained_bytes());
                }
            }
        }
    });
    secs
}

/// Holds each history against the default rule. Returns the time.
fn assess_all(histories: &[(History, usize)], news: impl Fn(usize) -> usize) -> f64 {
    let rule = Rule::default();
    let age_secs = secs(2 * N_EARLIER);
    let (secs, ()) = cpu_secs(|| {
        for (history, n_scales) in histories {
            black_box(assess(black_box(history), &rule, age_secs, news(*n_scales)));
        }
    });
    secs
}

/// Growth that passes every gate but the last at every scale, which is the most work: half as
/// fast as the rule asks. As of many samples, each with what `observe` said.
fn slow_leak() -> Result<Vec<(History, usize)>> {
    let bytes_per_sample = Rule::default().growth.bytes_per_sec() * f64::from(INTERVAL_SECS) / 2.0;
    let bytes = |sample: u32| (f64::from(sample) * bytes_per_sample) as u64;
    let mut history = new(bytes(0));
    for sample in 1..N_EARLIER {
        history.observe(secs(sample), bytes(sample));
    }
    let assessment = assess(&history, &Rule::default(), secs(2 * N_EARLIER), ALL_SCALES);
    ensure!(
        !assessment.grows() && assessment.furthest == Gate::Rate,
        "the slow leak does not get to the last gate: {assessment:?}"
    );
    let samples = N_EARLIER..N_EARLIER + N_SAMPLES;
    let looks = samples
        .map(|sample| {
            let n_scales = history.observe(secs(sample), bytes(sample));
            (history.clone(), n_scales)
        })
        .collect();
    Ok(looks)
}

fn new(bytes: u64) -> History {
    History::new(f64::from(INTERVAL_SECS), 0.0, bytes)
}

fn secs(sample: u32) -> f64 {
    f64::from(sample * INTERVAL_SECS)
}
