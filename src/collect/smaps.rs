//! How much memory a process really holds.

use std::io;

use super::{Host, field};

impl Host {
    /// A process's anonymous and swapped memory, in bytes.
    ///
    /// This is exact, where the counters that a scan reads are not: the kernel walks the page
    /// tables for this file, but folds what each CPU has counted into the counters later, so that
    /// these "may not be very precise" (Documentation/filesystems/proc.rst, which gives walking
    /// as the slow but precise way). It takes time in proportion to the memory: for suspects only.
    ///
    /// Of shared memory only what is swapped out is counted.
    ///
    /// Fails with `NotFound` if the process has ended, also if it is not yet reaped, and with
    /// `PermissionDenied` without CAP_SYS_PTRACE.
    pub fn resident_exact(&self, pid: u32) -> io::Result<u64> {
        let rollup = self.read_of_process(pid, "smaps_rollup")?;
        if rollup.is_empty() {
            // Some kernels say so of a process whose memory is gone, where others give ESRCH.
            let message = "the process has no memory any more";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        resident_in(&rollup).ok_or_else(|| {
            let message = format!("/proc/{pid}/smaps_rollup has no Anonymous and Swap");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }
}

fn resident_in(rollup: &[u8]) -> Option<u64> {
    let anonymous_bytes = field::sized(rollup, "Anonymous:")?;
    anonymous_bytes.checked_add(field::sized(rollup, "Swap:")?)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::{InvalidData, NotFound};

    use proptest::prelude::*;

    use super::*;
    use crate::collect::tree::Tree;

    #[test]
    fn anonymous_and_swapped_memory_is_counted_and_nothing_else() {
        let rollup = "\
55e2f68a7000-7ffcec438000 ---p 00000000 00:00 0                          [rollup]
Rss:                1660 kB
Pss_Anon:            999 kB
Anonymous:           108 kB
AnonHugePages:        64 kB
Swap:                 20 kB
SwapPss:              10 kB
";
        for (rollup, expected) in [
            (rollup, Ok(128 << 10)),
            ("Anonymous: 0 kB\nSwap: 0 kB\n", Ok(0)),
            ("", Err(NotFound)),
            ("Anonymous: 108 kB\n", Err(InvalidData)),
            ("Anonymous: many kB\nSwap: 0 kB\n", Err(InvalidData)),
            (
                "Anonymous: 18014398509481983 kB\nSwap: 1 kB\n",
                Err(InvalidData),
            ),
        ] {
            let host = Tree::new().file("proc/7/smaps_rollup", rollup).host();
            let resident = host.resident_exact(7).map_err(|error| error.kind());
            assert_eq!(resident, expected, "{rollup}");
        }
        let error = Tree::new()
            .host()
            .resident_exact(7)
            .expect_err("no process");
        assert_eq!(error.kind(), NotFound);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(rollup in proptest::collection::vec(any::<u8>(), 0..400)) {
            resident_in(&rollup);
        }
    }
}
