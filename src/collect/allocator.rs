//! Which allocators a process uses, and at which instructions their functions are to be probed.
//!
//! [`Host::allocators`] reads what the process has mapped (`mapped`), in which order its functions
//! are looked up (`order`), what each file defines (`image`, `catalogue`), decides whose malloc is
//! meant (`family`, `choice`) and where a probe costs least (`placement`). Nothing is attached and
//! nothing kept here: what has changed is found by asking again.
//!
//! All that is read belongs to whoever started the process: it is bounded, and opened through
//! `/proc/PID` only.

mod catalogue;
mod choice;
mod family;
pub(crate) mod image;
pub(crate) mod mapped;
mod order;
mod placement;

use std::ops::Range;
use std::path::PathBuf;
use std::{fmt, io};

use self::catalogue::Catalogue;
use self::choice::{Candidate, choose};
use self::family::defined_in;
use self::image::{Allowance, Image};
use super::Host;

/// An allocator that a process can be calling, and where to see that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocator {
    /// What people call it: `glibc 2.36`, `musl`, `jemalloc`, `an unknown allocator`.
    pub name: String,
    /// How freed bytes are learned.
    pub method: Method,
    /// What to open and attach to. It is below `/proc/PID` and goes when the process ends.
    pub path: PathBuf,
    /// Which file that is.
    pub file: FileId,
    /// The file's path in the process's mount namespace, harmless to show.
    pub shown_path: String,
    /// Where in the process its code is: a caller from within here is the allocator itself.
    pub text: Range<u64>,
    /// Where to probe; no two at the same place, none empty.
    pub probes: Vec<Probe>,
    /// Functions that are there but cannot be probed, as they are chosen at run time (IFUNC).
    pub skipped: Vec<String>,
}

/// A mapped file, as /proc/PID/maps names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Major number of its file system's device.
    pub device_major: u32,
    /// Minor number of its file system's device.
    pub device_minor: u32,
    /// Inode there.
    pub inode: u64,
}

/// How freed bytes are learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// The word before a chunk has its size (glibc).
    Header,
    /// The size of each pointer must be remembered.
    Map,
    /// Its malloc is not used by this process, only its mmap and its like are.
    Mapping,
}

/// A function of an allocator, and where in its file a probe goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What it does.
    pub function: Function,
    /// What it is called there.
    pub symbol: String,
    /// Where in the file it begins.
    pub entry_offset: u64,
    /// Where in the file the probe goes: the return address, and the arguments that [`Function`]
    /// names, are still in place there.
    pub offset: u64,
    /// What a hit costs.
    pub cost: Cost,
}

/// What a hit of a probe costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cost {
    /// The kernel emulates the instruction: about 1 us.
    Emulated,
    /// It steps over a copy of the instruction: up to 18 us on a virtual machine.
    Stepped,
}

/// What a function does, by its arguments. Each returns the memory, if nothing else is said.
///
/// What `…` stands for may be gone where the probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// (size, …): malloc, mallocx, operator new that does not throw.
    Malloc,
    /// (count, size, …)
    Calloc,
    /// (pointer, size, …): realloc, rallocx.
    Realloc,
    /// (pointer, count, size, …)
    Reallocarray,
    /// (pointer, …), returns nothing: free, sdallocx, operator delete.
    Free,
    /// (alignment or heap, size, …): memalign, aligned_alloc, mi_heap_malloc.
    Memalign,
    /// (where to put the memory, alignment, size), returns 0 or an error number.
    PosixMemalign,
    /// (size), aligned to a page.
    Valloc,
    /// (size), which is rounded up to whole pages.
    Pvalloc,
    /// (size, …), which may throw instead of returning: operator new.
    New,
    /// (count, size), which may throw.
    NewArray,
    /// (address, length, protection, flags, file, offset)
    Mmap,
    /// (address, length), returns 0 or -1.
    Munmap,
    /// (old address, old length, new length, flags, new address)
    Mremap,
}

impl Function {
    /// How many arguments a probe can read.
    fn n_arguments(self) -> usize {
        match self {
            Self::Malloc | Self::New | Self::Free | Self::Valloc | Self::Pvalloc => 1,
            Self::Calloc | Self::NewArray | Self::Realloc | Self::Memalign | Self::Munmap => 2,
            Self::Reallocarray | Self::PosixMemalign | Self::Mremap => 3,
            Self::Mmap => 4,
        }
    }
}

