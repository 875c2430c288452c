//! Where a process gets probes, and by which links.

use anyhow::{Context, Result};
use libbpf_rs::{Link, ProgramMut, UprobeMultiOpts, UprobeOpts};

use crate::collect::allocator::{Allocator, Cost, Function, Method, Probe};

/// What of a function is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Entry,
    /// The entries of those of which a return is never seen.
    EntryOnly,
    Return,
    /// Entries, and those returns that the program asks for.
    Session,
    /// Returns that are seen while stacks are captured only.
    Captured,
}

impl How {
    fn is_return(self) -> bool {
        matches!(self, Self::Return | Self::Captured)
    }
}

/// Where a process gets probes.
pub(super) struct Site<'a> {
    pub slot: u32,
    pub pid: i32,
    pub allocator: &'a Allocator,
}

impl Site<'_> {
    /// All places by one link; none if there are none, as in a program that never frees.
    pub fn many(&self, program: &ProgramMut<'_>, how: How) -> Result<Option<Link>> {
        let (offsets, cookies): (Vec<_>, Vec<_>) = self
            .probes(how)
            .map(|probe| (probe.offset as usize, self.cookie(probe)))
            .unzip();
        if offsets.is_empty() {
            return Ok(None);
        }
        let options = UprobeMultiOpts {
            offsets,
            cookies,
            retprobe: how.is_return(),
            session: how == How::Session,
            ..Default::default()
        };
        program
            .attach_uprobe_multi_with_opts(self.pid, &self.allocator.path, "", options)
            .map(Some)
            .with_context(|| format!("putting probes into {}", self.allocator.shown_path))
    }

    /// A link for each place.
    pub fn each(&self, program: &ProgramMut<'_>, how: How) -> Result<Vec<Link>> {
        self.probes(how)
            .map(|probe| {
                let options = UprobeOpts {
                    cookie: self.cookie(probe),
                    retprobe: how.is_return(),
                    ..Default::default()
                };
                program
                    .attach_uprobe_with_opts(
                        self.pid,
                        &self.allocator.path,
                        probe.offset as usize,
                        options,
                    )
                    .with_context(|| format!("putting probes into {}", self.allocator.shown_path))
            })
            .collect()
    }

    /// The places of what is to be seen.
    ///
    /// What may throw never gets a return probe, as no unwinder passes one. Not by a session
    /// either: a child that was forked has inherited the probes, and there a session takes every
    /// return.
    fn probes(&self, how: How) -> impl Iterator<Item = &Probe> {
        self.allocator.probes.iter().filter(move |probe| match how {
            How::Entry => true,
            How::EntryOnly => !returns(probe.function) && !maps(probe.function),
            How::Return => returns(probe.function),
            How::Session => returns(probe.function) || maps(probe.function),
            How::Captured => {
                let is_seen_always = self.allocator.method == Method::Map;
                maps(probe.function) || returns(probe.function) && !is_seen_always
            }
        })
    }

    /// `HEAP_COOKIE` of bpf/heap.h.
    fn cookie(&self, probe: &Probe) -> u64 {
        let method = match self.allocator.method {
            Method::Header | Method::Mapping => 0,
            Method::Map => 1,
        };
        let (before, behind) = self.around(probe);
        let is_stepped = u64::from(probe.cost == Cost::Stepped);
        behind << 48
            | before << 32
            | u64::from(self.slot) << 16
            | is_stepped << 15
            | method << 8
            | id(probe.function)
    }

    /// How far before a probe the functions of glibc's allocator begin, and how far behind it the
    /// last of them does. They are neighbours; of other allocators that is not known.
    fn around(&self, probe: &Probe) -> (u64, u64) {
        if self.allocator.method != Method::Header {
            return (0, 0);
        }
        let functions = self.allocator.probes.iter().filter(|probe| {
            let is_mapping = [Function::Mmap, Function::Munmap, Function::Mremap];
            !is_mapping.contains(&probe.function)
        });
        let entries = functions.map(|probe| probe.entry_offset);
        let first = entries.clone().min().unwrap_or(probe.offset);
        let last = entries.max().unwrap_or(probe.offset);
        let distances = (
            u16::try_from(probe.offset.saturating_sub(first)),
            u16::try_from(last.saturating_sub(probe.offset)),
        );
        match distances {
            (Ok(before), Ok(behind)) => (before.into(), behind.into()),
            _ => (0, 0),
        }
    }
}

/// Whether a function's returns may be of interest, and may be probed.
fn returns(function: Function) -> bool {
    !matches!(
        function,
        Function::New
            | Function::NewArray
            | Function::Free
            | Function::Mmap
            | Function::Munmap
            | Function::Mremap
    )
}

/// Whether it maps memory past the allocator: where, is known at its return.
fn maps(function: Function) -> bool {
    matches!(function, Function::Mmap | Function::Mremap)
}

/// `enum heap_function` of bpf/heap.h.
fn id(function: Function) -> u64 {
    match function {
        Function::Malloc => 0,
        Function::Calloc => 1,
        Function::Realloc => 2,
        Function::Reallocarray => 3,
        Function::Free => 4,
        Function::Memalign => 5,
        Function::PosixMemalign => 6,
        Function::Pvalloc => 7,
        Function::Valloc => 8,
        Function::New => 9,
        Function::NewArray => 10,
        Function::Mmap => 11,
        Function::Munmap => 12,
        Function::Mremap => 13,
    }
}
