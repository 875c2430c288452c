//! What processes hold, as anybody may read it: for recordings, where nothing is loaded.

use std::fs;
use std::io;
use std::path::Path;

use super::{Host, field};
use crate::sample::Comm;

/// What a process holds, as `/proc/PID/status` has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// When the process started, in clock ticks since boot.
    pub start_time_ticks: u64,
    /// Its name.
    pub comm: Comm,
    /// Anonymous, swapped and shared memory pages, in bytes.
    pub bytes: u64,
    /// Its address space in bytes.
    pub virtual_bytes: u64,
}

impl Host {
    /// The processes that can be seen, in the order of their numbers.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let entries = fs::read_dir(self.path_of(Path::new("proc")))?;
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut pids: Vec<_> = pids.collect();
        pids.sort_unstable();
        Ok(pids)
    }

    /// What a process holds; nothing if it has no memory of its own, as threads of the kernel.
    ///
    /// Fails with `NotFound` if the process has ended.
    pub fn held(&self, pid: u32) -> io::Result<Option<Held>> {
        let status = self.read_of_process(pid, "status")?;
        let sized = |key| field::sized(&status, key);
        let Some(anonymous_bytes) = sized("RssAnon:") else {
            return Ok(None);
        };
        let parts = [sized("VmSwap:"), sized("RssShmem:")].into_iter().flatten();
        let bytes = parts.fold(anonymous_bytes, u64::saturating_add);
        let name = self.read_of_process(pid, "comm")?;
        let name = name.strip_suffix(b"\n").unwrap_or(&name);
        let mut comm = Comm([0; 16]);
        for (to, from) in comm.0[..15].iter_mut().zip(name) {
            *to = *from;
        }
        Ok(Some(Held {
            start_time_ticks: self.start_time_ticks(pid)?,
            comm,
            bytes,
            virtual_bytes: sized("VmSize:").unwrap_or_default(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tree::Tree;

    #[test]
    fn what_is_held_is_what_the_kernel_cannot_drop() {
        let status = "Name:\ta\nVmSize:\t    9000 kB\nRssAnon:\t     100 kB\n\
                      RssFile:\t     999 kB\nRssShmem:\t      20 kB\nVmSwap:\t       3 kB\n";
        for (status, bytes) in [
            (status, Some(123 << 10)),
            ("RssAnon:\t       7 kB\n", Some(7 << 10)),
            ("Name:\tkthreadd\n", None),
            ("RssAnon:\tx kB\n", None),
        ] {
            let host = Tree::new()
                .process(7, "leaky", 123)
                .file("proc/7/status", status)
                .file("proc/7/comm", "a, \"b\"\n\n")
                .file("proc/self/comm", "no process")
                .host();
            assert_eq!(host.processes().expect("a list"), [7]);
            let held = host.held(7).expect("a process");
            assert_eq!(held.map(|held| held.bytes), bytes, "{status}");
            if let Some(held) = held {
                assert_eq!(held.start_time_ticks, 123);
                assert_eq!(held.comm.to_string(), "a, \"b\"\\u{a}");
            }
        }
        let host = Tree::new().file("proc/1/x", "").host();
        let error = host.held(7).expect_err("none");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
