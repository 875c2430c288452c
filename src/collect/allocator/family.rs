//! Whose allocator a file has. Pure: symbols in, heaps out.

use std::collections::BTreeSet;

use super::Function;
use super::catalogue::{Group, Meaning, Sign};
use super::image::{Place, Symbol};

/// What a file has that a process could allocate with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Defined {
    pub(super) heaps: Vec<Heap>,
    /// mmap and its like.
    pub(super) mapping: Vec<Symbol>,
    /// Whose mmap that is.
    pub(super) libc: Option<Family>,
}

/// An allocator in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heap {
    pub(super) family: Family,
    /// Whether its malloc is one that other files can call, if it is the first of that name.
    pub(super) is_exported: bool,
    /// Its functions, as the file's tables have them: some twice.
    pub(super) functions: Vec<Symbol>,
}

/// Which allocator it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Glibc,
    Musl,
    Jemalloc,
    Tcmalloc,
    Mimalloc,
    Sanitizer(&'static str),
    Unknown,
}

/// Prefixes by which an allocator goes beside another one, and whose they are.
const PREFIXED: [(Group, Family); 4] = [
    (Group::Je, Family::Jemalloc),
    (Group::RustJe, Family::Jemalloc),
    (Group::Mi, Family::Mimalloc),
    (Group::Tc, Family::Tcmalloc),
];

const SANITIZERS: [(Sign, &str); 5] = [
    (Sign::AddressSanitizer, "AddressSanitizer"),
    (Sign::HwAddressSanitizer, "HWAddressSanitizer"),
    (Sign::LeakSanitizer, "LeakSanitizer"),
    (Sign::MemorySanitizer, "MemorySanitizer"),
    (Sign::ThreadSanitizer, "ThreadSanitizer"),
];

impl Group {
    /// Whether everybody calls these functions by these names, so that the first one wins.
    pub(super) fn is_shared_by_name(self) -> bool {
        matches!(self, Self::Standard | Self::Operator | Self::Mapping)
    }
}

impl Symbol {
    /// The group and the function it is of, if it is one that is defined here.
    pub(super) fn function(&self) -> Option<(Group, Function)> {
        match (self.name.meaning, self.place) {
            (Meaning::Function(group, function), Place::Code { .. } | Place::ChosenLater) => {
                Some((group, function))
            }
            _ => None,
        }
    }
}

/// Tells whose allocators a file has by its symbols.
pub(super) fn defined_in(symbols: &[Symbol]) -> Defined {
    let file = Names::of(symbols);
    if file.signs.contains(&Sign::GlibcLinker) {
        return Defined::default();
    }
    let mut heaps = Vec::new();
    let mut standard = file.standard();
    for (group, family) in PREFIXED {
        let mut functions = file.of_group(group);
        if !can_allocate_and_free(&functions) {
            continue;
        }
        let is_the_same = |standard: &Heap| {
            standard.family == family
                || standard.family == Family::Unknown
                || share_code(&standard.functions, &functions)
        };
        match standard.as_mut().filter(|standard| is_the_same(standard)) {
            Some(standard) => {
                standard.family = family;
                standard.functions.append(&mut functions);
            }
            None => heaps.push(Heap {
                family,
                is_exported: false,
                functions,
            }),
        }
    }
    if let Some(standard) = &mut standard
        && !matches!(standard.family, Family::Glibc | Family::Musl)
    {
        // Those of libstdc++ in a static program call malloc, and come by there.
        standard.functions.extend(file.of_group(Group::Operator));
        standard.functions.extend(file.of_group(Group::StandardJe));
    }
    let passes_on = |heap: &Heap| heap.family == Family::Unknown && file.passes_on();
    heaps.splice(0..0, standard.filter(|heap| !passes_on(heap)));
    Defined {
        heaps,
        mapping: file.of_group(Group::Mapping),
        libc: file.libc(),
    }
}

/// Whether these functions make a whole allocator, and do not only happen to have such a name.
pub(super) fn can_allocate_and_free(functions: &[Symbol]) -> bool {
    let has = |wanted| {
        let mut found = functions.iter().filter_map(Symbol::function);
        found.any(|(_, function)| function == wanted)
    };
    has(Function::Malloc) && has(Function::Free)
}

