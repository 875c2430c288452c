//! Drives the BPF programs that add up kernel memory by process: the one place that knows libbpf
//! for it.
//!
//! The figures are of unreclaimable slab objects, large kmallocs and per-CPU memory. What is not
//! in them, and which frees are not seen, is said at the top of `bpf/kernel.bpf.c`.
#![allow(unsafe_code)]

mod meminfo;
mod sampling;
mod symbol;

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use libbpf_rs::btf::{Btf, types};
use libbpf_rs::libbpf_sys::{bpf_prog_get_info_by_fd, bpf_prog_info};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, Program, ProgramInput};
use rustix::time::{ClockId, clock_gettime};

use self::sampling::{FIRST_SHIFT, MAX_SHIFT, sampling};
use super::bpf;
use super::table::{self, After};
use crate::net::Net;
use crate::sample::ProcessId;

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

use skeleton::types::{
    kernel_control, kernel_counters, kernel_object, kernel_owner, kernel_owner_key,
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

const _: () = {
    assert!(size_of::<kernel_owner_key>() == 8 + 2 * 4);
    assert!(size_of::<kernel_owner>() == 5 * 8 + 2 * 4);
    assert!(size_of::<kernel_object>() == 16 + 3 * 8 + 2 * 4);
    assert!(size_of::<kernel_counters>() == (5 + MAX_SHIFT as usize + 1) * 8);
    assert!(size_of::<kernel_control>() == 4 * 4 + 2 * 8);
};

/// The compiled programs. Not the skeleton's, which would have to borrow where they are kept.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernel.bpf.o"));
/// Owners that the table holds.
const MAX_OWNERS: usize = 8 << 10;
/// Who must exist; the others are of some kernels only.
const NEEDED: [&str; 4] = ["kmalloc", "kmem_cache_alloc", "kfree", "kmem_cache_free"];
/// Where the slab allocator makes a list for each page, by its names over time.
const LISTS: [&str; 3] = [
    "alloc_slab_obj_exts",
    "memcg_alloc_slab_cgroups",
    "memcg_alloc_page_obj_cgroups",
];
/// In this order, so that no allocation is tracked whose free would be missed.
const ATTACHED: [&str; 11] = [
    "process_exit",
    "kvfree_call_rcu",
    "kmem_cache_free_bulk",
    "kfree",
    "kmem_cache_free",
    "percpu_free",
    "kmalloc",
    "kmalloc_node",
    "kmem_cache_alloc",
    "kmem_cache_alloc_node",
    "percpu_alloc",
];

/// Kernel memory by process, as long as it is started.
///
/// Costs nothing while stopped but the tables, about 16 MiB; while started, a little for every
/// allocation and free of the kernel and more for those that are sampled.
#[derive(Debug)]
pub struct KernelMemory {
    links: Vec<Link>,
    object: Object,
    objects: MapHandle,
    owners: MapHandle,
    counters: MapHandle,
    control: MapHandle,
    /// What the programs have been told.
    told: kernel_control,
    /// The sampling that is kept to, if there is one.
    fixed_shift: Option<u32>,
    earlier: Option<Reading>,
    misses_before: u64,
    sees_deferred_frees: bool,
    loss: KernelLoss,
}

/// What the totals do not have, since they were started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct KernelLoss {
    /// Allocations and frees that the kernel skipped, as an interrupt's came during another.
    pub recursion_misses: u64,
    /// Sampled allocations that found the table of objects full, times their weight.
    pub objects_full: u64,
    /// Sampled allocations of processes that found no place in their table, times their weight.
    pub owners_full: u64,
    /// Operations on a table that the kernel refused.
    pub busy: u64,
    /// Sampled objects whose free was not seen, and was made up for when the address came again.
    pub frees_made_up: u64,
    /// Whether this kernel does not let the frees be hooked that wait for readers (`kfree_rcu`):
    /// they are made up for only when their addresses come again.
    pub deferred_frees_unseen: bool,
    /// Allocations and frees a second on the whole host, estimated from the sampled ones.
    pub events_per_sec: f64,
    /// Objects that are tracked now.
    pub tracked: u64,
    /// One address in so many is sampled now.
    pub one_in: u32,
}

