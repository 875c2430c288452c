//! What a capture of stacks needs of the programs.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, anyhow};
use libbpf_rs::libbpf_sys::bpf_map_create_opts;
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, MapType};
use rustix::time::{ClockId, clock_gettime};

use super::site::{How, Site};
use super::{
    After, Probes, Way, call_key, heap_class, heap_sampled, object_key, remove, sampled_call, table,
};
use crate::collect::allocator::Allocator;
use crate::collect::heap::sampling::{Counted, N_CLASSES};
use crate::stacks::wire::Standing;

/// Processes of which stacks can be captured at a time: `HEAP_CAPTURES` of bpf/heap.h.
pub(in crate::collect::heap) const N_CAPTURES: u32 = 12;
/// What a capture's ring buffer holds: `HEAP_RING_BYTES` of bpf/heap.h.
const RING_BYTES: u32 = 4 << 20;

/// The ring buffer of one capture.
pub(in crate::collect::heap) type Ring = MapHandle;

impl Probes {
    /// Whether the calls of a capture are followed to their return, where their memory is known.
    pub fn follows(&self) -> bool {
        self.may_return
    }

    /// Makes the ring buffer of a capture, into which stacks go from when the capture is on.
    pub fn make_ring(&self, capture: u32) -> Result<Ring> {
        let options = bpf_map_create_opts {
            sz: size_of::<bpf_map_create_opts>() as _,
            ..Default::default()
        };
        let ring = MapHandle::create(MapType::RingBuf, Some("stacks"), 0, 0, RING_BYTES, &options)
            .context("making a ring buffer for stacks")?;
        let fd = ring.as_fd().as_raw_fd();
        self.skeleton
            .maps
            .rings
            .update(&capture.to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)
            .context("setting up a ring buffer for stacks")?;
        Ok(ring)
    }

    /// Takes a capture's ring buffer away: who still reads it has all that there will be.
    pub fn remove_ring(&self, capture: u32) -> Result<()> {
        self.skeleton
            .maps
            .rings
            .delete(&capture.to_ne_bytes())
            .context("removing a ring buffer")
    }

    /// Puts in what stacks need besides the probes that are in already.
    pub fn attach_for_stacks(
        &self,
        slot: u32,
        pid: u32,
        allocators: &[Allocator],
    ) -> Result<Vec<Link>> {
        let pid = i32::try_from(pid).context("a pid is a positive number")?;
        let mut links = Vec::new();
        if self.way == Way::Session || !self.may_return {
            return Ok(links);
        }
        let progs = &self.skeleton.progs;
        for allocator in allocators {
            let site = Site {
                slot,
                pid,
                allocator,
            };
            match self.way {
                Way::Multi => links.extend(site.many(&progs.heap_leave, How::Captured)?),
                _ => links.extend(site.each(&progs.heap_leave_one, How::Captured)?),
            }
        }
        Ok(links)
    }

    /// Has stacks of a slot's process sampled from now on.
    pub fn capture(&self, slot: u32, capture: u32) -> Result<()> {
        self.forget_sampled(slot)?;
        self.set_capturing(slot, capture + 1)
    }

    /// No stacks are sampled from now on, and what stands stays as it is.
    pub fn stop_capturing(&self, slot: u32) -> Result<()> {
        self.set_capturing(slot, 0)
    }

    fn set_capturing(&self, slot: u32, capture: u32) -> Result<()> {
        let follows = u32::from(self.follows());
        let bytes = [capture.to_ne_bytes(), follows.to_ne_bytes()].concat();
        self.skeleton
            .maps
            .capturing
            .update(&slot.to_ne_bytes(), &bytes, MapFlags::ANY)
            .context("switching the capture of stacks")
    }

    /// Forgets what of a slot's process was sampled.
    pub fn forget_sampled(&self, slot: u32) -> Result<()> {
        let maps = &self.skeleton.maps;
        remove::<object_key, heap_sampled>(&maps.sampled, |key| key.slot == u64::from(slot))?;
        remove::<call_key, sampled_call>(&maps.sampled_calls, |key| key.slot == slot)
    }

    /// What of a slot's process was sampled and stands.
    pub fn standing(&self, slot: u32) -> Result<Vec<Standing>> {
        let map = MapHandle::try_from(&self.skeleton.maps.sampled)
            .context("looking at the table of samples")?;
        let time = clock_gettime(ClockId::Monotonic);
        let now_ns = time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs();
        let mut standing = Vec::new();
        table::read(
            &map,
            After::Keep,
            &mut |key: &object_key, sampled: &heap_sampled| {
                if key.slot == u64::from(slot) {
                    standing.push(Standing {
                        id: sampled.id,
                        age_ns: now_ns.saturating_sub(sampled.time_ns),
                        bytes: sampled.holds,
                    });
                }
            },
        )?;
        Ok(standing)
    }

    /// Sets how finely each class of sizes is sampled in a capture, in bytes.
    pub fn set_sampling(&self, capture: u32, sampling: &[u64; N_CLASSES]) -> Result<()> {
        for (key, bytes) in keys(capture).zip(sampling) {
            self.skeleton
                .maps
                .sampling
                .update(&key, &bytes.to_ne_bytes(), MapFlags::ANY)
                .context("setting how finely stacks are sampled")?;
        }
        Ok(())
    }

    /// What captures of that number have counted since the programs were loaded: only
    /// differences mean anything.
    pub fn classes(&self, capture: u32) -> Result<[Counted; N_CLASSES]> {
        let mut classes = [Counted::default(); N_CLASSES];
        for (key, class) in keys(capture).zip(&mut classes) {
            let per_cpu = self
                .skeleton
                .maps
                .classes
                .lookup_percpu(&key, MapFlags::ANY)
                .context("reading a class of sizes")?
                .unwrap_or_default();
            for bytes in &per_cpu {
                let mut of_cpu = heap_class::default();
                plain::copy_from_bytes(&mut of_cpu, bytes)
                    .map_err(|error| anyhow!("classes are of another size: {error:?}"))?;
                let sum = |a: u64, b: u64| a.wrapping_add(b);
                class.allocated_bytes = sum(class.allocated_bytes, of_cpu.allocated_bytes);
                class.freed_bytes = sum(class.freed_bytes, of_cpu.freed_bytes);
            }
        }
        Ok(classes)
    }
}

/// The classes of a capture in the tables by capture and class.
fn keys(capture: u32) -> impl Iterator<Item = [u8; 4]> {
    let first = capture * N_CLASSES as u32;
    (first..first + N_CLASSES as u32).map(u32::to_ne_bytes)
}
