//! The BPF programs that add up kernel memory, and their tables: the one place that knows libbpf's
//! own side of them.
#![allow(unsafe_code)]

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Result, ensure};
use libbpf_rs::btf::{Btf, types};
use libbpf_rs::libbpf_sys::{bpf_prog_get_info_by_fd, bpf_prog_info};
use libbpf_rs::{Object, ObjectBuilder, Program};

use super::sampling::MAX_SHIFT;
use crate::collect::bpf;

#[allow(
    dead_code,
    missing_debug_implementations,
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::uninlined_format_args
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/kernel.skel.rs"));
}

pub(super) use skeleton::types::{
    kernel_control, kernel_counters, kernel_names, kernel_object, kernel_owner, kernel_owner_key,
};

// SAFETY: all of these are plain data: every field is an integer or an array of integers, each
// pattern of bytes is a value of it, and the fields leave no padding (checked below).
unsafe impl plain::Plain for kernel_owner_key {}
// SAFETY: as above.
unsafe impl plain::Plain for kernel_owner {}
// SAFETY: as above.
unsafe impl plain::Plain for kernel_object {}
// SAFETY: as above.
unsafe impl plain::Plain for kernel_counters {}
// SAFETY: as above.
unsafe impl plain::Plain for kernel_control {}
// SAFETY: as above.
unsafe impl plain::Plain for kernel_names {}

const _: () = {
    assert!(size_of::<kernel_owner_key>() == 8 + 2 * 4);
    assert!(size_of::<kernel_owner>() == 5 * 8 + 2 * 4);
    assert!(size_of::<kernel_object>() == 16 + 3 * 8 + 2 * 4);
    assert!(size_of::<kernel_counters>() == (5 + MAX_SHIFT as usize + 1) * 8);
    assert!(size_of::<kernel_names>() == N_NAMES * (8 + NAME_BYTES));
    assert!(size_of::<kernel_control>() == 6 * 4 + 2 * 8);
};

/// `KERNEL_FRAMES`, `KERNEL_NAMES` and `KERNEL_NAME_BYTES` of bpf/kernel.h.
pub(super) const N_FRAMES: usize = 48;
pub(super) const N_NAMES: usize = 32;
pub(super) const NAME_BYTES: usize = 128;

/// The compiled programs. Not the skeleton's, which would have to borrow where they are kept.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernel.bpf.o"));
/// Who must exist; the others are of some kernels only.
const NEEDED: [&str; 4] = ["kmalloc", "kmem_cache_alloc", "kfree", "kmem_cache_free"];

/// What is hooked into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hooks {
    /// Functions too, for frees that have no tracepoint. Not every kernel allows it.
    Functions,
    Tracepoints,
}

/// Loads the programs that this kernel can have. The error says what it lacks.
pub(super) fn load_object(hooks: Hooks) -> Result<Object> {
    // libelf wants its data aligned, as the allocator does it.
    let elf = OBJECT.to_vec();
    let mut open = ObjectBuilder::default()
        .name("kernel")
        .and_then(|builder| builder.open_memory(&elf))
        .map_err(refusal)?;
    let btf = Btf::from_vmlinux().map_err(refusal)?;
    for mut program in open.progs_mut() {
        let section = program.section().to_string_lossy().into_owned();
        let exists = match section.split_once('/') {
            Some(("raw_tp" | "tp_btf", tracepoint)) => {
                let name = format!("btf_trace_{tracepoint}");
                let exists = btf.type_by_name::<types::Typedef<'_>>(&name).is_some();
                ensure!(
                    exists || !NEEDED.contains(&tracepoint),
                    "this kernel has no tracepoint {tracepoint}: kernel memory by process needs one built with CONFIG_TRACEPOINTS=y"
                );
                exists
            }
            Some((_, function)) => {
                hooks == Hooks::Functions && btf.type_by_name::<types::Func<'_>>(function).is_some()
            }
            None => true,
        };
        program.set_autoload(exists);
    }
    drop(btf);
    for mut map in open.maps_mut() {
        if map.name() == "stacks" {
            let frames = max_frames().min(N_FRAMES);
            map.set_value_size(frames as u32 * 8).map_err(refusal)?;
        }
    }
    open.load().map_err(refusal)
}

/// The longest stack that the kernel gives, which the administrator may set.
fn max_frames() -> usize {
    let set = fs::read_to_string("/proc/sys/kernel/perf_event_max_stack");
    let set = set.ok().and_then(|text| text.trim().parse().ok());
    set.unwrap_or(N_FRAMES).max(1)
}

/// A record as the kernel is given it.
pub(super) fn bytes_of<T: plain::Plain>(value: &T) -> &[u8] {
    // SAFETY: only the types above are given here, which have no padding.
    unsafe { plain::as_bytes(value) }
}

/// Calls that the kernel skipped since the programs were loaded, 0 on kernels before 5.12, which do
/// not count them.
pub(super) fn recursion_misses(object: &Object) -> u64 {
    let attached = object.progs().filter(Program::autoload);
    attached
        .map(|program| {
            let mut info = bpf_prog_info::default();
            let mut n_bytes = size_of::<bpf_prog_info>() as u32;
            // SAFETY: the kernel writes at most as many bytes as it is told to that struct,
            // all of whose fields are integers, and follows no pointer, as all are zero.
            let error = unsafe {
                bpf_prog_get_info_by_fd(
                    program.as_fd().as_raw_fd(),
                    &raw mut info,
                    &raw mut n_bytes,
                )
            };
            if error == 0 { info.recursion_misses } else { 0 }
        })
        .sum()
}

fn refusal(error: libbpf_rs::Error) -> anyhow::Error {
    bpf::refusal("add up kernel memory", &error)
}