/// A place in the kernel that has allocated for a process, and what of it has not been freed.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelSite {
    /// The function with an offset, as `alloc_pipe_info+0x5c`, or the address.
    pub function: String,
    /// Bytes not freed, by the objects' weights.
    pub bytes: u64,
    /// Objects not freed, by their weights.
    pub count: u64,
    /// How long ago the oldest of them was allocated, in seconds.
    pub oldest_secs: f64,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    events: u64,
}

#[derive(Debug, Default)]
struct SiteTotal {
    bytes: u64,
    count: u64,
    oldest_ns: u64,
}

impl KernelMemory {
    /// Loads the programs, but has none run. The error says what this kernel or process lacks.
    pub fn load() -> Result<Self> {
        bpf::prepare()?;
        let (object, sees_deferred_frees) = match load_object(Hooks::Functions) {
            Ok(object) => (object, true),
            Err(error) => {
                tracing::debug!("without hooks of functions: {error:#}");
                (load_object(Hooks::Tracepoints)?, false)
            }
        };
        let map = |name: &str| {
            let found = object.maps().find(|map| {
                map.name()
                    .to_str()
                    .is_some_and(|found| found.ends_with(name))
            });
            let map = found.with_context(|| format!("the BPF object has no table {name}"))?;
            MapHandle::try_from(&map).with_context(|| format!("keeping the table {name}"))
        };
        let told = kernel_control::default();
        Ok(Self {
            links: Vec::new(),
            objects: map("objects")?,
            owners: map("owners")?,
            counters: map("counters")?,
            control: map(".bss")?,
            object,
            told,
            fixed_shift: None,
            earlier: None,
            misses_before: 0,
            sees_deferred_frees,
            loss: KernelLoss::default(),
        })
    }

    /// Keeps to one sampling, one address in `1 << shift`, instead of following the load.
    ///
    /// For tests and measurements; holds from the next start or reading on.
    pub fn keep_sampling(&mut self, shift: u32) {
        self.fixed_shift = Some(shift.min(MAX_SHIFT));
    }

    /// Attaches the programs. All totals begin at zero.
    pub fn start(&mut self) -> Result<()> {
        self.stop();
        self.clear()
            .context("emptying the tables of kernel memory")?;
        let observe = self.program("observe_reader")?;
        observe
            .test_run(ProgramInput::default())
            .context("asking for the pid namespace")?;
        let seen = self
            .control
            .lookup(&0u32.to_ne_bytes(), MapFlags::ANY)
            .context("reading the pid namespace")?
            .unwrap_or_default();
        let mut told = kernel_control::default();
        plain::copy_from_bytes(&mut told, &seen).map_err(|error| anyhow!("{error:?}"))?;
        told.alloc_shift = self.fixed_shift.unwrap_or(FIRST_SHIFT);
        told.free_shift = told.alloc_shift;
        told.n_cpus = u32::try_from(libbpf_rs::num_possible_cpus()?).unwrap_or(u32::MAX);
        (told.lists_start, told.lists_end) = symbol::range(&LISTS).unwrap_or_default();
        self.tell(told)?;
        self.misses_before = self.recursion_misses();
        self.loss = KernelLoss {
            one_in: 1 << told.alloc_shift,
            deferred_frees_unseen: !self.sees_deferred_frees,
            ..KernelLoss::default()
        };
        self.earlier = Some(Reading {
            at: Instant::now(),
            events: 0,
        });
        let mut links = Vec::new();
        for name in ATTACHED {
            let program = self.program(name)?;
            if !program.autoload() {
                continue;
            }
            match program.attach() {
                Ok(link) => links.push(link),
                // Not every kernel can hook functions.
                Err(error) if program.section().to_string_lossy().starts_with("fentry/") => {
                    tracing::debug!("attaching {name}: {error}");
                    self.loss.deferred_frees_unseen = true;
                }
                Err(error) => return Err(error).with_context(|| format!("attaching {name}")),
            }
        }
        self.links = links;
        Ok(())
    }

    /// Detaches the programs. The totals stay as they are until the next start.
    pub fn stop(&mut self) {
        self.links.clear();
    }

