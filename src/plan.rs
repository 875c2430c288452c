//! Who is measured: the few processes that are worth probes, out of all that there are. Pure.

mod pinpoint;

pub use pinpoint::{Progress, is_due};

use crate::config::Watch;
use crate::sample::ProcessId;

/// A process that might be measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Which process.
    pub process: ProcessId,
    /// It grows like a leak, whether or not for long enough.
    pub is_suspect: bool,
    /// A rule asks for it.
    pub is_matched: bool,
    /// How fast it has grown of late, in bytes a second.
    pub bytes_per_sec: f64,
}

/// Whose heap is measured, at most `n`: first the processes of open alerts, so that these do not
/// lose their figures, then those that grow, the fastest first. One that is `present` already stays
/// unless others grow twice as fast: what begins anew has to be looked at for a while.
pub fn measured(
    watch: Watch,
    mut candidates: Vec<Candidate>,
    alerting: &[ProcessId],
    present: &[ProcessId],
    n: usize,
) -> Vec<ProcessId> {
    if watch == Watch::Off {
        return Vec::new();
    }
    candidates.retain(|candidate| {
        candidate.is_suspect || (candidate.is_matched && watch == Watch::Matched)
    });
    for candidate in &mut candidates {
        if present.contains(&candidate.process) {
            candidate.bytes_per_sec *= 2.0;
        }
    }
    candidates.sort_by(|a, b| {
        (b.is_suspect.cmp(&a.is_suspect))
            .then(b.bytes_per_sec.total_cmp(&a.bytes_per_sec))
            .then(a.process.cmp(&b.process))
    });
    let mut chosen = Vec::new();
    let others = candidates.iter().map(|candidate| candidate.process);
    for process in alerting.iter().copied().chain(others) {
        if chosen.len() < n && !chosen.contains(&process) {
            chosen.push(process);
        }
    }
    chosen
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

    fn candidate(pid: u32, is_suspect: bool, is_matched: bool, bytes_per_sec: f64) -> Candidate {
        Candidate {
            process: process(pid),
            is_suspect,
            is_matched,
            bytes_per_sec,
        }
    }

    #[test]
    fn the_worst_come_first_and_no_more_than_there_is_room_for() {
        let candidates = vec![
            candidate(1, false, true, 0.0),
            candidate(2, true, false, 10.0),
            candidate(3, true, true, 30.0),
            candidate(4, false, true, 99.0),
            candidate(5, true, false, 20.0),
        ];
        let alerting = [process(9), process(5)];
        for (watch, n, pids) in [
            (Watch::Off, 9, &[][..]),
            (Watch::Suspects, 9, &[9, 5, 3, 2]),
            (Watch::Matched, 9, &[9, 5, 3, 2, 4, 1]),
            (Watch::Matched, 3, &[9, 5, 3]),
            (Watch::Suspects, 0, &[]),
        ] {
            let chosen = measured(watch, candidates.clone(), &alerting, &[], n);
            let found: Vec<_> = chosen.iter().map(|process| process.pid).collect();
            assert_eq!(found, pids, "{watch:?} {n}");
        }
    }

    #[test]
    fn who_is_measured_is_not_changed_for_little() {
        let present = [process(2)];
        for (other_bytes_per_sec, pids) in [(15.0, [2]), (25.0, [1])] {
            let candidates = vec![
                candidate(1, true, false, other_bytes_per_sec),
                candidate(2, true, false, 10.0),
            ];
            let chosen = measured(Watch::Suspects, candidates, &[], &present, 1);
            let found: Vec<_> = chosen.iter().map(|process| process.pid).collect();
            assert_eq!(found, pids, "{other_bytes_per_sec}");
        }
    }
}
