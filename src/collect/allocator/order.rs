//! In which order a process's files are searched for a function: the first that exports one wins.
//!
//! The dynamic linker's own list says: the program, what is preloaded, then what each needs in
//! turn, then what was opened later. It is in the process's memory, reached from the program's
//! headers over DT_DEBUG, as debuggers do. The process could put anything there: it would mislead
//! nobody but whoever watches it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use object::elf::{DT_DEBUG, PT_DYNAMIC, PT_PHDR};

use super::mapped::Module;
use crate::collect::Host;

/// More files than are mapped are not in earnest on the list.
const MAX_LINKS: usize = 4096;
/// Entries of the auxiliary vector: where the program headers are, and how many.
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
const MAX_HEADERS: u64 = 64;
const MAX_DYNAMIC_ENTRIES: u64 = 256;

impl Host {
    /// Sorts modules by the dynamic linker's list; what is not on it comes last, as it came.
    ///
    /// Where there is no list (a static program, or no permission) the program itself comes first.
    pub(super) fn put_in_order_of_lookup(&self, pid: u32, modules: &mut Vec<Module>) {
        let Some(auxiliary) = self.auxiliary(pid) else {
            return;
        };
        let places = self.places(pid, &auxiliary).unwrap_or_default();
        let mut pieces = BTreeMap::new();
        for (index, module) in modules.iter().enumerate() {
            let of_module = module.pieces.iter();
            pieces.extend(of_module.map(|piece| (piece.addresses.start, index)));
        }
        let mut ranks = vec![usize::MAX; modules.len()];
        for (rank, place) in places.iter().chain([&auxiliary.headers]).enumerate() {
            let piece = pieces.range(..=*place).next_back();
            let found = piece.filter(|(_, index)| modules[**index].contains(*place));
            if let Some((_, index)) = found {
                ranks[*index] = ranks[*index].min(rank);
            }
        }
        let mut ranked: Vec<_> = ranks.into_iter().zip(std::mem::take(modules)).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        modules.extend(ranked.into_iter().map(|(_, module)| module));
    }

    /// One address within each file, in the list's order.
    fn places(&self, pid: u32, auxiliary: &Auxiliary) -> io::Result<Vec<u64>> {
        let memory = Memory(File::open(self.path_of_process(pid, "mem"))?);
        let mut places = Vec::new();
        let Some(mut link) = memory.first_link(auxiliary)? else {
            return Ok(places);
        };
        while link != 0 && places.len() < MAX_LINKS {
            // l_addr, l_name, l_ld, l_next
            let [_, _, dynamic, next] = memory.words(link)?;
            places.push(dynamic);
            link = next;
        }
        Ok(places)
    }

    fn auxiliary(&self, pid: u32) -> Option<Auxiliary> {
        let bytes = self.read_of_process(pid, "auxv").ok()?;
        let value = |wanted: u64| {
            bytes.as_chunks::<16>().0.iter().find_map(|entry| {
                let (key, value) = entry.split_at(8);
                (word(key) == wanted).then(|| word(value))
            })
        };
        Some(Auxiliary {
            headers: value(AT_PHDR)?,
            n_headers: value(AT_PHNUM)?.min(MAX_HEADERS),
        })
    }
}

/// What the kernel told the program at its start.
struct Auxiliary {
    /// Where the program headers are.
    headers: u64,
    n_headers: u64,
}

struct Memory(File);

impl Memory {
    fn words<const N: usize>(&self, address: u64) -> io::Result<[u64; N]> {
        let mut words = [0; N];
        let mut bytes = [0; 8];
        for (word, n) in words.iter_mut().zip(0..) {
            let address = address
                .checked_add(8 * n)
                .ok_or(io::ErrorKind::InvalidData)?;
            self.0.read_exact_at(&mut bytes, address)?;
            *word = u64::from_le_bytes(bytes);
        }
        Ok(words)
    }

    /// The first entry of the list; none if the program has no list.
    fn first_link(&self, auxiliary: &Auxiliary) -> io::Result<Option<u64>> {
        let mut base = 0;
        let mut dynamic = None;
        for n in 0..auxiliary.n_headers {
            let header = auxiliary.headers.wrapping_add(56 * n);
            // p_type and p_flags, p_offset, p_vaddr
            let [kind, _, address] = self.words(header)?;
            match kind & 0xffff_ffff {
                kind if kind == u64::from(PT_PHDR.0) => {
                    base = auxiliary.headers.wrapping_sub(address);
                }
                kind if kind == u64::from(PT_DYNAMIC.0) => dynamic = Some(address),
                _ => {}
            }
        }
        let Some(dynamic) = dynamic else {
            return Ok(None);
        };
        for n in 0..MAX_DYNAMIC_ENTRIES {
            let entry = base.wrapping_add(dynamic).wrapping_add(16 * n);
            match self.words(entry)? {
                [0, _] => break,
                [_, 0] => {}
                [tag, debug] if tag == DT_DEBUG.0.cast_unsigned() => {
                    // r_version, r_map
                    let [_, link] = self.words(debug)?;
                    return Ok(Some(link));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
}