    /// Reads the totals of every process that has allocated and has not ended, and follows the
    /// load with the sampling.
    pub fn read(&mut self, each: &mut dyn FnMut(ProcessId, Net)) -> Result<()> {
        let mut ended = Vec::new();
        let mut n_owners = 0;
        table::read(
            &self.owners,
            After::Keep,
            &mut |key: &kernel_owner_key, owner: &kernel_owner| {
                n_owners += 1;
                if owner.ended != 0 {
                    ended.push((*key, owner.objects <= 0));
                } else if owner.pid != 0 {
                    let process = ProcessId {
                        pid: owner.pid,
                        start_time_ns: key.start_time_ns,
                    };
                    each(process, net(owner));
                }
            },
        )
        .context("reading kernel memory by process")?;
        // The dead make room for the living, though their objects are still there.
        let is_crowded = n_owners > MAX_OWNERS / 2;
        for (key, is_empty) in ended {
            if is_empty || is_crowded {
                // It may have gone by itself since.
                if let Err(error) = self.owners.delete(bytes_of(&key)) {
                    tracing::debug!("removing a process that has ended: {error}");
                }
            }
        }
        self.follow_load()
    }

    /// Where in the kernel a process's memory was allocated that has not been freed: the places
    /// with the most bytes, at most so many of them.
    ///
    /// Looks at every tracked object, which takes some milliseconds.
    pub fn sites(&mut self, process: ProcessId, at_most: usize) -> Result<Vec<KernelSite>> {
        let mut keys = Vec::new();
        table::read(
            &self.owners,
            After::Keep,
            &mut |key: &kernel_owner_key, owner: &kernel_owner| {
                if key.start_time_ns == process.start_time_ns && owner.pid == process.pid {
                    keys.push((key.start_time_ns, key.tgid));
                }
            },
        )
        .context("reading kernel memory by process")?;
        let mut totals: HashMap<u64, SiteTotal> = HashMap::new();
        table::read(
            &self.objects,
            After::Keep,
            &mut |_: &u64, object: &kernel_object| {
                if !keys.contains(&(object.owner.start_time_ns, object.owner.tgid)) {
                    return;
                }
                let site = totals.entry(object.call_site).or_insert(SiteTotal {
                    oldest_ns: object.time_ns,
                    ..SiteTotal::default()
                });
                let weight = 1u64 << object.shift.min(MAX_SHIFT);
                site.bytes = site
                    .bytes
                    .saturating_add(object.bytes.saturating_mul(weight));
                site.count = site.count.saturating_add(weight);
                site.oldest_ns = site.oldest_ns.min(object.time_ns);
            },
        )
        .context("reading the objects in kernel memory")?;
        let mut totals: Vec<(u64, SiteTotal)> = totals.into_iter().collect();
        totals.sort_by_key(|(address, total)| (std::cmp::Reverse(total.bytes), *address));
        totals.truncate(at_most);
        let addresses: Vec<u64> = totals.iter().map(|(address, _)| *address).collect();
        let now = clock_gettime(ClockId::Monotonic);
        let now_secs = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
        let sites = totals.into_iter().zip(symbol::names(&addresses));
        Ok(sites
            .map(|((_, total), function)| KernelSite {
                function,
                bytes: total.bytes,
                count: total.count,
                oldest_secs: (now_secs - total.oldest_ns as f64 / 1e9).max(0.0),
            })
            .collect())
    }

    /// What the totals did not have at the last reading.
    pub fn loss(&self) -> KernelLoss {
        self.loss
    }

    fn follow_load(&mut self) -> Result<()> {
        let now = Instant::now();
        let counted = self.counted()?;
        let tracked = counted.tracked.map(|n| u64::try_from(n).unwrap_or(0));
        self.loss.recursion_misses = self.recursion_misses().saturating_sub(self.misses_before);
        self.loss.objects_full = counted.objects_full;
        self.loss.owners_full = counted.owners_full;
        self.loss.busy = counted.busy;
        self.loss.frees_made_up = counted.reused;
        self.loss.tracked = tracked.iter().sum();
        if let Some(earlier) = self.earlier {
            let secs = now.duration_since(earlier.at).as_secs_f64();
            // Of less than that a rate would be chance.
            if secs < 0.1 {
                return Ok(());
            }
            let n_events = counted.events.saturating_sub(earlier.events);
            self.loss.events_per_sec = n_events as f64 / secs;
        }
        self.earlier = Some(Reading {
            at: now,
            events: counted.events,
        });
        let shift = self.told.alloc_shift;
        let next = self
            .fixed_shift
            .unwrap_or_else(|| sampling(shift, self.loss.events_per_sec, self.loss.tracked));
        // A program under way may still enter an object with the sampling that was.
        let lowest = (0..)
            .zip(tracked)
            .find(|(_, n)| *n > 0)
            .map(|(shift, _)| shift);
        let free_shift = lowest.unwrap_or(next).min(shift).min(next);
        self.loss.one_in = 1 << next;
        // Frees first: none may be passed over whose object the new sampling enters.
        self.tell(kernel_control {
            free_shift,
            ..self.told
        })?;
        self.tell(kernel_control {
            alloc_shift: next,
            ..self.told
        })
    }

