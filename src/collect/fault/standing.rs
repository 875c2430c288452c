//! What of the pages that were touched still holds what was put there, by the process's own page
//! table.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::str;

use rustix::time::{ClockId, clock_gettime};

use super::FaultPage;
use crate::collect::{Host, field};
use crate::stacks::wire::Standing;

/// As many mappings as the kernel allows by default; what is beyond is not seen.
const MAX_MAPS_BYTES: u64 = 8 << 20;

/// Bits of an entry of `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst).
const IS_PRESENT: u64 = 1 << 63;
const IS_SWAPPED: u64 = 1 << 62;
const IS_OF_FILE_OR_SHARED: u64 = 1 << 61;

/// Which of these touches still stand, by the addresses of their pages.
pub(super) fn of(
    host: &Host,
    pid: u32,
    page_bytes: u64,
    mut touched: Vec<(u64, FaultPage)>,
) -> io::Result<Vec<Standing>> {
    let now = clock_gettime(ClockId::Monotonic);
    let now_ns = now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned();
    let shared = shared_memory(&host.read_of_process_at_most(pid, "maps", MAX_MAPS_BYTES)?);
    let pagemap = File::open(host.path_of_process(pid, "pagemap"))?;
    touched.sort_by_key(|(address, _)| *address);
    let mut standing = Vec::new();
    for (address, touch) in touched {
        let mut entry = [0; 8];
        match pagemap.read_exact_at(&mut entry, address / page_bytes * 8) {
            Ok(()) => {}
            // Beyond the end of the address space, or of a process that is ending.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        if stands(u64::from_ne_bytes(entry), address, &shared) {
            standing.push(Standing {
                id: touch.id,
                age_ns: now_ns.saturating_sub(touch.time_ns),
                // A page stays as large as it is.
                bytes: 0,
            });
        }
    }
    Ok(standing)
}

fn stands(entry: u64, address: u64, shared: &[Range<u64>]) -> bool {
    let is_there = entry & (IS_PRESENT | IS_SWAPPED) != 0;
    let is_private = entry & IS_OF_FILE_OR_SHARED == 0;
    is_there && (is_private || shared.iter().any(|range| range.contains(&address)))
}

/// Where memory is mapped that looks like a file and is none.
fn shared_memory(maps: &[u8]) -> Vec<Range<u64>> {
    const NAMES: [&[u8]; 4] = [b"/dev/zero (deleted)", b"/memfd:", b"/SYSV", b"/dev/shm/"];
    let parse = |line: &[u8]| {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let (start, end) = str::from_utf8(words.next()?).ok()?.split_once('-')?;
        let name = words.nth(4)?.trim_ascii_start();
        let is_memory = NAMES.iter().any(|memory| name.starts_with(memory));
        let address = |digits| u64::from_str_radix(digits, 16).ok();
        let range = address(start)?..address(end)?;
        is_memory.then_some(range)
    };
    field::lines(maps).filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"\
55d0c0000000-55d0c0001000 r-xp 00002000 fd:01 1234                       /usr/bin/a program
7f0000000000-7f0000010000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
7f0000020000-7f0000030000 rw-s 00000000 00:01 78                         /memfd:wayland (deleted)
7f0000040000-7f0000050000 rw-s 00000000 00:1a 5                          /dev/shm/sem
7f0000060000-7f0000070000 rw-p 00000000 00:00 0 
7f0000080000-7f0000090000 rw-s 00000000 00:01 3                          /SYSV00000000 (deleted)
not a line
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn shared_memory_is_told_from_files() {
        let starts: Vec<u64> = shared_memory(MAPS)
            .iter()
            .map(|range| range.start)
            .collect();
        let base = 0x7f00_0000_0000;
        assert_eq!(
            starts,
            [base, base + 0x20000, base + 0x40000, base + 0x80000]
        );
    }

    #[test]
    fn what_is_given_back_or_of_a_file_does_not_stand() {
        let shared = shared_memory(MAPS);
        let (in_memory, elsewhere) = (0x7f00_0000_1000, 0x7f00_0006_1000);
        for (entry, address, expected) in [
            (IS_PRESENT, elsewhere, true),
            (IS_PRESENT | 0xfff, elsewhere, true),
            (IS_SWAPPED, elsewhere, true),
            (0, elsewhere, false),
            (1 << 55, elsewhere, false),
            (IS_PRESENT | IS_OF_FILE_OR_SHARED, elsewhere, false),
            (IS_PRESENT | IS_OF_FILE_OR_SHARED, in_memory, true),
            (IS_OF_FILE_OR_SHARED, in_memory, false),
        ] {
            assert_eq!(stands(entry, address, &shared), expected, "{entry:#x}");
        }
    }
}
