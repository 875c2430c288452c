//! From registers and a copy of the stack to the places of the calls.
//!
//! The tables that compilers write for exceptions say how each function keeps its caller's
//! registers (`.eh_frame`, else `.debug_frame`). Code without such a table is taken to keep frame
//! pointers, which is right for JITs and Go; where it is not, what comes out is no code, and the
//! stack is cut there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use framehop::{ExplicitModuleSectionInfo, FrameAddress, Unwinder};

use super::attempt::lock;
use super::elf::Elf;
use super::modules::{Code, Modules};
use super::rank::Place;
use super::wire::{Kind, STACK_BYTES_MAX, StackSample};

/// Deeper stacks are cut.
pub(super) const MAX_DEPTH: usize = 128;
/// Tables of one file: those of the largest browsers have 30 MiB.
const MAX_TABLE_BYTES: u64 = 48 << 20;
/// Tables of all files.
const MAX_TABLES_BYTES: u64 = 96 << 20;

#[cfg(target_arch = "x86_64")]
type Machine = framehop::x86_64::UnwinderX86_64<Arc<[u8]>>;
#[cfg(target_arch = "aarch64")]
type Machine = framehop::aarch64::UnwinderAarch64<Arc<[u8]>>;
type Registers = <Machine as Unwinder>::UnwindRegs;

/// Walks stacks of one process.
pub(super) struct Walker {
    machine: Machine,
    cache: <Machine as Unwinder>::Cache,
    /// Where modules begin that the machine knows.
    added: HashSet<u64>,
    tables: HashMap<usize, Option<Tables>>,
    bytes_left: u64,
}

/// A stack, as far as it could be walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stack {
    /// From the caller of the allocating function outwards; never empty.
    pub(super) places: Vec<Place>,
    /// Why the outermost ones are missing, if they are.
    pub(super) cut: Option<Cut>,
}

/// Why a stack could not be walked to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The copy of the stack has so many bytes, and no more.
    CopyEnds(u32),
    /// There are more frames than [`MAX_DEPTH`].
    Deep,
    /// The code of this file has no tables, and keeps no frame pointers.
    NoTables(Place),
    /// The tables of this file do not fit the stack.
    Unfit(Place),
}

/// The sections of a file that say how its functions keep registers.
#[derive(Clone)]
struct Tables(ExplicitModuleSectionInfo<Arc<[u8]>>);

impl Walker {
    /// One that knows nothing yet.
    pub(super) fn new() -> Self {
        Self {
            machine: Machine::default(),
            cache: Default::default(),
            added: HashSet::new(),
            tables: HashMap::new(),
            bytes_left: MAX_TABLES_BYTES,
        }
    }

    /// One that goes by frame pointers alone.
    pub(super) fn without_tables() -> Self {
        Self {
            bytes_left: 0,
            ..Self::new()
        }
    }

    /// Walks a stack.
    ///
    /// The modules are not held while tables are followed: whatever comes of that, others can go
    /// on with them.
    pub(super) fn walk(&mut self, modules: &Mutex<Modules>, sample: &StackSample) -> Stack {
        let mut places = Vec::with_capacity(32);
        let mut registers = registers(sample);
        let mut at = match (sample.kind, FrameAddress::from_return_address(sample.ip)) {
            (Kind::Heap | Kind::Size | Kind::Mapping, Some(at)) => at,
            _ => FrameAddress::from_instruction_pointer(sample.ip),
        };
        let mut unread = None;
        let mut read = |address: u64| {
            let word = word_at(sample, address);
            if word.is_none() {
                unread = Some(address);
            }
            word.ok_or(())
        };
        let cut = loop {
            let address = at.address_for_lookup();
            let (place, is_code) = self.look(modules, address);
            if let (false, Some(&last)) = (is_code, places.last()) {
                // What was taken for a return address is none.
                break Some(self.fault_of(last));
            }
            places.push(place);
            if places.len() >= MAX_DEPTH {
                break Some(Cut::Deep);
            }
            let next = (self.machine).unwind_frame(at, &mut registers, &mut self.cache, &mut read);
            match next.map(|next| next.map(FrameAddress::from_return_address)) {
                Ok(Some(Some(next))) => at = next,
                // The tables say that nobody has called it, or it was called from nowhere.
                Ok(_) if self.has_tables(place) => break None,
                Ok(_) => break Some(Cut::NoTables(place)),
                Err(_) => break Some(self.fault_of(place)),
            }
        };
        let end = sample.sp.saturating_add(sample.stack.len() as u64);
        let beyond = unread.filter(|address| (end..end.saturating_add(8 << 20)).contains(address));
        let cut = match (cut, beyond) {
            (Some(Cut::Unfit(_)), Some(_)) => {
                let n_bytes = sample.stack.len().min(STACK_BYTES_MAX);
                Some(Cut::CopyEnds(u32::try_from(n_bytes).unwrap_or(u32::MAX)))
            }
            (cut, _) => cut,
        };
        Stack { places, cut }
    }

