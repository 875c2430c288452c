//! Times, and the medians of them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread that a piece of work takes, in seconds, and what comes of it.
///
/// Not the time on the clock: on a machine that others use too, most of the difference is theirs.
pub fn cpu_secs<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started_secs = thread_secs();
    let done = work();
    (thread_secs() - started_secs, done)
}

/// CPU time of all threads of a process so far, in seconds.
///
/// Not from `stat`, which counts in hundredths of a second.
pub fn cpu_secs_of(pid: u32) -> Result<f64> {
    let mut nanos = 0;
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    for task in fs::read_dir(&tasks).with_context(|| format!("listing {}", tasks.display()))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("reading {} (CONFIG_SCHED_INFO is needed)", path.display()))?;
        let running = text
            .split(' ')
            .next()
            .and_then(|nanos| nanos.parse::<u64>().ok());
        nanos += running.with_context(|| format!("{} has no time", path.display()))?;
    }
    Ok(nanos as f64 / 1e9)
}

/// The middle of the values, 0 if there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn thread_secs() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
