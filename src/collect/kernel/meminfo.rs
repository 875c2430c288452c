//! What the host's kernel holds, by its own account.

use std::io;
use std::path::Path;

use crate::collect::Host;

/// Lines of `/proc/meminfo` whose sum is the kernel's own memory that it cannot take back.
///
/// What it can (SReclaimable) is a cache. `VmallocUsed` has threads' stacks since they are mapped
/// by vmalloc, which is on every architecture that memleakd runs on: `KernelStack` would count
/// them twice.
const LINES: [&str; 5] = [
    "SUnreclaim",
    "PageTables",
    "SecPageTables",
    "Percpu",
    "VmallocUsed",
];

impl Host {
    /// Bytes of memory that the kernel uses for itself and cannot take back.
    ///
    /// The host's counterpart to the figures of [`KernelMemory`](crate::collect::KernelMemory):
    /// a kernel leak that this does not show is none.
    pub fn kernel_bytes(&self) -> io::Result<u64> {
        let text = self.read(Path::new("proc/meminfo"))?;
        sum_bytes(&String::from_utf8_lossy(&text)).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "/proc/meminfo has no SUnreclaim",
            )
        })
    }
}

fn sum_bytes(meminfo: &str) -> Option<u64> {
    let kib = |wanted: &str| {
        let value = meminfo
            .lines()
            .find_map(|line| line.strip_prefix(wanted)?.strip_prefix(':'))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    };
    kib(LINES[0])?;
    let sum_kib = LINES.iter().filter_map(|line| kib(line)).sum::<u64>();
    sum_kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tree::Tree;

    #[test]
    fn adds_up_what_is_the_kernels() {
        for (meminfo, bytes) in [
            (
                "MemTotal: 24682416 kB\nSlab: 300 kB\nSReclaimable: 200 kB\nSUnreclaim: 100 kB\n\
                 KernelStack: 50 kB\nPageTables: 20 kB\nSecPageTables: 5 kB\nVmallocTotal: 9999 kB\n\
                 VmallocUsed: 60 kB\nPercpu: 3 kB\n",
                Some(188 * 1024),
            ),
            ("SUnreclaim:       7 kB\n", Some(7 * 1024)),
            ("Percpu: 7 kB\n", None),
            ("SUnreclaim: x kB\n", None),
            ("", None),
        ] {
            assert_eq!(sum_bytes(meminfo), bytes, "{meminfo}");
            let host = Tree::new().file("proc/meminfo", meminfo).host();
            assert_eq!(host.kernel_bytes().ok(), bytes, "{meminfo}");
        }
    }
}