    fn tell(&mut self, told: kernel_control) -> Result<()> {
        let same =
            (told.alloc_shift, told.free_shift) == (self.told.alloc_shift, self.told.free_shift);
        if !same || self.links.is_empty() {
            self.control
                .update(&0u32.to_ne_bytes(), bytes_of(&told), MapFlags::ANY)
                .context("telling the programs the sampling")?;
            self.told = told;
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        table::read(
            &self.objects,
            After::Delete,
            &mut |_: &u64, _: &kernel_object| (),
        )?;
        table::read(
            &self.owners,
            After::Delete,
            &mut |_: &kernel_owner_key, _: &kernel_owner| (),
        )?;
        let n_cpus = libbpf_rs::num_possible_cpus()?;
        let zero = vec![vec![0; size_of::<kernel_counters>()]; n_cpus];
        self.counters
            .update_percpu(&0u32.to_ne_bytes(), &zero, MapFlags::ANY)?;
        Ok(())
    }

    /// The counters of all CPUs.
    fn counted(&self) -> Result<kernel_counters> {
        let mut sum = kernel_counters::default();
        let each_cpu = self
            .counters
            .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)
            .context("reading the counters of kernel memory")?
            .unwrap_or_default();
        for bytes in each_cpu {
            let mut one = kernel_counters::default();
            plain::copy_from_bytes(&mut one, &bytes).map_err(|error| anyhow!("{error:?}"))?;
            sum.events = sum.events.wrapping_add(one.events);
            sum.objects_full = sum.objects_full.wrapping_add(one.objects_full);
            sum.owners_full = sum.owners_full.wrapping_add(one.owners_full);
            sum.busy = sum.busy.wrapping_add(one.busy);
            sum.reused = sum.reused.wrapping_add(one.reused);
            for (sum, one) in sum.tracked.iter_mut().zip(one.tracked) {
                *sum = sum.wrapping_add(one);
            }
        }
        Ok(sum)
    }

    /// Since the programs were loaded, 0 on kernels before 5.12, which do not count them.
    fn recursion_misses(&self) -> u64 {
        let attached = self.object.progs().filter(Program::autoload);
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

    fn program(&self, name: &str) -> Result<libbpf_rs::ProgramMut<'_>> {
        let found = self
            .object
            .progs_mut()
            .find(|program| program.name() == name);
        found.with_context(|| format!("the BPF object has no program {name}"))
    }
}

/// What is hooked into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hooks {
    /// Functions too, for frees that have no tracepoint. Not every kernel allows it.
    Functions,
    Tracepoints,
}

fn load_object(hooks: Hooks) -> Result<Object> {
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
    open.load().map_err(refusal)
}

fn net(owner: &kernel_owner) -> Net {
    Net {
        allocated_bytes: owner.allocated_bytes,
        freed_bytes: owner.freed_bytes,
        calls: owner.calls,
        lost: owner.lost,
    }
}

fn bytes_of<T: plain::Plain>(value: &T) -> &[u8] {
    // SAFETY: only the types above are given here, which have no padding.
    unsafe { plain::as_bytes(value) }
}

fn refusal(error: libbpf_rs::Error) -> anyhow::Error {
    bpf::refusal("add up kernel memory", &error)
}

#[cfg(test)]
mod tests {
    use super::sampling::MAX_OBJECTS;
    use super::*;

    #[test]
    fn bounds_are_those_of_the_programs() {
        let source = include_str!("../../bpf/kernel.bpf.c");
        let has = |text: String| assert!(source.contains(&text), "{text}");
        has(format!("#define MAX_OBJECTS ({} << 10)", MAX_OBJECTS >> 10));
        has(format!("#define MAX_OWNERS ({} << 10)", MAX_OWNERS >> 10));
    }
}
