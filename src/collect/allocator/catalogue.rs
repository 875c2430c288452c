//! The names by which allocators' functions go, and other names that tell allocators apart.

use super::Function;
use super::Function::{
    Calloc, Free, Malloc, Memalign, Mmap, Mremap, Munmap, New, NewArray, PosixMemalign, Pvalloc,
    Realloc, Reallocarray, Valloc,
};

/// Every name that is looked for.
#[derive(Debug)]
pub(super) struct Catalogue {
    names: Vec<Name>,
    /// By a name's last byte: string tables share the ends of names, so that ends are compared.
    by_last_byte: Vec<Vec<usize>>,
}

/// A name and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) meaning: Meaning,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A function of an allocator.
    Function(Group, Function),
    /// It tells whose code a file has, or from where it has memory.
    Sign(Sign),
}

/// Names that belong together: who defines one defines the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Group {
    /// malloc and its like by their own names, by which every library calls them.
    Standard,
    /// What jemalloc has besides.
    StandardJe,
    /// operator new and operator delete of C++.
    Operator,
    /// mmap and its like.
    Mapping,
    /// jemalloc, configured with the prefix `je_`.
    Je,
    /// jemalloc, as Rust's crates have it.
    RustJe,
    /// mimalloc.
    Mi,
    /// tcmalloc.
    Tc,
}

/// What a name tells of the file that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Sign {
    GlibcShared,
    GlibcStatic,
    /// The dynamic linker of glibc, whose malloc serves nobody else, and only until 2.31.
    GlibcLinker,
    Musl,
    Jemalloc,
    Tcmalloc,
    AddressSanitizer,
    HwAddressSanitizer,
    LeakSanitizer,
    MemorySanitizer,
    ThreadSanitizer,
    /// Called to find the next one's malloc.
    NextMalloc,
    /// Called to get memory from the kernel.
    KernelMemory,
}

type Functions = &'static [(&'static str, Function)];

const STANDARD: Functions = &[
    ("malloc", Malloc),
    ("calloc", Calloc),
    ("realloc", Realloc),
    ("reallocarray", Reallocarray),
    ("free", Free),
    ("cfree", Free),
    ("free_sized", Free),
    ("free_aligned_sized", Free),
    ("memalign", Memalign),
    ("aligned_alloc", Memalign),
    ("posix_memalign", PosixMemalign),
    ("valloc", Valloc),
    ("pvalloc", Pvalloc),
];

/// xallocx is not among them: it leaves the pointer as it is, and returns no pointer.
const JEMALLOC: Functions = &[
    ("mallocx", Malloc),
    ("rallocx", Realloc),
    ("dallocx", Free),
    ("sdallocx", Free),
];

const MIMALLOC: Functions = &[
    ("zalloc", Malloc),
    ("malloc_small", Malloc),
    ("zalloc_small", Malloc),
    ("malloc_aligned", Malloc),
    ("zalloc_aligned", Malloc),
    ("malloc_aligned_at", Malloc),
    ("zalloc_aligned_at", Malloc),
    ("new", New),
    ("new_nothrow", Malloc),
    ("new_aligned", New),
    ("new_aligned_nothrow", Malloc),
    ("mallocn", Calloc),
    ("calloc_aligned", Calloc),
    ("calloc_aligned_at", Calloc),
    ("new_n", NewArray),
    ("rezalloc", Realloc),
    ("reallocf", Realloc),
    ("realloc_aligned", Realloc),
    ("realloc_aligned_at", Realloc),
    ("rezalloc_aligned", Realloc),
    ("rezalloc_aligned_at", Realloc),
    ("reallocn", Reallocarray),
    ("recalloc", Reallocarray),
    ("recalloc_aligned", Reallocarray),
    ("recalloc_aligned_at", Reallocarray),
    ("free_size", Free),
    ("free_aligned", Free),
    ("free_size_aligned", Free),
    ("heap_malloc", Memalign),
    ("heap_zalloc", Memalign),
    ("heap_malloc_small", Memalign),
    ("heap_malloc_aligned", Memalign),
    ("heap_zalloc_aligned", Memalign),
];

const TCMALLOC: Functions = &[
    ("malloc_skip_new_handler", Malloc),
    ("new", New),
    ("new_nothrow", Malloc),
    ("new_aligned", New),
    ("new_aligned_nothrow", Malloc),
    ("newarray", New),
    ("newarray_nothrow", Malloc),
    ("newarray_aligned", New),
    ("newarray_aligned_nothrow", Malloc),
    ("delete", Free),
    ("delete_nothrow", Free),
    ("delete_sized", Free),
    ("delete_aligned", Free),
    ("delete_aligned_nothrow", Free),
    ("delete_sized_aligned", Free),
    ("deletearray", Free),
    ("deletearray_nothrow", Free),
    ("deletearray_sized", Free),
    ("deletearray_aligned", Free),
    ("deletearray_aligned_nothrow", Free),
    ("deletearray_sized_aligned", Free),
];

