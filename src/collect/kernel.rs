//! Kernel memory by process, and where in the kernel it was allocated.
//!
//! The figures are of unreclaimable slab objects, large kmallocs and per-CPU memory. What is not
//! in them, and which frees are not seen, is said at the top of `bpf/kernel.bpf.c`.

mod meminfo;
mod programs;
mod sampling;
mod sites;
mod symbol;

use std::collections::HashSet;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ProgramInput};

use self::programs::{
    Hooks, bytes_of, kernel_control, kernel_counters, kernel_object, kernel_owner,
    kernel_owner_key, load_object, recursion_misses,
};
use self::sampling::{FIRST_SHIFT, MAX_SHIFT, sampling};
use super::bpf;
use super::table::{self, After};
use crate::net::Net;
use crate::sample::ProcessId;

/// Owners that the table holds.
const MAX_OWNERS: usize = 8 << 10;
/// How many times the cost of an event there may be with stacks: of an allocation it is 2.5 to 4 us
/// in the place of 0.5 us, of a free as before.
const STACK_COST: f64 = 4.0;
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
/// Costs nothing while stopped but the tables, about 19 MiB; while started, a little for every
/// allocation and free of the kernel and more for those that are sampled.
#[derive(Debug)]
pub struct KernelMemory {
    links: Vec<Link>,
    object: Object,
    objects: MapHandle,
    owners: MapHandle,
    counters: MapHandle,
    control: MapHandle,
    stacks: MapHandle,
    wanted: MapHandle,
    names: MapHandle,
    /// Whose stacks are kept, as the programs know them.
    wanted_keys: Vec<[u8; 16]>,
    /// Stacks that were no object's when the sites were last looked at.
    unused_stacks: HashSet<u32>,
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

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    events: u64,
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
            stacks: map("stacks")?,
            wanted: map("wanted")?,
            names: map("names")?,
            wanted_keys: Vec::new(),
            unused_stacks: HashSet::new(),
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
        told.n_wanted = 0;
        told.alloc_shift = self.fixed_shift.unwrap_or(FIRST_SHIFT);
        told.free_shift = told.alloc_shift;
        told.n_cpus = u32::try_from(libbpf_rs::num_possible_cpus()?).unwrap_or(u32::MAX);
        (told.lists_start, told.lists_end) = symbol::range(&LISTS).unwrap_or_default();
        self.tell(told)?;
        self.misses_before = recursion_misses(&self.object);
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

    /// What the totals did not have at the last reading.
    pub fn loss(&self) -> KernelLoss {
        self.loss
    }

    fn follow_load(&mut self) -> Result<()> {
        let now = Instant::now();
        let counted = self.counted()?;
        let tracked = counted.tracked.map(|n| u64::try_from(n).unwrap_or(0));
        self.loss.recursion_misses =
            recursion_misses(&self.object).saturating_sub(self.misses_before);
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
        // As the allocations may all be of those whose stacks are kept.
        let times = if self.told.n_wanted > 0 {
            STACK_COST
        } else {
            1.0
        };
        let work_per_sec = self.loss.events_per_sec * times;
        let next = self
            .fixed_shift
            .unwrap_or_else(|| sampling(shift, work_per_sec, self.loss.tracked));
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
        let changing = |told: &kernel_control| (told.alloc_shift, told.free_shift, told.n_wanted);
        let same = changing(&told) == changing(&self.told);
        if !same || self.links.is_empty() {
            self.control
                .update(&0u32.to_ne_bytes(), bytes_of(&told), MapFlags::ANY)
                .context("telling the programs the sampling")?;
            self.told = told;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
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
        self.clear_stacks()?;
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

    fn program(&self, name: &str) -> Result<libbpf_rs::ProgramMut<'_>> {
        let found = self
            .object
            .progs_mut()
            .find(|program| program.name() == name);
        found.with_context(|| format!("the BPF object has no program {name}"))
    }
}

fn net(owner: &kernel_owner) -> Net {
    Net {
        allocated_bytes: owner.allocated_bytes,
        freed_bytes: owner.freed_bytes,
        calls: owner.calls,
        lost: owner.lost,
    }
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