fn share_code(some: &[Symbol], others: &[Symbol]) -> bool {
    let is_malloc = |symbol: &&Symbol| matches!(symbol.function(), Some((_, Function::Malloc)));
    let mut mallocs = some.iter().filter(is_malloc);
    mallocs.any(|one| {
        let mut others = others.iter().filter(is_malloc);
        matches!(one.place, Place::Code { .. }) && others.any(|other| other.place == one.place)
    })
}

/// The symbols of one file, and what they tell.
struct Names<'a> {
    symbols: &'a [Symbol],
    /// Of what is defined in this file.
    signs: BTreeSet<Sign>,
    /// Of what it calls in others.
    calls: BTreeSet<Sign>,
}

impl<'a> Names<'a> {
    fn of(symbols: &'a [Symbol]) -> Self {
        let mut signs = BTreeSet::new();
        let mut calls = BTreeSet::new();
        for symbol in symbols {
            let is_call = symbol.place == Place::Elsewhere;
            match symbol.name.meaning {
                Meaning::Sign(sign) if is_call => calls.insert(sign),
                Meaning::Sign(sign) => signs.insert(sign),
                Meaning::Function(Group::Mapping, _) if is_call => calls.insert(Sign::KernelMemory),
                Meaning::Function(..) => false,
            };
        }
        Self {
            symbols,
            signs,
            calls,
        }
    }

    fn of_group(&self, wanted: Group) -> Vec<Symbol> {
        let is_wanted =
            |symbol: &&Symbol| symbol.function().is_some_and(|(group, _)| group == wanted);
        self.symbols.iter().filter(is_wanted).cloned().collect()
    }

    /// malloc and its like, without what depends on whose they are.
    fn standard(&self) -> Option<Heap> {
        let functions = self.of_group(Group::Standard);
        let malloc = functions
            .iter()
            .filter(|symbol| symbol.name.text == "malloc");
        let is_exported = malloc
            .map(|symbol| symbol.is_exported)
            .reduce(|a, b| a || b)?;
        let sanitizer = SANITIZERS
            .into_iter()
            .find(|(sign, _)| self.signs.contains(sign));
        let family = match (sanitizer, self.libc()) {
            (Some((_, name)), _) => Family::Sanitizer(name),
            _ if self.signs.contains(&Sign::Jemalloc) => Family::Jemalloc,
            _ if self.signs.contains(&Sign::Tcmalloc) => Family::Tcmalloc,
            (_, Some(libc)) => libc,
            _ => Family::Unknown,
        };
        // A static program that frees nothing has no free.
        Some(Heap {
            family,
            is_exported,
            functions,
        })
    }

    fn libc(&self) -> Option<Family> {
        if self.signs.contains(&Sign::Musl) {
            return Some(Family::Musl);
        }
        let glibc = [Sign::GlibcShared, Sign::GlibcStatic];
        let is_glibc = glibc.iter().any(|sign| self.signs.contains(sign));
        is_glibc.then_some(Family::Glibc)
    }

