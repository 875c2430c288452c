//! How fast a recorded history is replayed.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::{Result, ensure};
use memleakd::alert::Change;
use memleakd::config::Config;
use memleakd::replay;

use crate::host::{self, Habit, INTERVAL_SECS};
use crate::interrupt;
use crate::measure::{cpu_secs, median};
use crate::table::Table;

const N_PROCESSES: u32 = 200;
const N_SAMPLES: u32 = 24 * 3600 / INTERVAL_SECS;
const N_RUNS: usize = 5;

/// A day of a made-up host, from memory.
pub fn measure(table: &mut Table) -> Result<()> {
    let recording = record();
    let config = Config::default();
    let mut secs = Vec::new();
    for _ in 0..N_RUNS {
        interrupt::check()?;
        let mut raised = BTreeSet::new();
        let (run_secs, replayed) = cpu_secs(|| {
            replay::replay(recording.as_bytes(), &config, |alert| {
                raised.extend((alert.change == Change::Raised).then_some(alert.pid));
                Ok(())
            })
        });
        replayed?;
        let leaks = (0..N_PROCESSES).filter(|process| host::habit(*process) == Habit::Leak);
        ensure!(
            leaks.clone().all(|leak| raised.contains(&(leak + 1))),
            "the replay does not find the leaks"
        );
        secs.push(run_secs);
    }
    let day_secs = median(secs);
    let rows = f64::from(N_PROCESSES * N_SAMPLES);
    table.say(
        format!("replay of a host of {N_PROCESSES} processes, every {INTERVAL_SECS} s"),
        format!("{:.2} days/s", 1.0 / day_secs),
    );
    table.say("- rows of CSV", format!("{:.2} M/s", rows / day_secs / 1e6));
    Ok(())
}

fn record() -> String {
    let mut csv = "time_secs,pid,comm,bytes\n".to_owned();
    for sample in 0..N_SAMPLES {
        for process in 0..N_PROCESSES {
            let (secs, pid, bytes) = (
                sample * INTERVAL_SECS,
                process + 1,
                host::bytes(process, sample),
            );
            writeln!(csv, "{secs},{pid},{:?}-{pid},{bytes}", host::habit(process))
                .expect("a String takes any text");
        }
    }
    csv
}
