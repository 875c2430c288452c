//! Names for addresses in the kernel, from `/proc/kallsyms`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};

use crate::sample::printable;

/// The function that each address is in, as `name+0x1c`, or `name+0x1c [module]`.
///
/// The address itself stands where the symbols are not shown, which takes CAP_SYSLOG or
/// `kernel.kptr_restrict=0`.
pub(super) fn names(addresses: &[u64]) -> Vec<String> {
    let found = File::open("/proc/kallsyms").and_then(|file| find(BufReader::new(file), addresses));
    match found {
        Ok(names) => names,
        Err(error) => {
            tracing::debug!("reading /proc/kallsyms: {error}");
            addresses.iter().map(|address| bare(*address)).collect()
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

fn find(symbols: impl BufRead, addresses: &[u64]) -> io::Result<Vec<String>> {
    let mut nearest = vec![Symbol::default(); addresses.len()];
    for line in symbols.lines() {
        let line = line?;
        let Some((start, name)) = function(&line) else {
            continue;
        };
        for (address, nearest) in addresses.iter().zip(&mut nearest) {
            if start <= *address && start > nearest.start {
                *nearest = Symbol {
                    start,
                    name: name.to_owned(),
                };
            }
        }
    }
    let named = addresses.iter().zip(nearest);
    Ok(named
        .map(|(address, symbol)| symbol.around(*address))
        .collect())
}

impl Symbol {
    fn around(&self, address: u64) -> String {
        let offset = address - self.start;
        // No function is as long: what lies behind the last one belongs to none.
        if self.start == 0 || offset > 1 << 20 {
            return bare(address);
        }
        let text = match self.name.split_once('\t') {
            Some((name, module)) => format!("{name}+{offset:#x} {module}"),
            None => format!("{}+{offset:#x}", self.name),
        };
        printable(text.as_bytes())
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

fn bare(address: u64) -> String {
    format!("{address:#x}")
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
        for (symbols, address, name) in [
            (SYMBOLS, 0xffff_ffff_8100_0000, "first+0x0"),
            (SYMBOLS, 0xffff_ffff_8100_0110, "first+0x110"),
            (SYMBOLS, 0xffff_ffff_8100_01ff, "out_of_order+0x7f"),
            (SYMBOLS, 0xffff_ffff_8100_0201, "second.part.0+0x1"),
            (SYMBOLS, 0xffff_ffff_c000_1020, "of_module+0x20 [nf_tables]"),
            (SYMBOLS, 0xffff_ffff_0000_0000, "0xffffffff00000000"),
            (SYMBOLS, 0xffff_ffff_d000_0000, "0xffffffffd0000000"),
            (SYMBOLS, 0, "0x0"),
            (hidden, 0xffff_ffff_8100_0000, "0xffffffff81000000"),
            ("", 7, "0x7"),
        ] {
            let names = find(symbols.as_bytes(), &[address]).expect("a slice reads");
            assert_eq!(names, [name], "{address:#x}");
        }
    }
}
