//! The live part: programs of several languages run on this machine, one that leaks and one that
//! keeps a bounded cache of each, and the daemon as it is shipped says which is which.
//!
//! Both of a language are the same server under the same load. Only what these programs keep, which
//! they say themselves, and what the kernel says of their memory make the truth.

#[path = "../bench/interrupt.rs"]
mod interrupt;
mod outcome;
mod program;
mod redis;
#[path = "../bench/running.rs"]
mod running;
mod runtime;
mod watcher;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use memleakd::client::Progress;
use memleakd::collect::Scan;
use memleakd::quantity::Span;
use tempfile::TempDir;

pub use outcome::{Outcome, table};
use program::Program;
use runtime::Runtime;
use watcher::Watcher;

/// How long the programs run: three quarters of an hour by the daemon's fast clock.
pub const TIME: Duration = Duration::from_secs(220);
/// What a healthy program keeps at most: half a minute's worth, which by that clock is seven minutes.
const BOUND_BYTES: u64 = 32 << 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs all programs, leaking and healthy, at once under one daemon, for a time.
///
/// What this machine has no runtime for is an outcome that does not count. An error is that the
/// daemon cannot run here, or does not do so to the end. Ctrl-C ends all.
pub fn run(time: Duration) -> Result<Vec<Outcome>> {
    interrupt::listen()?;
    Scan::load().context("live programs need root and a kernel with BTF")?;
    let directory =
        TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).context("making a directory for programs")?;
    let mut outcomes = Vec::new();
    let mut programs = start(directory.path(), &mut outcomes)?;
    if programs.is_empty() {
        bail!("this machine has no runtime for any of the programs");
    }
    let names: Vec<&str> = programs.iter().map(|program| &*program.name).collect();
    let mut watcher = Watcher::start(directory.path(), &names)?;
    let n_programs = programs.len();
    let _progress = Progress::begin_without_signals(move |past| {
        let left = Span::from_secs(time.saturating_sub(past).as_secs());
        format!("{n_programs} programs run, {left} left (Ctrl-C ends it)")
    });
    let until = Instant::now() + time;
    while Instant::now() < until {
        interrupt::wait(LOOK_EVERY)?;
        watcher.must_run()?;
        for program in &mut programs {
            program.look();
        }
    }
    let alerts = watcher.alerts()?;
    outcomes.extend(
        programs
            .iter()
            .map(|program| outcome::judge(program, &alerts)),
    );
    Ok(outcomes)
}

/// Makes everything ready before the first program starts: compilers would take time from others.
fn start(directory: &Path, outcomes: &mut Vec<Outcome>) -> Result<Vec<Program>> {
    let mut ready = Vec::new();
    for runtime in Runtime::ALL {
        interrupt::check()?;
        match runtime.prepare(directory) {
            Ok(server) => ready.push((runtime, server)),
            Err(error) => outcomes.extend([true, false].map(|leaks| {
                let name = name(runtime, leaks);
                Outcome::left_out(name, leaks, format!("missing: {error:#}"))
            })),
        }
    }
    let mut programs = Vec::new();
    for (runtime, server) in ready {
        for bound in [None, Some(BOUND_BYTES)] {
            let name = name(runtime, bound.is_none());
            programs.push(Program::start(directory, runtime, &server, name, bound)?);
        }
    }
    Ok(programs)
}

fn name(runtime: Runtime, leaks: bool) -> String {
    format!(
        "{}-{}",
        runtime.name(),
        if leaks { "leak" } else { "cache" }
    )
}
