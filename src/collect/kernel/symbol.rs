//! Names for addresses in the kernel.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::str;

use crate::sample::printable;

/// A function of the kernel, harmless to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// `vmlinux`, or the kernel module.
    pub(super) module: String,
}

/// The function that each address is in, by `/proc/kallsyms`; none where it shows no symbols,
/// which takes CAP_SYSLOG or sysctls of an open-hearted administrator.
pub(super) fn functions(addresses: &[u64]) -> Vec<Option<Function>> {
    let found = File::open("/proc/kallsyms").and_then(|file| find(BufReader::new(file), addresses));
    found.unwrap_or_else(|error| {
        tracing::debug!("reading /proc/kallsyms: {error}");
        vec![None; addresses.len()]
    })
}

/// The function in what the kernel writes for an address: `name+0x1c/0x220` or
/// `name+0x1c/0x220 [module]`; none if it is an address again.
pub(super) fn parse(written: &[u8]) -> Option<Function> {
    let text = written.split(|byte| *byte == 0).next()?;
    let text = str::from_utf8(text).ok()?;
    let (place, module) = match text.split_once(' ') {
        Some((place, module)) => (place, Some(module)),
        None => (text, None),
    };
    let (name, _) = place.split_once('+')?;
    Some(Function::new(name, module))
}

impl Function {
    fn new(name: &str, module: Option<&str>) -> Self {
        // A build id may stand behind the module's name.
        let module = module
            .and_then(|text| text.trim_matches(['[', ']']).split(' ').next())
            .unwrap_or("vmlinux");
        Self {
            name: printable(name.as_bytes()),
            module: printable(module.as_bytes()),
        }
    }
}

/// Where the first function of one of these names begins, and where the next one does.
///
/// None where there is none, or where the symbols are not shown.
pub(super) fn range(names: &[&str]) -> Option<(u64, u64)> {
    range_in(&fs::read_to_string("/proc/kallsyms").ok()?, names)
}

fn range_in(symbols: &str, names: &[&str]) -> Option<(u64, u64)> {
    let functions = || symbols.lines().filter_map(function);
    let (start, _) = functions().find(|(_, name)| {
        // Compilers make `name.isra.0` and the like.
        let whole = name.split('.').next();
        whole.is_some_and(|name| names.contains(&name))
    })?;
    let later = functions()
        .map(|(next, _)| next)
        .filter(|next| *next > start);
    Some((start, later.min()?))
}

/// A symbol that starts at or before an address.
#[derive(Debug, Clone, Default)]
struct Symbol {
    start: u64,
    name: String,
}

fn find(symbols: impl BufRead, addresses: &[u64]) -> io::Result<Vec<Option<Function>>> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    // Each symbol is held against the first address behind it only.
    let mut nearest = vec![Symbol::default(); sorted.len()];
    for line in symbols.lines() {
        let line = line?;
        let Some((start, name)) = function(&line) else {
            continue;
        };
        let behind = sorted.partition_point(|address| *address < start);
        if let Some(nearest) = nearest.get_mut(behind)
            && start > nearest.start
        {
            *nearest = Symbol {
                start,
                name: name.to_owned(),
            };
        }
    }
    for at in 1..nearest.len() {
        if nearest[at].start == 0 {
            nearest[at] = nearest[at - 1].clone();
        }
    }
    let named = addresses.iter().map(|address| {
        let at = sorted.binary_search(address).ok()?;
        nearest[at].around(*address)
    });
    Ok(named.collect())
}

impl Symbol {
    fn around(&self, address: u64) -> Option<Function> {
        let offset = address - self.start;
        // No function is as long: what lies behind the last one belongs to none.
        if self.start == 0 || offset > 1 << 20 {
            return None;
        }
        Some(match self.name.split_once('\t') {
            Some((name, module)) => Function::new(name, Some(module)),
            None => Function::new(&self.name, None),
        })
    }
}

/// Start and name of a line such as `ffffffff81000000 T name` or, with a tab, `… name\t[module]`.
fn function(line: &str) -> Option<(u64, &str)> {
    let (start, rest) = line.split_once(' ')?;
    let (kind, name) = rest.split_once(' ')?;
    let is_code = matches!(kind, "t" | "T" | "w" | "W");
    let start = u64::from_str_radix(start, 16).ok()?;
    (is_code && start != 0).then_some((start, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: &str = "\
ffffffff81000000 T first
ffffffff81000100 D data
ffffffff81000200 t second.part.0
ffffffffc0001000 t of_module\t[nf_tables]
not a line
ffffffff81000180 T out_of_order
";

    #[test]
    fn a_range_ends_where_the_next_function_begins() {
        let begin = 0xffff_ffff_8100_0000;
        for (names, range) in [
            (&["first"][..], Some((begin, begin + 0x180))),
            (
                &["none", "second"],
                Some((begin + 0x200, 0xffff_ffff_c000_1000)),
            ),
            (&["data"], None),
            (&["of_module"], None),
            (&[], None),
        ] {
            assert_eq!(range_in(SYMBOLS, names), range, "{names:?}");
        }
        assert_eq!(range_in("0000000000000000 T first\n", &["first"]), None);
    }

    #[test]
    fn names_the_function_around() {
        let hidden = "0000000000000000 T first\n";
        let known = |name, module| Some((name, module));
        for (symbols, address, function) in [
            (SYMBOLS, 0xffff_ffff_8100_0000, known("first", "vmlinux")),
            (SYMBOLS, 0xffff_ffff_8100_0110, known("first", "vmlinux")),
            (
                SYMBOLS,
                0xffff_ffff_8100_01ff,
                known("out_of_order", "vmlinux"),
            ),
            (
                SYMBOLS,
                0xffff_ffff_8100_0201,
                known("second.part.0", "vmlinux"),
            ),
            (
                SYMBOLS,
                0xffff_ffff_c000_1020,
                known("of_module", "nf_tables"),
            ),
            (SYMBOLS, 0xffff_ffff_0000_0000, None),
            (SYMBOLS, 0xffff_ffff_d000_0000, None),
            (SYMBOLS, 0, None),
            (hidden, 0xffff_ffff_8100_0000, None),
            ("", 7, None),
        ] {
            let among = [
                0xffff_ffff_8100_0050,
                address,
                0xffff_ffff_8100_0202,
                address,
            ];
            let found = find(symbols.as_bytes(), &among).expect("a slice reads");
            let function = function.map(|(name, module): (&str, &str)| Function {
                name: name.to_owned(),
                module: module.to_owned(),
            });
            assert_eq!(
                (&found[1], &found[3]),
                (&function, &function),
                "{address:#x}"
            );
        }
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        for (written, function) in [
            (
                &b"alloc_pipe_info+0x5c/0x220\0rest"[..],
                Some(("alloc_pipe_info", "vmlinux")),
            ),
            (
                b"nft_new+0x1/0x2 [nf_tables]",
                Some(("nft_new", "nf_tables")),
            ),
            (
                b"nft_new+0x1/0x2 [nf_tables 0123ab]",
                Some(("nft_new", "nf_tables")),
            ),
            (b"0xffffffff81000000", None),
            (b"", None),
            (b"\xff+0x1", None),
        ] {
            let found = parse(written);
            let found = found.as_ref().map(|f| (f.name.as_str(), f.module.as_str()));
            assert_eq!(found, function);
        }
    }
}
