//! The daemon as the service manager and the kernel see it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::{Finding, Machine, kernel};
use crate::quantity::{Bytes, count};

const UNIT: &str = "memleakd.service";

/// What the daemon needs, by their bits.
const NEEDED: [(u32, &str); 5] = [
    (2, "CAP_DAC_READ_SEARCH"),
    (19, "CAP_SYS_PTRACE"),
    (38, "CAP_PERFMON"),
    (39, "CAP_BPF"),
    (40, "CAP_CHECKPOINT_RESTORE"),
];
/// CAP_SYS_ADMIN, which old kernels ask for besides.
const SYS_ADMIN: u64 = 1 << 21;

/// More than this part of one processor is not what the daemon should take.
const MUCH_CPU: f64 = 0.05;

/// Whether it runs, and will after the next boot.
pub fn service(machine: &Machine) -> Vec<Finding> {
    let Some(unit) = machine.asked.unit(UNIT) else {
        let pid = machine.asked.daemon();
        return vec![match pid {
            Some(pid) => Finding::note(
                "service",
                format!("memleakd runs (pid {pid}), but systemd cannot be asked about it"),
            ),
            None if machine.asked.answers.is_err() => Finding::note(
                "service",
                "whether memleakd runs is not known without a bus to ask",
            )
            .advise("see \"systemctl status memleakd\""),
            None => Finding::wrong("service", "memleakd does not run")
                .advise("start it with \"systemctl start memleakd\""),
        }];
    };
    let mut findings = Vec::new();
    findings.push(match (unit.load.as_str(), unit.active.as_str()) {
        ("loaded", "active" | "reloading" | "refreshing") => Finding::ok(
            "service",
            format!("active (pid {}): {}", unit.main_pid, unit.status_text),
        ),
        // Somebody runs it by hand.
        ("not-found", _) if machine.asked.daemon().is_some() => {
            Finding::note("service", "memleakd runs, but not by its unit")
        }
        ("loaded", "failed") => Finding::wrong(
            "service",
            format!("memleakd.service has failed ({})", unit.result),
        )
        .advise("\"journalctl -u memleakd\" says why; then \"systemctl restart memleakd\""),
        ("loaded", state @ ("activating" | "deactivating")) => {
            Finding::wrong("service", format!("memleakd.service is {state}")).advise(
                "look again in a moment; \"journalctl -u memleakd\" says why it was restarted",
            )
        }
        ("loaded", state) => Finding::wrong("service", format!("memleakd.service is {state}"))
            .advise("\"systemctl start memleakd\""),
        (load, _) => Finding::wrong("service", format!("memleakd.service is {load}"))
            .advise("install the package again, or \"systemctl unmask memleakd\""),
    });
    if unit.load == "loaded" && unit.enabled == "disabled" {
        findings.push(
            Finding::note("service", "it is not started at boot")
                .advise("\"systemctl enable memleakd\""),
        );
    }
    if unit.n_restarts > 0 {
        let times = count(unit.n_restarts as usize, "time", "times");
        findings.push(
            Finding::note(
                "service",
                format!("it has been restarted {times} after it broke"),
            )
            .advise("\"journalctl -u memleakd\" says why"),
        );
    }
    findings
}

/// Whether the running daemon may do what it needs to, and no more.
pub fn capabilities(machine: &Machine) -> Vec<Finding> {
    let bounds = machine.asked.unit(UNIT).and_then(|unit| unit.bounding_set);
    let (has, whose) = match (kernel::effective(machine), bounds) {
        (Some(has), _) => (has, "the daemon"),
        (None, Some(bounds)) => (bounds, "the unit"),
        (None, None) => return Vec::new(),
    };
    let missing = NEEDED.iter().filter(|(bit, _)| has & (1 << bit) == 0);
    let missing: Vec<_> = missing.map(|(_, name)| *name).collect();
    if !missing.is_empty() {
        let found = format!("{whose} does not have {}", missing.join(", "));
        return vec![
            Finding::wrong("capabilities", found)
                .advise("\"systemctl cat memleakd\" shows a drop-in that takes it away, if it is not a container that does"),
        ];
    }
    let needed = NEEDED.iter().fold(0, |bits, (bit, _)| bits | 1_u64 << bit);
    let is_old = machine
        .release
        .is_some_and(|release| !release.filters_uprobes_by_process());
    let more = has & !needed & if is_old { !SYS_ADMIN } else { u64::MAX };
    vec![match more {
        0 => Finding::ok(
            "capabilities",
            format!("{whose} has what it needs, and no more"),
        ),
        SYS_ADMIN => Finding::note(
            "capabilities",
            format!("{whose} has CAP_SYS_ADMIN, which this kernel does not ask for"),
        )
        .advise("remove the drop-in that \"systemctl cat memleakd\" shows"),
        more => Finding::note(
            "capabilities",
            format!(
                "{whose} has {} more than it needs",
                count(more.count_ones() as usize, "capability", "capabilities")
            ),
        )
        .advise("run it by its unit; \"systemctl cat memleakd\" shows drop-ins"),
    }]
}

/// What it takes of the machine's memory.
pub fn memory(machine: &Machine) -> Vec<Finding> {
    let of_unit = machine.asked.unit(UNIT);
    let limit = of_unit.and_then(|unit| unit.memory_max);
    let used = of_unit.and_then(|unit| unit.memory);
    let (Some(used), is_all) = (used.or_else(|| resident(machine)), used.is_some()) else {
        return Vec::new();
    };
    let what = if is_all { "used" } else { "resident" };
    let Some(limit) = limit else {
        return vec![Finding::ok("memory", format!("{} {what}", Bytes(used)))];
    };
    let found = format!(
        "{} {what} of the {} that it may have",
        Bytes(used),
        Bytes(limit)
    );
    vec![match used > limit / 10 * 9 {
        false => Finding::ok("memory", found),
        true => Finding::wrong("memory", found)
            .advise("raise MemoryMax= with \"systemctl edit memleakd\", and please report it"),
    }]
}

/// What it takes of the machine's processors.
pub fn processor(machine: &Machine) -> Vec<Finding> {
    let Some(unit) = machine.asked.unit(UNIT) else {
        return Vec::new();
    };
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32);
    let ran = now.saturating_sub(Duration::from_micros(unit.active_since_micros));
    let Some(used) = unit.cpu_nanos.filter(|_| unit.active == "active") else {
        return Vec::new();
    };
    // What it takes to start says nothing of how it goes on.
    if ran < Duration::from_secs(60) {
        return vec![Finding::ok("processor", "it has just been started")];
    }
    let share = used as f64 / 1e9 / ran.as_secs_f64();
    let found = format!(
        "{} of one processor since it was started",
        format_args!("{:.1}%", share * 100.0)
    );
    vec![match share > MUCH_CPU {
        false => Finding::ok("processor", found),
        true => Finding::note("processor", found).advise(
            "a longer scan.interval takes less; a heap.ceiling bounds what probes cost others",
        ),
    }]
}

/// What the daemon's process has in memory.
fn resident(machine: &Machine) -> Option<u64> {
    let pid = machine.asked.daemon()?;
    let statm = std::fs::read_to_string(machine.path(format!("/proc/{pid}/statm"))).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
