//! Times, and the medians of them.

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread that a piece of work takes, in seconds, and what comes of it.
///
/// Not the time on the clock: on a machine that others use too, most of the difference is theirs.
pub fn cpu_secs<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started_secs = thread_secs();
    let done = work();
    (thread_secs() - started_secs, done)
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