/// As mangled for 64-bit machines; the arrays' have `a` in the place of `w` and `l`.
const OPERATORS: Functions = &[
    ("_Znwm", New),
    ("_ZnwmRKSt9nothrow_t", Malloc),
    ("_ZnwmSt11align_val_t", New),
    ("_ZnwmSt11align_val_tRKSt9nothrow_t", Malloc),
    ("_Znam", New),
    ("_ZnamRKSt9nothrow_t", Malloc),
    ("_ZnamSt11align_val_t", New),
    ("_ZnamSt11align_val_tRKSt9nothrow_t", Malloc),
    ("_ZdlPv", Free),
    ("_ZdlPvm", Free),
    ("_ZdlPvRKSt9nothrow_t", Free),
    ("_ZdlPvSt11align_val_t", Free),
    ("_ZdlPvmSt11align_val_t", Free),
    ("_ZdlPvSt11align_val_tRKSt9nothrow_t", Free),
    ("_ZdaPv", Free),
    ("_ZdaPvm", Free),
    ("_ZdaPvRKSt9nothrow_t", Free),
    ("_ZdaPvSt11align_val_t", Free),
    ("_ZdaPvmSt11align_val_t", Free),
    ("_ZdaPvSt11align_val_tRKSt9nothrow_t", Free),
];

const MAPPING: Functions = &[
    ("mmap", Mmap),
    ("mmap64", Mmap),
    ("munmap", Munmap),
    ("mremap", Mremap),
];

const GROUPS: &[(Group, &str, &[Functions])] = &[
    (Group::Standard, "", &[STANDARD]),
    (Group::StandardJe, "", &[JEMALLOC]),
    (Group::Operator, "", &[OPERATORS]),
    (Group::Mapping, "", &[MAPPING]),
    (Group::Je, "je_", &[STANDARD, JEMALLOC]),
    (Group::RustJe, "_rjem_", &[STANDARD, JEMALLOC]),
    (Group::Mi, "mi_", &[STANDARD, MIMALLOC]),
    (Group::Tc, "tc_", &[STANDARD, TCMALLOC]),
];

const SIGNS: &[(&str, Sign)] = &[
    ("gnu_get_libc_version", Sign::GlibcShared),
    ("_int_malloc", Sign::GlibcStatic),
    ("__libc_memalign", Sign::GlibcStatic),
    ("_rtld_global", Sign::GlibcLinker),
    // musl's dynamic linker, which is its libc, and its static libc: from 1.2.2, and older.
    ("__dls3", Sign::Musl),
    ("__libc_malloc_impl", Sign::Musl),
    ("__malloc_donate", Sign::Musl),
    ("__expand_heap", Sign::Musl),
    ("mallctl", Sign::Jemalloc),
    ("MallocExtension_GetNumericProperty", Sign::Tcmalloc),
    (
        "MallocExtension_Internal_GetNumericProperty",
        Sign::Tcmalloc,
    ),
    ("TCMallocInternalMalloc", Sign::Tcmalloc),
    ("__asan_init", Sign::AddressSanitizer),
    ("__hwasan_init", Sign::HwAddressSanitizer),
    ("__lsan_init", Sign::LeakSanitizer),
    ("__msan_init", Sign::MemorySanitizer),
    ("__tsan_init", Sign::ThreadSanitizer),
    ("dlsym", Sign::NextMalloc),
    ("dlvsym", Sign::NextMalloc),
    ("__libc_malloc", Sign::NextMalloc),
    ("brk", Sign::KernelMemory),
    ("sbrk", Sign::KernelMemory),
    ("syscall", Sign::KernelMemory),
];

impl Catalogue {
    pub(super) fn new() -> Self {
        let mut names = Vec::new();
        for (group, prefix, lists) in GROUPS {
            for (name, function) in lists.iter().flat_map(|list| list.iter()) {
                names.push(Name {
                    text: format!("{prefix}{name}"),
                    meaning: Meaning::Function(*group, *function),
                });
            }
        }
        names.extend(SIGNS.iter().map(|(name, sign)| Name {
            text: (*name).to_owned(),
            meaning: Meaning::Sign(*sign),
        }));
        let mut by_last_byte = vec![Vec::new(); 256];
        for (index, name) in names.iter().enumerate() {
            if let Some(last) = name.text.bytes().last() {
                by_last_byte[usize::from(last)].push(index);
            }
        }
        Self {
            names,
            by_last_byte,
        }
    }

    /// The names that a text ends with. None is longer than [`Self::MAX_NAME_BYTES`].
    pub(super) fn ends_of<'a, 'b>(
        &'a self,
        text: &'b [u8],
    ) -> impl Iterator<Item = &'a Name> + use<'a, 'b> {
        let ends: &[usize] = match text.last() {
            Some(last) => &self.by_last_byte[usize::from(*last)],
            None => &[],
        };
        let names = ends.iter().map(|index| &self.names[*index]);
        names.filter(|name| text.ends_with(name.text.as_bytes()))
    }

    pub(super) const MAX_NAME_BYTES: usize = 64;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_short_and_stand_for_one_thing() {
        let catalogue = Catalogue::new();
        let mut seen = HashSet::new();
        for name in &catalogue.names {
            assert!(name.text.len() <= Catalogue::MAX_NAME_BYTES, "{name:?}");
            assert!(seen.insert(&name.text), "{name:?} is there twice");
        }
    }

    #[test]
    fn all_names_that_a_text_ends_with_are_found() {
        let catalogue = Catalogue::new();
        for (text, expected) in [
            ("_rjem_malloc", &["malloc", "_rjem_malloc"][..]),
            ("x_ZdlPv", &["_ZdlPv"]),
            ("reallocarray", &["reallocarray"]),
            ("alloc", &[]),
            ("", &[]),
        ] {
            let found = catalogue.ends_of(text.as_bytes());
            let found: Vec<_> = found.map(|name| name.text.as_str()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
