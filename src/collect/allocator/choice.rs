//! Which of the allocators that a process has mapped it can be calling, and their probes.

use std::collections::HashSet;
use std::path::PathBuf;

use super::catalogue::Group;
use super::family::{Defined, Family, can_allocate_and_free};
use super::image::{Allowance, Image, Place, Symbol};
use super::mapped::Module;
use super::placement::{Placement, place_aarch64, place_x86_64};
use super::{Allocator, Function, Method, Probe};

/// Longer functions are looked at so far: what jumps back to a function's beginning is near it.
const MAX_CODE_BYTES: u64 = 16 << 10;
/// What is looked at of functions that do not say how long they are.
const UNKNOWN_CODE_BYTES: u64 = 256;

/// A file that has been read.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) module: &'a Module,
    pub(super) path: PathBuf,
    pub(super) image: Image,
    pub(super) defined: Defined,
}

/// Chooses among files that are in the order in which functions are looked up.
pub(super) fn choose(candidates: &[Candidate], allowance: &mut Allowance) -> Vec<Allocator> {
    let mut allocators: Vec<Allocator> = Vec::new();
    let mut is_malloc_found = false;
    let mut is_mapping_found = false;
    for candidate in candidates {
        let first_of_file = allocators.len();
        for heap in &candidate.defined.heaps {
            let mut functions = heap.functions.clone();
            if heap.is_exported && is_malloc_found {
                // Another one's malloc is called in its place; by its own names it still is.
                functions.retain(|symbol| !is_shared_by_name(symbol));
                if !can_allocate_and_free(&functions) {
                    continue;
                }
            }
            is_malloc_found |= heap.is_exported;
            let method = method_of(heap.family);
            allocators.extend(candidate.allocator(heap.family, method, functions, allowance));
        }
        if is_mapping_found || candidate.defined.mapping.is_empty() {
            continue;
        }
        // Also those of a static program, which exports nothing.
        is_mapping_found = true;
        let mapping = candidate.defined.mapping.clone();
        if let Some(allocator) = allocators.get_mut(first_of_file) {
            allocator.probes.extend(candidate.probes(mapping));
        } else {
            let family = candidate.defined.libc.unwrap_or(Family::Unknown);
            let allocator = candidate.allocator(family, Method::Mapping, mapping, allowance);
            allocators.extend(allocator);
        }
    }
    allocators
}

impl Candidate<'_> {
    /// An allocator with these functions; none if none of them can be probed.
    fn allocator(
        &self,
        family: Family,
        method: Method,
        mut functions: Vec<Symbol>,
        allowance: &mut Allowance,
    ) -> Option<Allocator> {
        if method == Method::Header {
            // glibc's calls its realloc.
            functions
                .retain(|symbol| !matches!(symbol.function(), Some((_, Function::Reallocarray))));
        }
        let chosen_later = functions
            .iter()
            .filter(|symbol| symbol.place == Place::ChosenLater);
        let mut skipped: Vec<_> = chosen_later
            .map(|symbol| symbol.name.text.clone())
            .collect();
        skipped.sort();
        skipped.dedup();
        let probes = self.probes(functions);
        Some(Allocator {
            name: self.name_of(family, allowance),
            method,
            path: self.path.clone(),
            file: self.module.file,
            shown_path: self.module.shown_path(),
            text: self.module.text_around(probes.first()?.offset)?,
            probes,
            skipped,
        })
    }

    fn name_of(&self, family: Family, allowance: &mut Allowance) -> String {
        match family {
            Family::Glibc => {
                let sentence = self.image.text_behind(b"release version ", allowance);
                match sentence.as_deref().and_then(version) {
                    Some(version) => format!("glibc {version}"),
                    None => "glibc".to_owned(),
                }
            }
            Family::Musl => "musl".to_owned(),
            Family::Jemalloc => "jemalloc".to_owned(),
            Family::Tcmalloc => "tcmalloc".to_owned(),
            Family::Mimalloc => "mimalloc".to_owned(),
            Family::Sanitizer(name) => name.to_owned(),
            Family::Unknown => "an unknown allocator".to_owned(),
        }
    }

    /// The probes of functions, each place once.
    fn probes(&self, mut functions: Vec<Symbol>) -> Vec<Probe> {
        functions.sort_by(|a, b| {
            let key = |symbol: &Symbol| (symbol.function(), symbol.name.text.len());
            key(a).cmp(&key(b)).then(a.name.text.cmp(&b.name.text))
        });
        let mut seen = HashSet::new();
        let mut placed = Vec::new();
        for symbol in functions {
            let (Some((_, function)), Place::Code { offset, length }) =
                (symbol.function(), symbol.place)
            else {
                continue;
            };
            if !seen.insert(offset) {
                continue;
            }
            let placement = place(&self.code(offset, length), function.n_arguments());
            let probe = Probe {
                function,
                symbol: symbol.name.text,
                entry_offset: offset,
                offset: offset + placement.offset,
                cost: placement.cost,
            };
            placed.push((probe, placement.jumps_to));
        }
        // One that only jumps to another is seen there.
        let others: HashSet<_> = placed
            .iter()
            .map(|(probe, _)| (probe.function, probe.entry_offset))
            .collect();
        placed.retain(|(probe, jumps_to)| {
            let to = jumps_to.and_then(|distance| probe.entry_offset.checked_add_signed(distance));
            let is_itself = to == Some(probe.entry_offset);
            is_itself || !to.is_some_and(|to| others.contains(&(probe.function, to)))
        });
        let mut seen = HashSet::new();
        let probes = placed.into_iter().map(|(probe, _)| probe);
        probes
            .filter(|probe| self.module.text_around(probe.offset).is_some())
            .filter(|probe| seen.insert(probe.offset))
            .collect()
    }

    fn code(&self, offset: u64, length: u64) -> Vec<u8> {
        let length = match length {
            0 => UNKNOWN_CODE_BYTES,
            length => length.min(MAX_CODE_BYTES),
        };
        self.image.code(offset, length)
    }
}

fn place(code: &[u8], n_arguments: usize) -> Placement {
    if cfg!(target_arch = "aarch64") {
        place_aarch64(code)
    } else {
        place_x86_64(code, n_arguments)
    }
}

fn method_of(family: Family) -> Method {
    match family {
        Family::Glibc => Method::Header,
        _ => Method::Map,
    }
}

fn is_shared_by_name(symbol: &Symbol) -> bool {
    symbol
        .function()
        .is_some_and(|(group, _): (Group, _)| group.is_shared_by_name())
}

/// `2.36` of `2.36.\nCopyright …`.
fn version(sentence: &[u8]) -> Option<&str> {
    let is_part = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let n = sentence.iter().take_while(is_part).count();
    let version = std::str::from_utf8(&sentence[..n]).ok()?;
    Some(version.trim_end_matches('.')).filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ends_with_the_sentence() {
        for (sentence, expected) in [
            (&b"2.36.\nCopyright (C) 2022"[..], Some("2.36")),
            (b"2.31.9000, by Roland", Some("2.31.9000")),
            (b"2.36", Some("2.36")),
            (b".", None),
            (b"x", None),
            (b"", None),
        ] {
            assert_eq!(version(sentence), expected);
        }
    }
}
