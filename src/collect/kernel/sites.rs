//! Where in the kernel a process's memory was allocated that has not been freed.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, anyhow};
use libbpf_rs::{MapCore, MapFlags, ProgramInput};
use rustix::time::{ClockId, clock_gettime};

use super::KernelMemory;
use super::programs::{
    N_FRAMES, N_NAMES, bytes_of, kernel_control, kernel_names, kernel_object, kernel_owner,
    kernel_owner_key,
};
use super::sampling::MAX_SHIFT;
use super::symbol::{self, Function};
use crate::collect::table::{self, After};
use crate::sample::ProcessId;
use crate::site::{Attribution, Frame, Site, Sites};

/// Processes whose stacks are kept at a time: `MAX_WANTED` of bpf/kernel.bpf.c.
const MAX_WANTED: usize = 8;

/// What is left of the allocations of one stack.
#[derive(Debug, Default)]
struct Group {
    bytes: u64,
    count: u64,
    /// When objects were allocated, and how many bytes each stands for.
    times: Vec<(u64, u64)>,
    has_stack: bool,
}

impl KernelMemory {
    /// Keeps the stacks of what these processes allocate from now on, the first eight of them, and
    /// of no others.
    ///
    /// In a pid namespace of our own none can be kept of one that has not allocated anything yet: to
    /// be called now and then. Forgotten at a start.
    pub fn keep_stacks(&mut self, processes: &[ProcessId]) -> Result<()> {
        let mut keys = Vec::new();
        for process in processes.iter().take(MAX_WANTED) {
            keys.extend(self.owner_keys(*process)?);
        }
        keys.truncate(MAX_WANTED);
        for key in self.wanted_keys.iter().filter(|key| !keys.contains(key)) {
            self.wanted
                .delete(key)
                .context("forgetting whose stacks are kept")?;
        }
        for key in keys.iter().filter(|key| !self.wanted_keys.contains(key)) {
            self.wanted
                .update(key, &[1], MapFlags::ANY)
                .context("telling whose stacks are kept")?;
        }
        self.tell(kernel_control {
            n_wanted: keys.len() as u32,
            ..self.told
        })?;
        self.wanted_keys = keys;
        Ok(())
    }

    /// Where in the kernel a process's memory was allocated that has not been freed: the places
    /// with the most bytes, at most so many of them.
    ///
    /// A place is a stack where stacks are kept, and otherwise the caller of the allocating
    /// function. Looks at every tracked object, which takes some milliseconds.
    pub fn sites(&mut self, process: ProcessId, at_most: usize) -> Result<Sites> {
        let keys = self.owner_keys(process)?;
        let mut used = HashSet::new();
        let mut objects = Vec::new();
        table::read(
            &self.objects,
            After::Keep,
            &mut |_: &u64, object: &kernel_object| {
                let stack = u32::try_from(object.stack).ok();
                used.extend(stack);
                if keys.iter().any(|key| bytes_of(&object.owner) == key) {
                    objects.push((*object, stack));
                }
            },
        )
        .context("reading the objects in kernel memory")?;
        let mut stacks: HashMap<u32, Vec<u64>> = HashMap::new();
        let mut groups: HashMap<Vec<u64>, Group> = HashMap::new();
        for (object, stack) in objects {
            let stack = stack.map(|id| &*stacks.entry(id).or_insert_with(|| self.stack(id)));
            let stack = stack.filter(|stack| !stack.is_empty());
            let frames = match stack {
                Some(stack) => from_caller(stack, object.call_site),
                None => vec![object.call_site],
            };
            let group = groups.entry(frames).or_default();
            group.has_stack |= stack.is_some();
            group.add(&object);
        }
        self.forget_unused(&used)?;
        let mut groups: Vec<(Vec<u64>, Group)> = groups.into_iter().collect();
        groups.sort_by(|(a, one), (b, other)| {
            (Reverse(one.bytes), a).cmp(&(Reverse(other.bytes), b))
        });
        groups.truncate(at_most);
        let mut addresses: Vec<u64> = groups
            .iter()
            .flat_map(|(frames, _)| frames)
            .copied()
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let names: HashMap<u64, Option<Function>> = addresses
            .iter()
            .copied()
            .zip(self.functions(&addresses))
            .collect();
        let now = clock_gettime(ClockId::Monotonic);
        let now_ns = now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned();
        let is_hidden = !addresses.is_empty() && names.values().all(Option::is_none);
        let sites = groups.into_iter().map(|(frames, group)| {
            let frames = frames.iter().map(|address| frame(names.get(address)));
            group.site(frames.collect(), now_ns)
        });
        Ok(Sites {
            sites: sites.collect(),
            loss: is_hidden
                .then(|| format!("names of the kernel's functions: {HIDDEN}"))
                .into_iter()
                .collect(),
        })
    }

