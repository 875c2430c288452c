//! What the resolving process gives up before it looks at anything of others.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Memory of its own, without the files that it maps.
const MAX_DATA_BYTES: u64 = 256 << 20;
const MAX_CPU_SECS: u64 = 60;
/// Files of the process, and their debug files.
const MAX_OPEN_FILES: u64 = 8192;

/// What it takes to open the files of other users' processes.
const TO_OPEN: CapabilitySet = CapabilitySet::SYS_PTRACE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::CHECKPOINT_RESTORE);

/// Bounds this process: it ends when its parent does, or when it has used more than what resolving
/// takes in earnest, and keeps no right but to open files.
pub(super) fn confine() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("tying this process to its parent")?;
    for (resource, max) in [
        (Resource::Data, MAX_DATA_BYTES),
        (Resource::Cpu, MAX_CPU_SECS),
        (Resource::Core, 0),
        (Resource::Nofile, MAX_OPEN_FILES),
    ] {
        let maximum = getrlimit(resource).maximum;
        let max = maximum.map_or(max, |maximum| maximum.min(max));
        let limit = Rlimit {
            current: Some(max),
            maximum: Some(max),
        };
        setrlimit(resource, limit).with_context(|| format!("limiting {resource:?} to {max}"))?;
    }
    // Neither is worth failing for: services may be forbidden to ask for it.
    let _ = nice(10);
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    keep(TO_OPEN)
}

/// Gives up what it took to open files, but for reading those that are to be opened once more if
/// only their owners may.
pub(super) fn confine_further<'a>(mut files: impl Iterator<Item = &'a Path>) -> Result<()> {
    let mut sets = capabilities(None).context("reading capabilities")?;
    sets.effective = CapabilitySet::empty();
    set_capabilities(None, sets).context("giving up capabilities")?;
    match files.all(|file| File::open(file).is_ok()) {
        true => sets.permitted = CapabilitySet::empty(),
        false => sets.permitted &= CapabilitySet::DAC_READ_SEARCH,
    }
    sets.effective = sets.permitted;
    set_capabilities(None, sets).context("giving up capabilities")
}

fn keep(kept: CapabilitySet) -> Result<()> {
    let had = capabilities(None).context("reading capabilities")?;
    let sets = CapabilitySets {
        effective: had.effective & kept,
        permitted: had.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    if had == sets {
        return Ok(());
    }
    set_capabilities(None, sets).context("giving up capabilities")
}
