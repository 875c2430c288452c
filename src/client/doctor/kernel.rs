//! What the kernel has of what memleakd needs.

use std::fs;

use super::{Finding, Machine};
use crate::collect::{Host, MOST_PARANOID, OLD_KERNEL_DROP_IN, Release};

/// The bit of CAP_SYS_ADMIN.
const SYS_ADMIN: u32 = 21;

/// Its version and its types.
pub fn kernel(machine: &Machine) -> Vec<Finding> {
    let version = match machine.release {
        None => Finding::wrong("kernel", "it does not tell its version"),
        Some(release) if release < Release(5, 10, 0) => {
            let found = format!("Linux {release} has no programs that go through processes");
            Finding::wrong("kernel", found).advise("memleakd needs Linux 5.10 or later")
        }
        Some(release) => {
            let mut has = vec!["scan", "kernel memory", "page faults"];
            if release.has_cookies() {
                has.push("heaps and their stacks");
            }
            Finding::ok("kernel", format!("Linux {release}: {}", has.join(", ")))
        }
    };
    let types = machine.path("/sys/kernel/btf/vmlinux");
    let types = match types.exists() {
        true => Finding::ok("BTF", "/sys/kernel/btf/vmlinux is there"),
        false => Finding::wrong("BTF", "there is no /sys/kernel/btf/vmlinux").advise(
            "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, as distributions' own ones have; without it memleakd does not start",
        ),
    };
    vec![version, types]
}

/// Whether heaps can be measured here.
pub fn heaps(machine: &Machine) -> Vec<Finding> {
    let Some(release) = machine.release else {
        return Vec::new();
    };
    let switched_off = machine
        .config
        .as_ref()
        .is_ok_and(|config| config.heap.watch == crate::config::Watch::Off);
    if switched_off {
        return vec![Finding::note(
            "heaps",
            "switched off by heap.watch = \"off\"",
        )];
    }
    if !release.has_cookies() {
        let found = format!("Linux {release} cannot have probes in heaps");
        let advice = "Linux 5.15 or later can; leaks are found without";
        return vec![Finding::note("heaps", found).advise(advice)];
    }
    let mut findings = Vec::new();
    if release.filters_uprobes_by_process() {
        findings.push(Finding::ok(
            "heaps",
            "probes go in by one link for each allocator",
        ));
    } else {
        findings.push(old_kernel(machine, release));
    }
    if !release.may_probe_returns() {
        let found = format!(
            "Linux {release} may kill a process that is confined by seccomp for a return probe: other allocators than glibc's are not measured"
        );
        findings.push(
            Finding::note("heaps", found)
                .advise("Linux 6.12.14, 6.13.3, 6.14 and later have that mended"),
        );
    }
    findings
}

/// Whether a kernel whose probes are perf events lets the daemon have them. Since July 2025 all that
/// are kept up ask for CAP_SYS_ADMIN: the daemon has tried, and says so.
fn old_kernel(machine: &Machine, release: Release) -> Finding {
    let may_all = effective(machine).map(|bits| bits & (1 << SYS_ADMIN) != 0);
    let unit = machine.asked.unit("memleakd.service");
    let running = unit.filter(|unit| unit.active == "active");
    let was_refused = running.map(|unit| unit.status_text.contains(OLD_KERNEL_DROP_IN));
    match (may_all, was_refused) {
        (Some(true), _) | (_, Some(false)) => Finding::ok("heaps", "probes go in by perf events"),
        (Some(false), _) => {
            let found = format!(
                "Linux {release} takes probes from nobody without CAP_SYS_ADMIN, which memleakd does not have: leaks are found, but not which code allocates"
            );
            let advice = format!("{OLD_KERNEL_DROP_IN} grants it, and says how");
            Finding::note("heaps", found).advise(advice)
        }
        (None, _) => {
            let found = format!("Linux {release} may take probes with CAP_SYS_ADMIN only");
            let advice = format!("{OLD_KERNEL_DROP_IN} grants it, and says when it is needed");
            Finding::note("heaps", found).advise(advice)
        }
    }
}

/// Whether the daemon may look at page faults, which say where memory comes from that no heap knows
/// of.
pub fn page_faults(machine: &Machine) -> Vec<Finding> {
    let may_all = effective(machine).is_some_and(|bits| bits & (1 << SYS_ADMIN) != 0);
    let finding = match Host::new(&machine.root).perf_event_paranoid() {
        Some(level) if level > MOST_PARANOID && !may_all => {
            let found = format!(
                "kernel.perf_event_paranoid is {level}: of memory that no heap knows of (Go, Java, mappings) it is not found where it comes from"
            );
            let advice = format!(
                "put \"kernel.perf_event_paranoid = {MOST_PARANOID}\" into /etc/sysctl.d/memleakd.conf, and run \"sysctl --system\""
            );
            Finding::note("page faults", found).advise(advice)
        }
        _ => Finding::ok("page faults", "memleakd may sample them"),
    };
    vec![finding]
}

/// A bit for each capability that the running daemon has.
pub fn effective(machine: &Machine) -> Option<u64> {
    let pid = machine.asked.daemon()?;
    let status = fs::read_to_string(machine.path(format!("/proc/{pid}/status"))).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
