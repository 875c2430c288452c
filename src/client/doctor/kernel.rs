//! What the kernel has of what memleakd needs.

use std::fs;

use super::{Finding, Machine};
use crate::collect::{OLD_KERNEL_DROP_IN, Release};

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
            let mut has = vec!["the scan", "kernel memory", "page faults"];
            if release.has_cookies() {
                has.push("heaps with stacks");
            }
            Finding::ok("kernel", format!("Linux {release} has {}", has.join(", ")))
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
        let may_all = effective(machine).map(|bits| bits & (1 << SYS_ADMIN) != 0);
        findings.push(match may_all {
            Some(true) => Finding::ok("heaps", "probes go in by perf events, with CAP_SYS_ADMIN"),
            Some(false) => {
                let found = format!("Linux {release} takes probes from nobody without CAP_SYS_ADMIN, which memleakd does not have: leaks are found, but not which code allocates");
                Finding::note("heaps", found).advise(format!("{OLD_KERNEL_DROP_IN} grants it, and says how"))
            }
            None => {
                let found = format!("Linux {release} takes probes with CAP_SYS_ADMIN only; whether memleakd has it is not known");
                Finding::note("heaps", found).advise(format!("see {OLD_KERNEL_DROP_IN}"))
            }
        });
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

/// A bit for each capability that the running daemon has.
pub fn effective(machine: &Machine) -> Option<u64> {
    let pid = machine.asked.daemon()?;
    let status = fs::read_to_string(machine.path(format!("/proc/{pid}/status"))).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
