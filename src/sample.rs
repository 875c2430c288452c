//! One reading of one process, and the names by which processes go.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A process, told from a later one that got the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id (of all its threads) in memleakd's pid namespace.
    pub pid: u32,
    /// When it started, in nanoseconds since boot.
    pub start_time_ns: u64,
}

impl ProcessId {
    /// The start time as field 22 of `/proc/PID/stat` has it, in clock ticks since boot.
    ///
    /// The tick is USER_HZ, 100 a second on every architecture that memleakd runs on.
    pub fn start_time_ticks(self) -> u64 {
        self.start_time_ns / 10_000_000
    }
}

/// What a scan saw of one process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which process.
    pub process: ProcessId,
    /// Its name.
    pub comm: Comm,
    /// The process that started it, 0 if that is outside memleakd's pid namespace.
    pub parent_pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its cgroup in the v2 hierarchy, as the kernel numbers them.
    pub cgroup_id: u64,
    /// Memory of its own that it holds: anonymous, swapped and shared memory pages, in bytes.
    pub bytes: u64,
    /// The part of `bytes` that is shared memory.
    pub shared_bytes: u64,
    /// File pages that it has mapped, in bytes: a cache that costs it nothing.
    pub file_bytes: u64,
    /// Its address space in bytes.
    pub virtual_bytes: u64,
}

/// What is measured of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Anonymous, swapped and shared memory pages.
    Pages,
    /// Net bytes of the user heap.
    Heap,
    /// Net bytes of kernel memory.
    Kernel,
}

/// A curve has at most so many points.
pub const MAX_POINTS: usize = 64;

/// How large a process was at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How long before the alert's figures were taken, in seconds.
    pub secs_ago: f64,
    /// In bytes.
    pub bytes: u64,
}

/// One moment, as each of the clocks that matter has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Seconds of running time since boot, suspended time not included: what growth is timed by.
    pub monotonic_secs: f64,
    /// Seconds since boot, suspended time included: what start times are counted in.
    pub boot_secs: f64,
    /// The time of day.
    pub time: Timestamp,
}

/// A process's name as the kernel keeps it: up to 15 bytes of anything but NUL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// From text, cut to what the kernel would keep.
    pub fn new(name: &str) -> Self {
        let mut comm = [0; 16];
        for (to, from) in comm[..15].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self(comm)
    }
}

/// The name made harmless, see [`printable`].
impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(16);
        f.write_str(&printable(&self.0[..end]))
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Comm({self})")
    }
}

/// Makes a name from outside harmless to terminals, mail headers and logs.
///
/// Whoever starts a process chooses its name and paths. This is applied once, where they come
/// in: control characters, line and paragraph separators, and the invisible characters that
/// reorder text become `\u{…}`; what is no UTF-8 becomes U+FFFD. The result is at most 4096 bytes.
pub fn printable(name: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(name).chars() {
        if text.len() > 4080 {
            text.push('…');
            break;
        }
        let reorders = matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if c.is_control() || reorders {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_are_made_harmless() {
        for (name, text) in [
            (&b"nginx: worker"[..], "nginx: worker"),
            (b"a\nSubject: x", "a\\u{a}Subject: x"),
            (b"\x1b[2J", "\\u{1b}[2J"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            ("gpj.\u{202e}exe".as_bytes(), "gpj.\\u{202e}exe"),
            ("größe".as_bytes(), "größe"),
        ] {
            assert_eq!(printable(name), text);
        }
    }

    #[test]
    fn comm_ends_at_nul_or_is_whole() {
        assert_eq!(Comm::new("sh").to_string(), "sh");
        assert_eq!(
            Comm::new("a-name-that-is-too-long").to_string(),
            "a-name-that-is-"
        );
        assert_eq!(Comm([b'x'; 16]).to_string(), "xxxxxxxxxxxxxxxx");
    }

    proptest! {
        #[test]
        fn nothing_harmful_and_nothing_endless_comes_out(name in proptest::collection::vec(any::<u8>(), 0..6000)) {
            let text = printable(&name);
            prop_assert!(text.len() <= 4096);
            prop_assert!(!text.contains(char::is_control));
        }
    }
}