    /// Forgets all stacks, and whose are kept. No object may be left that has one.
    pub(super) fn clear_stacks(&mut self) -> Result<()> {
        for key in std::mem::take(&mut self.wanted_keys) {
            self.wanted
                .delete(&key)
                .context("forgetting whose stacks are kept")?;
        }
        self.unused_stacks.clear();
        self.forget_unused(&HashSet::new())?;
        self.forget_unused(&HashSet::new())
    }

    /// What the programs call a process. In a pid namespace that takes that it is in the table.
    fn owner_keys(&self, process: ProcessId) -> Result<Vec<[u8; 16]>> {
        if self.told.reader_pid_level == 0 {
            let key = kernel_owner_key {
                start_time_ns: process.start_time_ns,
                tgid: process.pid,
                ..kernel_owner_key::default()
            };
            return Ok(<[u8; 16]>::try_from(bytes_of(&key)).into_iter().collect());
        }
        let mut keys = Vec::new();
        table::read(
            &self.owners,
            After::Keep,
            &mut |key: &kernel_owner_key, owner: &kernel_owner| {
                if key.start_time_ns == process.start_time_ns && owner.pid == process.pid {
                    keys.extend(<[u8; 16]>::try_from(bytes_of(key)).ok());
                }
            },
        )
        .context("reading kernel memory by process")?;
        Ok(keys)
    }

    /// A stack by its number, nothing if it is gone.
    fn stack(&self, id: u32) -> Vec<u64> {
        let bytes = self.stacks.lookup(&id.to_ne_bytes(), MapFlags::ANY);
        let bytes = bytes.ok().flatten().unwrap_or_default();
        let (words, _) = bytes.as_chunks();
        let frames = words.iter().map(|word| u64::from_ne_bytes(*word));
        frames.take_while(|address| *address != 0).collect()
    }

    /// Makes room for other stacks: those go that were no object's the last time and are none's
    /// now, as one that is new may be that of an object which is not entered yet.
    fn forget_unused(&mut self, used: &HashSet<u32>) -> Result<()> {
        let keys = self.stacks.keys();
        let ids = keys.filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?)));
        let unused: HashSet<u32> = ids.filter(|id| !used.contains(id)).collect();
        for id in self.unused_stacks.intersection(&unused) {
            self.stacks
                .delete(&id.to_ne_bytes())
                .context("forgetting a stack")?;
        }
        self.unused_stacks = unused;
        Ok(())
    }

    /// The functions of return addresses, as the kernel names them to a program of ours: where
    /// that is too old (before 5.13), as it shows its symbols to this process.
    fn functions(&self, addresses: &[u64]) -> Vec<Option<Function>> {
        let asked = addresses.chunks(N_NAMES).map(|some| self.ask(some));
        match asked.collect::<Result<Vec<_>>>() {
            Ok(found) if found.iter().flatten().any(Option::is_some) => found.concat(),
            Ok(_) => symbol::functions(addresses),
            Err(error) => {
                tracing::debug!("asking for names of functions: {error:#}");
                symbol::functions(addresses)
            }
        }
    }

    fn ask(&self, addresses: &[u64]) -> Result<Vec<Option<Function>>> {
        let key = 0u32.to_ne_bytes();
        let mut asked = kernel_names::default();
        for (asked, address) in asked.addresses.iter_mut().zip(addresses) {
            *asked = *address;
        }
        self.names.update(&key, bytes_of(&asked), MapFlags::ANY)?;
        self.program("name_addresses")?
            .test_run(ProgramInput::default())?;
        let answered = self.names.lookup(&key, MapFlags::ANY)?.unwrap_or_default();
        plain::copy_from_bytes(&mut asked, &answered).map_err(|error| anyhow!("{error:?}"))?;
        let names = asked.names.iter().take(addresses.len());
        Ok(names
            .map(|name| symbol::parse(&name.map(u64::to_ne_bytes).concat()))
            .collect())
    }
}

