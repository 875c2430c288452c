//! What JITs say of their code: `/tmp/perf-PID.map`, a line each of start, length and name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use super::names::shortened;

/// A JIT appends whenever it compiles: those of a day's work have a few MiB.
const MAX_BYTES: u64 = 32 << 20;
/// What is longer is no name.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Names addresses, which are sorted. The last line that has an address is right: code is put where
/// other code was.
pub(super) fn names(file: &File, addresses: &[u64]) -> HashMap<u64, String> {
    let mut names = HashMap::new();
    let mut input = BufReader::new(file).take(MAX_BYTES);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut input)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return names,
            Ok(_) => {}
        }
        let Some((start, length, name)) = parse(&line) else {
            continue;
        };
        let end = start.saturating_add(length);
        let from = addresses.partition_point(|address| *address < start);
        let to = addresses.partition_point(|address| *address < end);
        for address in addresses.get(from..to).unwrap_or_default() {
            names.insert(*address, shortened(name));
        }
    }
}

fn parse(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut number = || {
        let word = std::str::from_utf8(words.next()?).ok()?;
        u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()
    };
    let (start, length) = (number()?, number()?);
    let name = words.next()?.trim_ascii();
    (!name.is_empty()).then_some((start, length, name))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn the_last_line_that_has_an_address_names_it() {
        let mut file = tempfile::tempfile().expect("a file");
        let map: &[u8] = b"1000 10 first\n0x2000 0x20 LazyCompile:~a b.js:1:2\n\
            garbage\n\n3000 zz x\n1008 8 second\n4000 ffffffffffffffff \x1b[2J\n5000 8 \xff\n";
        file.write_all(map).expect("room");
        file.rewind().expect("a file");
        let names = names(
            &file,
            &[
                0xfff, 0x1000, 0x1008, 0x1010, 0x201f, 0x3000, 0x4001, 0x5001,
            ],
        );
        let name = |address| names.get(&address).map(String::as_str);
        for (address, expected) in [
            (0xfff, None),
            (0x1000, Some("first")),
            (0x1008, Some("second")),
            (0x1010, None),
            (0x201f, Some("LazyCompile:~a b.js:1:2")),
            (0x3000, None),
            (0x4001, Some("\\u{1b}[2J")),
            (0x5001, Some("\u{fffd}")),
        ] {
            assert_eq!(name(address), expected, "{address:x}");
        }
    }
}