/// Why there is nothing to probe in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// It maps no file as code: a kernel thread, or a process that is about to end.
    NoCode,
    /// It is not a program for this machine's 64-bit instructions.
    Foreign,
    /// Its code is translated by valgrind, which would meet the breakpoints.
    Translated,
    /// Nothing that it maps defines an allocator's functions.
    Unknown,
    /// As before, but this many of its files could not be read, the first of them for this reason.
    Unreadable {
        /// How many.
        n_files: usize,
        /// Path and reason.
        first: String,
    },
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCode => write!(f, "it maps no file as code"),
            Self::Foreign => write!(f, "it is no 64-bit program for this machine"),
            Self::Translated => write!(f, "it runs under valgrind, which does not survive probes"),
            Self::Unknown => write!(
                f,
                "it has no allocator that exports malloc or has it in its symbol table: \
                 a static, stripped program or a runtime with its own heap"
            ),
            Self::Unreadable { n_files, first } => write!(
                f,
                "no allocator was found, and {n_files} of its files could not be read: {first}"
            ),
        }
    }
}

impl Host {
    /// Finds every allocator that a process can be calling, or says why there is none.
    ///
    /// This opens each file that is mapped as code, some milliseconds for a usual process. What is
    /// loaded later (dlopen) is found by the next call.
    ///
    /// Fails with `NotFound` if the process has ended, and with `PermissionDenied` without
    /// CAP_SYS_PTRACE.
    pub fn allocators(&self, pid: u32) -> io::Result<Result<Vec<Allocator>, Absent>> {
        let mut modules = self.mapped_modules(pid)?;
        if modules.is_empty() {
            return Ok(Err(Absent::NoCode));
        }
        if modules.iter().any(mapped::Module::is_of_valgrind) {
            return Ok(Err(Absent::Translated));
        }
        self.put_in_order_of_lookup(pid, &mut modules);

        let catalogue = Catalogue::new();
        let mut allowance = Allowance::new();
        let mut candidates = Vec::new();
        let mut unreadable = Vec::new();
        let mut n_foreign = 0;
        for module in &modules {
            let image = module
                .open(self, pid)
                .and_then(|(path, file)| Ok((path, Image::read(file, &mut allowance)?)));
            match image {
                Ok((path, Some(image))) => {
                    let symbols = image.symbols(&catalogue, &mut allowance);
                    candidates.push(Candidate {
                        module,
                        path,
                        defined: defined_in(&symbols),
                        image,
                    });
                }
                Ok((_, None)) => n_foreign += 1,
                Err(error) => unreadable.push(format!("{}: {error}", module.shown_path())),
            }
        }

        let allocators = choose(&candidates, &mut allowance);
        Ok(if !allocators.is_empty() {
            Ok(allocators)
        } else if n_foreign == modules.len() {
            Err(Absent::Foreign)
        } else if let Some(first) = unreadable.first() {
            Err(Absent::Unreadable {
                n_files: unreadable.len(),
                first: first.clone(),
            })
        } else {
            Err(Absent::Unknown)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::collect::tree::{Tree, TreeHost};

    const MAPS: &str = "\
00401000-00402000 r-xp 00001000 fe:00 77                                 /usr/bin/a
7f0000010000-7f0000012000 r-xp 00003000 fe:00 78                         /usr/lib/b.so
";

    fn absent(host: &TreeHost) -> String {
        let found = host.allocators(7).expect("a process");
        found.expect_err("no allocator").to_string()
    }

    #[test]
    fn what_is_absent_says_why() {
        let maps = |maps: &str| Tree::new().file("proc/7/maps", maps);
        let start = fs::read("/proc/self/exe").expect("this program");
        let mut foreign = start[..64].to_vec();
        foreign[4] = 1;
        let empty = [&start[..40], &[0; 24]].concat();
        let both = |tree: Tree, bytes: &[u8]| {
            tree.file("proc/7/map_files/401000-402000", bytes)
                .file("proc/7/map_files/7f0000010000-7f0000012000", bytes)
        };
        assert_eq!(absent(&maps("").host()), "it maps no file as code");
        assert_eq!(
            absent(&maps(&MAPS.replace("b.so", "vgpreload_core-amd64-linux.so")).host()),
            "it runs under valgrind, which does not survive probes"
        );
        assert_eq!(
            absent(&both(maps(MAPS), &foreign).host()),
            "it is no 64-bit program for this machine"
        );
        assert_eq!(
            absent(&both(maps(MAPS), &empty).host()),
            "it has no allocator that exports malloc or has it in its symbol table: \
             a static, stripped program or a runtime with its own heap"
        );
        assert_eq!(
            absent(&maps(MAPS).host()),
            "no allocator was found, and 2 of its files could not be read: \
             /usr/bin/a: No such file or directory (os error 2)"
        );
        let error = Tree::new().host().allocators(7).expect_err("no process");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn this_program_allocates_with_what_it_is_linked_to() {
        // No privilege is needed for one's own files.
        let allocators = Host::new("/").allocators(std::process::id());
        let allocators = allocators.expect("this process").expect("an allocator");
        let malloc = |allocator: &&Allocator| {
            let mut probes = allocator.probes.iter();
            probes.any(|probe| probe.function == Function::Malloc)
        };
        assert!(
            allocators.iter().any(|allocator| malloc(&allocator)),
            "{allocators:?}"
        );
    }
}