    /// Whether its malloc only looks on and calls the next one, as tracers' do: it finds that one,
    /// and has no way to get memory itself.
    fn passes_on(&self) -> bool {
        self.calls.contains(&Sign::NextMalloc) && !self.calls.contains(&Sign::KernelMemory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::allocator::catalogue::Catalogue;

    /// `name` is code at its own place, `name=5` at that place, `name?` in another file, `name!`
    /// chosen later, `.name` not exported.
    fn symbols(names: &str) -> Vec<Symbol> {
        let catalogue = Catalogue::new();
        let symbol = |(index, word): (usize, &str)| {
            let (is_exported, word) = match word.strip_prefix('.') {
                Some(word) => (false, word),
                None => (true, word),
            };
            let at = |offset| Place::Code { offset, length: 9 };
            let (text, place) = if let Some((text, offset)) = word.split_once('=') {
                (text, at(offset.parse().expect("a number")))
            } else if let Some(text) = word.strip_suffix('?') {
                (text, Place::Elsewhere)
            } else if let Some(text) = word.strip_suffix('!') {
                (text, Place::ChosenLater)
            } else {
                (word, at(1000 + index as u64))
            };
            let name = catalogue
                .ends_of(text.as_bytes())
                .find(|name| name.text == text);
            Symbol {
                name: name.expect("a name of the catalogue").clone(),
                place,
                is_exported,
            }
        };
        names.split(' ').enumerate().map(symbol).collect()
    }

    #[test]
    fn allocators_are_told_apart() {
        use Family::{Glibc, Jemalloc, Mimalloc, Musl, Sanitizer, Tcmalloc, Unknown};
        let none: &[(Family, bool, usize)] = &[];
        // Symbols; and of each heap its family, whether it is exported, its number of functions.
        let table = [
            (
                "glibc",
                "malloc calloc free gnu_get_libc_version",
                &[(Glibc, true, 3)][..],
            ),
            (
                "glibc in a static program",
                ".malloc .free ._int_malloc ._Znwm",
                &[(Glibc, false, 2)],
            ),
            ("musl", "malloc free __dls3", &[(Musl, true, 2)]),
            (
                "old glibc's dynamic linker",
                "malloc calloc free _rtld_global",
                none,
            ),
            (
                "jemalloc",
                "malloc free mallctl mallocx sdallocx _Znwm",
                &[(Jemalloc, true, 5)],
            ),
            (
                "jemalloc in a static program",
                ".malloc .free .mallctl .gnu_get_libc_version",
                &[(Jemalloc, false, 2)],
            ),
            (
                "jemalloc of Rust",
                "malloc? ._rjem_malloc ._rjem_sdallocx",
                &[(Jemalloc, false, 2)],
            ),
            (
                "the same in a static program",
                ".malloc .free .__libc_malloc_impl ._rjem_mallocx ._rjem_free",
                &[(Musl, false, 2), (Jemalloc, false, 2)],
            ),
            (
                "mimalloc of Rust",
                ".mi_malloc_aligned .mi_zalloc .mi_free",
                &[(Mimalloc, false, 3)],
            ),
            (
                "mimalloc that replaces",
                "malloc=5 free=6 mi_malloc=5 mi_free=6 _ZdlPv=6",
                &[(Mimalloc, true, 5)],
            ),
            (
                "the same in a static program",
                ".malloc=5 .free=6 .mi_malloc=5 .mi_free=6 ._int_malloc",
                &[(Mimalloc, false, 4)],
            ),
            (
                "mimalloc beside a libc",
                ".malloc=5 .free=6 .mi_malloc=7 .mi_free=8 ._int_malloc",
                &[(Glibc, false, 2), (Mimalloc, false, 2)],
            ),
            (
                "tcmalloc",
                "malloc=5 free=6 tc_malloc=5 tc_free=6 tc_new _Znwm",
                &[(Tcmalloc, true, 6)],
            ),
            (
                "newer tcmalloc",
                "malloc free .TCMallocInternalMalloc",
                &[(Tcmalloc, true, 2)],
            ),
            (
                "AddressSanitizer",
                "malloc free __asan_init dlsym?",
                &[(Sanitizer("AddressSanitizer"), true, 2)],
            ),
            ("its user", "malloc? free? __asan_init?", none),
            (
                "a home-made one",
                "malloc free mmap? dlsym?",
                &[(Unknown, true, 2)],
            ),
            ("one that looks on", "malloc free dlsym?", none),
            (
                "one that looks on by glibc's name",
                "malloc free __libc_malloc?",
                none,
            ),
            ("a name by chance", ".mi_free .je_malloc", none),
            (
                "a static program that frees nothing",
                ".malloc .__libc_malloc_impl",
                &[(Musl, false, 1)],
            ),
            (
                "chosen later",
                "malloc! free! gnu_get_libc_version",
                &[(Glibc, true, 2)],
            ),
            ("any library", "malloc? free? _Znwm mmap?", none),
        ];
        for (name, names, expected) in table {
            let heaps = defined_in(&symbols(names)).heaps;
            let found: Vec<_> = heaps
                .iter()
                .map(|heap| (heap.family, heap.is_exported, heap.functions.len()))
                .collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn mappings_are_whoever_defines_them() {
        let defined = defined_in(&symbols("mmap munmap __dls3"));
        assert_eq!(
            (defined.mapping.len(), defined.libc),
            (2, Some(Family::Musl))
        );
        assert_eq!(defined_in(&symbols("mmap? munmap?")).mapping, []);
    }
}
