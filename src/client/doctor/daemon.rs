//! What the running daemon says of itself.

use super::{Finding, Machine};
use crate::quantity::{Span, count};

/// How long a scan takes, and whether the daemon is of the version of this program.
pub fn scan(machine: &Machine) -> Vec<Finding> {
    let Ok(answers) = &machine.asked.answers else {
        return Vec::new();
    };
    let status = match &answers.status {
        Ok(status) => status,
        Err(_) if answers.owner.is_none() => return Vec::new(),
        Err(error) => {
            let advice = "\"journalctl -u memleakd\" may say why";
            return vec![Finding::wrong("scan", error).advise(advice)];
        }
    };
    let mut findings = Vec::new();
    if status.version != env!("CARGO_PKG_VERSION") {
        let found = format!(
            "the daemon is version {}, this program {}",
            status.version,
            env!("CARGO_PKG_VERSION")
        );
        findings.push(Finding::wrong("version", found).advise("\"systemctl restart memleakd\""));
    }
    let interval = Span::from_secs_f64(status.interval_secs);
    let millis = status.round_secs * 1000.0;
    let processes = count(status.processes, "process", "processes");
    let found = format!("{processes} every {interval}, the last time in {millis:.1} ms");
    // A round that takes that long leaves no room for what is slower at times.
    findings.push(match status.round_secs > status.interval_secs / 2.0 {
        false => Finding::ok("scan", found),
        true => Finding::wrong("scan", found).advise("set scan.interval to a longer time"),
    });
    findings
}

/// What the daemon could not see, say or keep.
pub fn losses(machine: &Machine) -> Vec<Finding> {
    let Some(status) = machine.asked.status() else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let changes = |n| count(n, "change", "changes");
    if status.dropped > 0 {
        let found = format!("{} given up, as too many waited", changes(status.dropped));
        findings.push(
            Finding::wrong("losses", found)
                .advise("silence or mend what raises so many alerts; \"journalctl -u memleakd\" has the sink that did not take them"),
        );
    }
    if status.undelivered > 0 {
        let found = format!("{} yet to be taken by a sink", changes(status.undelivered));
        findings.push(
            Finding::note("losses", found).advise(
                "if that stays so, \"journalctl -u memleakd\" says which sink does not work",
            ),
        );
    }
    if status.held_back > 0 {
        let found = format!(
            "{} held back, as alert.group_wait or alert.max_per_hour asks",
            changes(status.held_back)
        );
        findings.push(Finding::note("losses", found));
    }
    if status.stale > 0 {
        let found = format!(
            "of {} nothing is seen any more",
            count(status.stale, "open alert", "open alerts")
        );
        findings.push(Finding::note("losses", found).advise("see \"memleakctl alerts\""));
    }
    let measured = machine.asked.answers.as_ref();
    let measured = measured.map_or(&[][..], |answers| &answers.measured);
    let lost: u64 = measured.iter().map(|process| process.lost).sum();
    let calls: u64 = measured.iter().map(|process| process.calls).sum();
    if lost > 0 {
        let found = format!("of {calls} calls in heaps, {lost} could not be told");
        findings.push(Finding::note("losses", found).advise("see \"memleakctl top --heap\""));
    }
    if let Some(failed) = measured.iter().find(|process| !process.is_measured()) {
        let found = format!(
            "the heap of {} (pid {}) is not measured: {}",
            failed.comm,
            failed.pid,
            failed.loss.join(", ")
        );
        findings.push(Finding::note("losses", found).advise("see \"memleakctl top --heap\""));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("losses", "none are known"));
    }
    findings
}
