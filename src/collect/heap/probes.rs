//! Drives the BPF programs that sit on allocators: the one place of the heap that knows libbpf.
//!
//! `site` says where probes go, `stacks` is what a capture of stacks needs.
#![allow(unsafe_code)]

mod site;
mod stacks;

use std::fmt;
use std::mem::MaybeUninit;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, MapMut, OpenObject};
use rustix::thread::{CapabilitySet, capabilities};

use self::site::{How, Site};
pub(super) use self::stacks::{N_CAPTURES, Ring};
use super::release::Release;
use super::totals::Totals;
use crate::collect::allocator::{Allocator, Method};
use crate::collect::bpf;
use crate::collect::table::{self, After};
use crate::config::Returns;

#[allow(
    missing_debug_implementations,
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::uninlined_format_args
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/heap.skel.rs"));
}

use skeleton::types::{
    call_key, heap_class, heap_sampled, heap_slot, heap_totals, object, object_key, pending,
    sampled_call,
};
use skeleton::{HeapSkel, HeapSkelBuilder};

/// Processes that can be measured at a time: `HEAP_SLOTS` of bpf/heap.h.
pub(super) const N_SLOTS: u32 = 64;

// SAFETY: all are plain data: integers without padding between them (checked below), of
// which each pattern of bytes is a value.
unsafe impl plain::Plain for heap_totals {}
// SAFETY: as above.
unsafe impl plain::Plain for heap_slot {}
// SAFETY: as above.
unsafe impl plain::Plain for object_key {}
// SAFETY: as above.
unsafe impl plain::Plain for call_key {}
// SAFETY: as above.
unsafe impl plain::Plain for object {}
// SAFETY: as above.
unsafe impl plain::Plain for pending {}
// SAFETY: as above.
unsafe impl plain::Plain for heap_class {}
// SAFETY: as above.
unsafe impl plain::Plain for heap_sampled {}
// SAFETY: as above.
unsafe impl plain::Plain for sampled_call {}

const _: () = assert!(size_of::<heap_totals>() == 17 * 8);
const _: () = assert!(size_of::<heap_slot>() == 10 * 8);
const _: () = assert!(size_of::<object_key>() == 2 * 8);
const _: () = assert!(size_of::<call_key>() == 2 * 4);
const _: () = assert!(size_of::<object>() == 8);
const _: () = assert!(size_of::<pending>() == 10 * 8);
const _: () = assert!(size_of::<heap_class>() == 2 * 8);
const _: () = assert!(size_of::<heap_sampled>() == 5 * 8);
const _: () = assert!(size_of::<sampled_call>() == 9 * 8);

/// The programs, loaded into the kernel, and their maps.
pub(super) struct Probes {
    skeleton: HeapSkel<'static>,
    way: Way,
    may_return: bool,
    returns: Returns,
}

/// What grants the capability that perf events of user probes take, as this file is installed.
pub const OLD_KERNEL_DROP_IN: &str = "/usr/share/doc/memleakd/examples/old-kernel.conf";

/// How probes are attached, which depends on the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One link, in which each call decides whether its return is seen.
    Session,
    /// One link for many places, another one for returns.
    Multi,
    /// A perf event for each place.
    Single,
}

impl Probes {
    /// Loads the programs in the best way that the running kernel has, and that may be.
    pub fn load(returns: Returns) -> Result<Self> {
        bpf::prepare()?;
        let release = Release::running()?;
        let may_return = returns == Returns::Auto && release.may_probe_returns();
        let mut refusal = None;
        for way in Way::of(release, may_return) {
            match load(way) {
                Ok(skeleton) => {
                    return Ok(Self {
                        skeleton,
                        way,
                        may_return,
                        returns,
                    });
                }
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(error) => Err(error).context("loading the programs that measure the heap"),
            None => bail!("measuring heaps needs Linux 5.15 or later, and this is {release}"),
        }
    }

    /// Whether allocations are counted by what they got, not by what they asked for.
    pub fn is_exact(&self) -> bool {
        self.way == Way::Session
    }

    /// Whether calls may be followed to their return.
    pub fn may_return(&self) -> bool {
        self.may_return
    }

    /// Puts probes into one process. What it does with its allocators is counted in a slot from
    /// now on, until the links are dropped.
    pub fn attach(&self, slot: u32, pid: u32, allocators: &[Allocator]) -> Result<Vec<Link>> {
        let pid = i32::try_from(pid).context("a pid is a positive number")?;
        let mut links = Vec::new();
        self.describe(slot, allocators)?;
        for allocator in allocators {
            ensure!(
                self.may_return || allocator.method != Method::Map,
                "{} cannot be measured without return probes, {}",
                allocator.name,
                self.why_no_returns()
            );
            let progs = &self.skeleton.progs;
            let site = Site {
                slot,
                pid,
                allocator,
            };
            match self.way {
                Way::Session => {
                    links.extend(site.many(&progs.heap_enter, How::EntryOnly)?);
                    links.extend(site.many(&progs.heap_session, How::Session)?);
                }
                Way::Multi => {
                    // The return first: an entry without its return would be an allocation lost.
                    if allocator.method == Method::Map {
                        links.extend(site.many(&progs.heap_leave, How::Return)?);
                    }
                    links.extend(site.many(&progs.heap_enter, How::Entry)?);
                }
                Way::Single => {
                    if allocator.method == Method::Map {
                        links.extend(site.each(&progs.heap_leave_one, How::Return)?);
                    }
                    links.extend(site.each(&progs.heap_enter_one, How::Entry)?);
                }
            }
        }
        Ok(links)
    }

    /// What to do about a kernel that does not let us put a probe in.
    pub fn refusal(&self, error: &Error) -> Error {
        let may_all =
            capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        match Release::running() {
            Ok(release) if self.way == Way::Single && !may_all => anyhow!(
                "measuring heaps on Linux {release} takes the capability CAP_SYS_ADMIN, which memleakd does not have: {OLD_KERNEL_DROP_IN} grants it, and says how"
            ),
            _ => anyhow!("putting probes into this program's own child: {error:#}"),
        }
    }

    fn why_no_returns(&self) -> &'static str {
        match self.returns {
            Returns::Auto => "by which this kernel may kill a process that is confined by seccomp",
            Returns::Never => "which heap.returns = \"never\" forbids",
        }
    }

