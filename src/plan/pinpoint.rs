//! When the stacks of a process are captured for an alert. Pure.

use crate::sample::ProcessId;

/// A capture that came to nothing is tried again after this time, and so often in all.
const RETRY_SECS: f64 = 600.0;
const TRIES: u32 = 3;
/// Another process of the same alert is captured no sooner than this after the last one: it most
/// probably runs the same code.
const OTHER_SECS: f64 = 3600.0;

/// What was captured for an alert so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Of which process.
    pub process: ProcessId,
    /// Captures with a result.
    pub n: u32,
    /// Captures since then that came to nothing.
    pub n_failed: u32,
    /// When the last one ended, in seconds of the monotonic clock.
    pub ended_secs: f64,
}

/// Whether stacks of the process that an alert speaks of are to be captured now: once, and again
/// after `again_secs`, as a second capture tells a leak from what warms up; 0 is only once.
pub fn is_due(
    now_secs: f64,
    process: ProcessId,
    before: Option<&Progress>,
    again_secs: f64,
) -> bool {
    let Some(before) = before else {
        return true;
    };
    let after_secs = match (before.process == process, before.n_failed, before.n) {
        (false, ..) => OTHER_SECS,
        (true, TRIES.., _) => return false,
        (true, 1.., _) => RETRY_SECS,
        (true, 0, 1) if again_secs > 0.0 => again_secs,
        (true, 0, 0) => 0.0,
        (true, 0, _) => return false,
    };
    now_secs >= before.ended_secs + after_secs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> ProcessId {
        ProcessId {
            pid,
            start_time_ns: 0,
        }
    }

    #[test]
    fn two_captures_tell_and_failures_are_not_repeated_for_ever() {
        let of = |pid, n, n_failed| {
            Some(Progress {
                process: process(pid),
                n,
                n_failed,
                ended_secs: 1000.0,
            })
        };
        for (before, again_secs, first_at_secs) in [
            (None, 300.0, Some(0.0)),
            (of(1, 0, 0), 300.0, Some(1000.0)),
            (of(1, 1, 0), 300.0, Some(1300.0)),
            (of(1, 1, 0), 0.0, None),
            (of(1, 2, 0), 300.0, None),
            (of(1, 0, 1), 300.0, Some(1600.0)),
            (of(1, 1, 2), 300.0, Some(1600.0)),
            (of(1, 1, 3), 300.0, None),
            (of(2, 2, 0), 300.0, Some(4600.0)),
            (of(2, 0, 3), 300.0, Some(4600.0)),
        ] {
            let is_due = |secs: f64| is_due(secs, process(1), before.as_ref(), again_secs);
            let found = (0..10_000).map(f64::from).find(|secs| is_due(*secs));
            assert_eq!(found, first_at_secs, "{before:?} {again_secs}");
        }
    }
}