    fn has_tables(&self, place: Place) -> bool {
        let of_file = place.file().and_then(|file| self.tables.get(&file));
        of_file.is_some_and(Option::is_some)
    }

    fn fault_of(&self, place: Place) -> Cut {
        if self.has_tables(place) {
            Cut::Unfit(place)
        } else {
            Cut::NoTables(place)
        }
    }

    /// The place of an address, and whether it is code. The machine knows of it afterwards.
    fn look(&mut self, modules: &Mutex<Modules>, address: u64) -> (Place, bool) {
        let mut modules = lock(modules);
        if modules.learn(address) {
            self.machine = Machine::default();
            self.added.clear();
        }
        let loaded = match modules.at(address) {
            Code::OfFile(loaded) => loaded.clone(),
            Code::WithoutFile(_) => return (Place::absolute(address), true),
            Code::No => return (Place::absolute(address), false),
        };
        modules.follow(loaded.file);
        let Some(mapped) = modules.file(loaded.file) else {
            return (Place::absolute(address), true);
        };
        let Ok((file, elf)) = &mapped.opened else {
            return (Place::absolute(address), true);
        };
        let place = Place::of_file(loaded.file, address.wrapping_sub(loaded.bias));
        if mapped.is_distrusted || !self.added.insert(loaded.addresses.start) {
            return (place, true);
        }
        let bytes_left = &mut self.bytes_left;
        let tables = self.tables.entry(loaded.file);
        let tables = tables
            .or_insert_with(|| Tables::read(file, elf, bytes_left))
            .clone();
        drop(modules);
        if let Some(Tables(sections)) = tables {
            let base = loaded.bias.wrapping_add(sections.base_svma);
            let module = framehop::Module::new(String::new(), loaded.addresses, base, sections);
            self.machine.add_module(module);
        }
        (place, true)
    }
}

/// It has no state that is worth showing.
impl fmt::Debug for Walker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walker").finish_non_exhaustive()
    }
}

impl Tables {
    fn read(file: &File, elf: &Elf, bytes_left: &mut u64) -> Option<Self> {
        let range = |name: &str| -> Option<Range<u64>> {
            let section = elf.section(name)?;
            Some(section.address..section.address.checked_add(section.length)?)
        };
        let mut bytes = |name: &str| -> Option<Arc<[u8]>> {
            let section = elf.section(name)?;
            let max_bytes = MAX_TABLE_BYTES.min(*bytes_left);
            let bytes = section.bytes(file, max_bytes).ok()?;
            *bytes_left -= bytes.len() as u64;
            Some(bytes.into())
        };
        let eh_frame = bytes(".eh_frame").filter(|bytes| bytes.len() > 4);
        let eh_frame_hdr = eh_frame.as_ref().and_then(|_| bytes(".eh_frame_hdr"));
        let debug_frame = match eh_frame {
            None => Some(bytes(".debug_frame")?),
            Some(_) => None,
        };
        Some(Self(ExplicitModuleSectionInfo {
            base_svma: elf.base_address(),
            text_svma: range(".text"),
            got_svma: range(".got"),
            eh_frame_svma: range(".eh_frame"),
            eh_frame_hdr_svma: range(".eh_frame_hdr"),
            eh_frame,
            eh_frame_hdr,
            debug_frame,
            ..Default::default()
        }))
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(sample: &StackSample) -> Registers {
    Registers::new(sample.ip, sample.sp, sample.fp)
}

/// Pointers have 48 bits, and behind these a signature.
#[cfg(target_arch = "aarch64")]
fn registers(sample: &StackSample) -> Registers {
    let mask = framehop::aarch64::PtrAuthMask::from_max_known_address((1 << 48) - 1);
    Registers::new_with_ptr_auth_mask(mask, sample.lr, sample.sp, sample.fp)
}

fn word_at(sample: &StackSample, address: u64) -> Option<u64> {
    let start = usize::try_from(address.checked_sub(sample.sp)?).ok()?;
    let bytes = sample.stack.get(start..start.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
