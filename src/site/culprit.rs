//! Which frame of a stack a person wants to hear of: the function that asks for memory, and not
//! what every program asks through.

use super::{Attribution, Frame, Site};
use crate::site::words::file_name;

/// Names of functions that allocate for others end so, in small letters and without what
/// [`VARIANTS`] has: `xmalloc`, `g_malloc0`, `sqlite3Realloc`, `kmem_cache_alloc_noprof`, `PyMem_Calloc`.
const ENDINGS: &[&str] = &[
    "alloc", "allocate", "strdup", "strndup", "memdup", "memalign", "asprintf",
];

/// What such names have behind that.
const VARIANTS: &[&str] = &[
    "_noprof",
    "_track_caller",
    "_internal",
    "_aligned",
    "_usable",
    "_array",
    "_cache",
    "_trace",
    "_large",
    "_range",
    "_node",
    "_bulk",
    "_impl",
    "_size",
    "_lru",
    "_n",
    "extended",
    "zero",
    "0",
    "z",
    "_",
];

/// Functions that begin so are an allocator's, a library's of containers, or a runtime's. For C++
/// and Rust that is their standard library.
const BEGINNINGS: &[&str] = &[
    "std::",
    "__gnu_cxx::",
    "operator new",
    "alloc::",
    "core::",
    "hashbrown::",
    "__rust_",
    "__rdl_",
    "__rg_",
    "__libc_",
    "__GI_",
    "__interceptor_",
    "PyMem_",
    "_PyMem_",
    "PyObject_Malloc",
    "_PyObject_Malloc",
    "g_slice_",
    "g_strdup_",
    "je_",
    "mi_",
    "tc_",
];

/// Functions from which every program comes: nothing is said by naming them.
const ROOTS: &[&str] = &[
    "_start",
    "start_thread",
    "clone",
    "clone3",
    "__clone",
    "__clone3",
];

/// Libraries that do what others ask for: the C library, that of C++, and an interpreter, in whose
/// extensions leaks are.
const LIBRARIES: &[&str] = &[
    "libc.so",
    "libc-2.",
    "libc.musl-",
    "ld-musl-",
    "ld-linux",
    "libstdc++.so",
    "libc++.so",
    "libc++abi.so",
    "libpython",
    "python3",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
];

/// The first frame that is none of these, and the first of all if there is none such.
pub fn culprit(site: &Site) -> Option<&Frame> {
    let is_asking = |frame: &&Frame| !is_wrapper(frame);
    site.frames.iter().find(is_asking).or(site.frames.first())
}

/// The function that is to be named first, with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Chief<'a> {
    /// The function.
    pub frame: &'a Frame,
    /// How its bytes came to be counted.
    pub attribution: Attribution,
    /// Outstanding bytes of all sites in which it is the culprit.
    pub bytes: u64,
    /// Outstanding blocks of these.
    pub count: u64,
    /// How many sites these are.
    pub n_sites: usize,
    /// Whether the first of these grows again.
    pub grows_again: Option<bool>,
    /// Whether that is more than half of what stays at all sites, but for those that have ended.
    pub is_most: bool,
}

/// The culprit of the first site, which is where most stays, with all sites of which it is one.
pub fn chief(sites: &[Site]) -> Option<Chief<'_>> {
    let first = sites.first()?;
    let frame = culprit(first)?;
    let mut chief = Chief {
        frame,
        attribution: first.attribution,
        bytes: 0,
        count: 0,
        n_sites: 0,
        grows_again: first.grows_again,
        is_most: false,
    };
    let mut total_bytes: u64 = 0;
    let has_ended = |site: &Site| site.grows_again == Some(false);
    let alike =
        |site: &&Site| site.attribution == first.attribution && has_ended(site) == has_ended(first);
    for site in sites.iter().filter(alike) {
        total_bytes = total_bytes.saturating_add(site.bytes);
        if culprit(site).is_some_and(|other| is_same_function(frame, other)) {
            chief.bytes = chief.bytes.saturating_add(site.bytes);
            chief.count = chief.count.saturating_add(site.count);
            chief.n_sites += 1;
        }
    }
    chief.is_most = chief.bytes > total_bytes / 2;
    Some(chief)
}