const HIDDEN: &str = "the kernel shows its symbols to CAP_SYSLOG only";

impl Group {
    fn add(&mut self, object: &kernel_object) {
        let weight = 1u64 << object.shift.min(MAX_SHIFT);
        let bytes = object.bytes.saturating_mul(weight);
        self.bytes = self.bytes.saturating_add(bytes);
        self.count = self.count.saturating_add(weight);
        self.times.push((object.time_ns, bytes));
    }

    fn site(mut self, frames: Vec<Frame>, now_ns: u64) -> Site {
        let cut = match (self.has_stack, frames.len() >= N_FRAMES) {
            (false, _) => {
                Some("its stack was not kept: that had not begun, or there were too many")
            }
            (true, true) => Some("no more frames of the kernel's are kept"),
            (true, false) => None,
        };
        Site {
            bytes: self.bytes,
            count: self.count,
            attribution: Attribution::Kernel,
            median_age_secs: self
                .median_ns()
                .map(|median_ns| now_ns.saturating_sub(median_ns) as f64 / 1e9),
            cut: cut.map(str::to_owned),
            frames,
            ..Site::default()
        }
    }

    /// By when half of the bytes had been allocated.
    fn median_ns(&mut self) -> Option<u64> {
        self.times.sort_unstable();
        let mut so_far = 0u64;
        let half = self.bytes / 2;
        let median = self.times.iter().find(|(_, bytes)| {
            so_far = so_far.saturating_add(*bytes);
            so_far > half || so_far == self.bytes
        });
        median.map(|(time_ns, _)| *time_ns)
    }
}

/// A stack without what lies between the caller of the allocating function and the program that
/// took it: tracing, and the allocator itself.
fn from_caller(stack: &[u64], caller: u64) -> Vec<u64> {
    let at = stack.iter().position(|address| *address == caller);
    stack[at.unwrap_or(0)..].to_vec()
}

/// Without its address, which would tell whoever sees the site where the kernel lies.
fn frame(function: Option<&Option<Function>>) -> Frame {
    let function = function.and_then(Option::as_ref);
    Frame {
        function: function.map(|function| function.name.clone()),
        module: function.map(|function| function.module.clone()),
        unknown: function.is_none().then(|| HIDDEN.to_owned()),
        ..Frame::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_begins_with_the_caller() {
        for (stack, caller, frames) in [
            (&[1, 2, 3, 4][..], 3, &[3, 4][..]),
            (&[3], 3, &[3]),
            (&[1, 2], 9, &[1, 2]),
            (&[3, 4, 3], 3, &[3, 4, 3]),
        ] {
            assert_eq!(from_caller(stack, caller), frames, "{stack:?} {caller}");
        }
    }

    #[test]
    fn half_of_the_bytes_had_come_by_the_median() {
        for (times, median) in [
            (&[][..], None),
            (&[(7, 100)][..], Some(7)),
            (&[(9, 100), (1, 100), (5, 100)], Some(5)),
            (&[(1, 10), (2, 10), (3, 1000)], Some(3)),
            (&[(1, 1000), (2, 10)], Some(1)),
            (&[(1, 0)], Some(1)),
        ] {
            let mut group = Group {
                bytes: times.iter().map(|(_, bytes)| bytes).sum(),
                times: times.to_vec(),
                ..Group::default()
            };
            assert_eq!(group.median_ns(), median, "{times:?}");
        }
    }

    #[test]
    fn bounds_are_those_of_the_programs() {
        let source = include_str!("../../../bpf/kernel.bpf.c");
        assert!(source.contains(&format!("#define MAX_WANTED {MAX_WANTED}\n")));
    }
}
