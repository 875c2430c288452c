//! What every set of BPF programs needs of the kernel and of libbpf.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use libbpf_rs::{ErrorKind, PrintLevel};

/// Makes sure that programs can be loaded at all, and keeps libbpf quiet. The error says what the
/// kernel lacks.
pub(super) fn prepare() -> Result<()> {
    ensure!(
        Path::new("/sys/kernel/btf/vmlinux").exists(),
        "this kernel has no BTF (there is no /sys/kernel/btf/vmlinux): memleakd needs Linux 5.10 or later, built with CONFIG_DEBUG_INFO_BTF=y"
    );
    // libbpf would write to standard error, a verifier's log of many pages included.
    libbpf_rs::set_print(Some((PrintLevel::Debug, |_, text| {
        tracing::debug!("libbpf: {}", text.trim_end())
    })));
    Ok(())
}

/// What to do about a kernel that does not take programs, which are named by what they do.
pub(super) fn refusal(programs: &str, error: &libbpf_rs::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::PermissionDenied => anyhow!(
            "memleakd may not load BPF programs ({error}): it needs the capabilities CAP_BPF and CAP_PERFMON; run it as root or by its unit"
        ),
        _ => anyhow!(
            "the kernel does not take the programs that {programs} ({error}): memleakd needs Linux 5.10 or later with CONFIG_BPF_SYSCALL=y; MEMLEAKD_LOG=debug shows why"
        ),
    }
}