/// Whether two frames are of one function, or, where they have no names, at one address.
fn is_same_function(one: &Frame, other: &Frame) -> bool {
    one.module == other.module
        && one.function == other.function
        && (one.function.is_some() || one.offset == other.offset)
}

fn is_wrapper(frame: &Frame) -> bool {
    let is_of_library = frame.module.as_deref().is_some_and(|module| {
        let name = file_name(module);
        LIBRARIES.iter().any(|library| name.starts_with(library))
    });
    is_of_library || frame.function.as_deref().is_some_and(is_wrapping)
}

fn is_wrapping(function: &str) -> bool {
    let name = plain(function);
    if BEGINNINGS
        .iter()
        .any(|beginning| name.starts_with(beginning))
        || ROOTS.contains(&name)
    {
        return true;
    }
    let last = last_part(name).to_ascii_lowercase();
    let mut last = last.as_str();
    loop {
        if ENDINGS.iter().any(|ending| last.ends_with(ending)) {
            return true;
        }
        let shorter = VARIANTS
            .iter()
            .find_map(|variant| last.strip_suffix(variant));
        match shorter {
            Some(shorter) => last = shorter,
            None => return false,
        }
    }
}

/// A function's path: without the type that a C++ template returns, without arguments, and without
/// the brackets around a type of Rust.
fn plain(function: &str) -> &str {
    let function = function.trim_start_matches(['<', '&']);
    let function = function.strip_prefix("dyn ").unwrap_or(function);
    if function.starts_with("operator") || function.starts_with("(anonymous") {
        return function;
    }
    let mut depth = 0_usize;
    let mut start = 0;
    for (index, c) in function.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' if depth == 0 => return &function[start..index],
            // `<T as Trait>::name` of Rust is about T.
            ' ' if depth == 0 && function[index..].starts_with(" as ") => {
                return &function[start..index];
            }
            ' ' if depth == 0 => start = index + 1,
            _ => {}
        }
    }
    &function[start..]
}