    /// Tells the programs where a slot's allocators have their code.
    fn describe(&self, slot: u32, allocators: &[Allocator]) -> Result<()> {
        let mut about = heap_slot::default();
        let places = about.text_starts.iter_mut().zip(&mut about.text_ends);
        for ((start, end), allocator) in places.zip(allocators) {
            (*start, *end) = (allocator.text.start, allocator.text.end);
        }
        // SAFETY: `heap_slot` has no padding, so all its bytes are initialized.
        let bytes = unsafe { plain::as_bytes(&about) };
        self.skeleton
            .maps
            .slots
            .update(&slot.to_ne_bytes(), bytes, MapFlags::ANY)
            .context("setting up a slot")
    }

    /// What a slot has counted.
    pub fn read(&self, slot: u32) -> Result<Totals> {
        let per_cpu = self
            .skeleton
            .maps
            .totals
            .lookup_percpu(&slot.to_ne_bytes(), MapFlags::ANY)
            .context("reading the totals of a slot")?
            .unwrap_or_default();
        let mut sum = Totals::default();
        for bytes in &per_cpu {
            let mut of_cpu = heap_totals::default();
            plain::copy_from_bytes(&mut of_cpu, bytes)
                .map_err(|error| anyhow!("totals are of another size: {error:?}"))?;
            sum = sum.zip(Totals::from(of_cpu), u64::wrapping_add);
        }
        Ok(sum)
    }

    /// Forgets the pointers of a slot whose links are gone.
    pub fn clear(&self, slot: u32) -> Result<()> {
        let maps = &self.skeleton.maps;
        remove::<object_key, object>(&maps.objects, |key| key.slot == u64::from(slot))?;
        remove::<call_key, pending>(&maps.calls, |key| key.slot == slot)
    }
}

/// Removes what is wanted out of a map that others write to meanwhile.
fn remove<K, V>(map: &MapMut<'_>, is_wanted: impl Fn(&K) -> bool) -> Result<()>
where
    K: plain::Plain + Copy + Default,
    V: plain::Plain + Copy + Default,
{
    let map = MapHandle::try_from(map).context("looking at the table of pointers")?;
    let mut keys = Vec::new();
    table::read(&map, After::Keep, &mut |key: &K, _: &V| {
        if is_wanted(key) {
            keys.push(*key);
        }
    })?;
    for key in &keys {
        // SAFETY: the keys have no padding (checked above), so all their bytes are initialized.
        let key = unsafe { plain::as_bytes(key) };
        // That it is gone already is as good.
        let _ = map.delete(key);
    }
    Ok(())
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("way", &self.way).finish()
    }
}

impl Way {
    /// What a kernel may have, the best first.
    fn of(release: Release, may_return: bool) -> Vec<Self> {
        let ways = [
            (Self::Session, release.has_uprobe_sessions() && may_return),
            (Self::Multi, release.filters_uprobes_by_process()),
            (Self::Single, release.has_cookies()),
        ];
        ways.into_iter()
            .filter_map(|(way, has)| has.then_some(way))
            .collect()
    }
}

fn load(way: Way) -> Result<HeapSkel<'static>> {
    // Loaded once in the life of the program, and kept as long.
    let object: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = HeapSkelBuilder::default().open(object)?;
    let constants = open.maps.rodata_data.as_mut();
    constants.context("no constants in it")?.page_bytes = rustix::param::page_size() as u64;
    let programs = &mut open.progs;
    programs.heap_session.set_autoload(way == Way::Session);
    programs.heap_enter.set_autoload(way != Way::Single);
    programs.heap_leave.set_autoload(way == Way::Multi);
    programs.heap_enter_one.set_autoload(way == Way::Single);
    programs.heap_leave_one.set_autoload(way == Way::Single);
    Ok(open.load()?)
}

impl From<heap_totals> for Totals {
    fn from(totals: heap_totals) -> Self {
        Self {
            allocated_bytes: totals.allocated_bytes,
            freed_bytes: totals.freed_bytes,
            allocations: totals.allocations,
            frees: totals.frees,
            mapped_bytes: totals.mapped_bytes,
            unmapped_bytes: totals.unmapped_bytes,
            hits: totals.hits,
            stepped_hits: totals.stepped_hits,
            returns: totals.returns,
            lost_full: totals.lost_full,
            lost_unreadable: totals.lost_unreadable,
            unknown_frees: totals.unknown_frees,
            sampled: totals.sampled,
            stacks: totals.stacks,
            lost_stacks: totals.lost_stacks,
            lost_pairs: totals.lost_pairs,
            unsampled: totals.unsampled,
        }
    }
}