/// Of a path the part that says what is done, without what a template or generic is made for.
fn last_part(path: &str) -> &str {
    let mut depth = 0_usize;
    let (mut start, mut end) = (0, path.len());
    for (index, c) in path.char_indices() {
        match c {
            '<' => {
                if depth == 0 {
                    end = index;
                }
                depth += 1;
            }
            '>' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => (start, end) = (index + 1, path.len()),
            _ => {}
        }
    }
    &path[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: &str) -> Frame {
        // `module!function`, each of which may be missing.
        let (module, function) = name.split_once('!').unwrap_or(("/usr/bin/app", name));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Frame {
            module: some(module),
            function: some(function),
            offset: Some(name.len() as u64),
            ..Frame::default()
        }
    }

    fn site(bytes: u64, names: &[&str]) -> Site {
        Site {
            bytes,
            count: 1,
            frames: names.iter().map(|name| frame(name)).collect(),
            ..Site::default()
        }
    }

    #[test]
    fn the_function_that_asks_is_named_and_not_what_it_asks_through() {
        for (names, expected) in [
            (&["parse_row", "main"][..], 0),
            (&["xmalloc", "parse_row", "main"], 1),
            (
                &[
                    "g_malloc0",
                    "g_slice_alloc",
                    "g_strdup_printf",
                    "load",
                    "main",
                ],
                3,
            ),
            (&["/usr/lib/libc.so.6!__strdup", "keep_name"], 1),
            (&["/usr/lib/libc.so.6!", "/usr/bin/app!", "main"], 1),
            (&["sqlite3MemMalloc", "sqlite3Realloc", "openDatabase"], 2),
            (&["ztrymalloc_usable_internal", "zmalloc", "sdsnewlen"], 2),
            (
                &["MemoryContextAllocZero", "MemoryContextAlloc", "ExecScan"],
                2,
            ),
            (&["palloc0", "ExecScan"], 1),
            (&["malloc_consolidate_cache", "main"], 0),
            (&["leak_a_row", "main"], 0),
            // C++
            (
                &[
                    "operator new(unsigned long)",
                    "std::__cxx11::basic_string<char>::_M_create(unsigned long&, unsigned long)",
                    "void std::vector<Row, std::allocator<Row> >::_M_realloc_insert<Row>(Row&&)",
                    "__gnu_cxx::new_allocator<Row>::allocate(unsigned long, void const*)",
                    "std::unique_ptr<Row> make_row<int, std::vector<int> >(int)",
                    "main",
                ],
                4,
            ),
            (
                &[
                    "operator new[](unsigned long)",
                    "(anonymous namespace)::fill(int)",
                ],
                1,
            ),
            (&["Pool<Row>::operator()(int) const", "main"], 0),
            // Rust
            (
                &[
                    "alloc::alloc::alloc",
                    "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
                    "alloc::raw_vec::RawVec<T,A>::reserve::do_reserve_and_handle",
                    "hashbrown::raw::RawTable<T,A>::reserve_rehash",
                    "std::collections::hash::map::HashMap<K,V,S>::insert",
                    "<core::iter::adapters::Map<I,F> as core::iter::Iterator>::fold",
                    "server::sessions::remember",
                    "server::main",
                ],
                6,
            ),
            (
                &["__rust_alloc", "<server::Row as core::clone::Clone>::clone"],
                1,
            ),
            (
                &["server::cache::Cache<std::string::String>::put", "main"],
                0,
            ),
            // A Python extension
            (
                &[
                    "/usr/lib/libpython3.11.so.1.0!_PyObject_Malloc",
                    "/usr/lib/libpython3.11.so.1.0!PyBytes_FromStringAndSize",
                    "/usr/lib/python3/dist-packages/rows.cpython-311.so!row_parse",
                    "/usr/bin/python3.11!_PyEval_EvalFrameDefault",
                ],
                2,
            ),
            // The kernel
            (
                &[
                    "!__kmalloc_node_track_caller_noprof",
                    "!kmemdup_noprof",
                    "!fib_create_info",
                ],
                2,
            ),
            (
                &[
                    "!kmem_cache_alloc_lru_noprof",
                    "!ext4_alloc_inode",
                    "!iget_locked",
                ],
                1,
            ),
            // Nothing but wrappers
            (
                &[
                    "xmalloc",
                    "xcalloc",
                    "/lib/libc.so.6!__libc_start_main",
                    "_start",
                ],
                0,
            ),
            (&["leak_alloc", "start_thread", "clone3"], 0),
        ] {
            let site = site(1, names);
            assert_eq!(culprit(&site), Some(&site.frames[expected]), "{names:?}");
        }
        assert_eq!(culprit(&Site::default()), None);
    }

    #[test]
    fn sites_of_one_function_are_added_up() {
        let sites = |others: u64| {
            vec![
                site(10, &["xmalloc", "leak", "one"]),
                site(others, &["busy", "main"]),
                site(5, &["leak", "other"]),
                Site {
                    grows_again: Some(false),
                    ..site(1 << 30, &["warm"])
                },
                Site {
                    attribution: Attribution::Mapping,
                    ..site(1 << 30, &["leak"])
                },
            ]
        };
        for (others, is_most) in [(1, true), (14, true), (16, false)] {
            let sites = sites(others);
            let chief = chief(&sites).expect("a function");
            assert_eq!(chief.frame, &sites[0].frames[1]);
            assert_eq!((chief.bytes, chief.count, chief.n_sites), (15, 2, 2));
            assert_eq!(chief.is_most, is_most, "{others}");
        }
        assert_eq!(chief(&[]), None);
        assert_eq!(chief(&[Site::default()]), None);
    }
}
