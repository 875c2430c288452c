//! The host's files: where they are, and how much of one is read at most.
//!
//! All that this program reads of cgroupfs, `/proc` and `/etc` outside its configuration goes
//! through [`Host`], so that a test can put a tree of its own in the place of `/`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::field;

/// No file that is read here is longer in earnest; what a hostile one has beyond it is not seen.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The host as its files show it: `/` in the field, a directory of a test otherwise.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host whose `proc`, `sys` and `etc` are in a directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// When a process started, in clock ticks since boot: what tells it from another of its number.
    ///
    /// Fails with `NotFound` if there is no such process.
    pub fn start_time_ticks(&self, pid: u32) -> io::Result<u64> {
        let stat = self.read_of_process(pid, "stat")?;
        field::start_time_ticks(&stat).ok_or_else(|| {
            let message = format!("/proc/{pid}/stat has no start time");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// The user whom the kernel lets look into a process: its own, or root if it has had rights
    /// that its user has not.
    pub fn owner(&self, pid: u32) -> io::Result<u32> {
        let directory = self.root.join("proc").join(pid.to_string());
        Ok(fs::metadata(directory)?.uid())
    }

    /// The process that a thread is one of; a process's own number is that of its first thread.
    pub fn leader(&self, pid: u32) -> io::Result<u32> {
        let status = self.read_of_process(pid, "status")?;
        let leader = field::keyed(&status, "Tgid:").and_then(|leader| leader.try_into().ok());
        leader.ok_or_else(|| {
            let message = format!("/proc/{pid}/status has no Tgid");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// The number that a process has for itself, in its own pid namespace.
    pub(crate) fn own_pid(&self, pid: u32) -> io::Result<u32> {
        let status = self.read_of_process(pid, "status")?;
        field::last_keyed(&status, "NSpid:")
            .and_then(|own| own.try_into().ok())
            .ok_or_else(|| {
                let message = format!("/proc/{pid}/status has no NSpid");
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
    }

    /// CPU time that a process has used, in user and kernel mode, in seconds.
    pub fn cpu_secs(&self, pid: u32) -> io::Result<f64> {
        let stat = self.read_of_process(pid, "stat")?;
        // In clock ticks, a hundred a second.
        let ticks = field::cpu_ticks(&stat).ok_or_else(|| {
            let message = format!("/proc/{pid}/stat has no CPU time");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        Ok(ticks as f64 / 100.0)
    }

    /// The executable of a process, as it may be compared, not opened.
    fn exe_of(&self, pid: u32) -> io::Result<PathBuf> {
        self.read_link_of_process(pid, "exe")
    }

    /// What tells the program that a process runs from one that it runs later, be it the same
    /// executable: that, and the address of its stack, which is another at each start.
    pub(super) fn program_of(&self, pid: u32) -> io::Result<(PathBuf, Option<u64>)> {
        let stat = self.read_of_process(pid, "stat")?;
        Ok((self.exe_of(pid)?, field::stack_start(&stat)))
    }

    /// Reads a file of `/proc/PID`. A process that has ended is `NotFound`, however it shows.
    pub(super) fn read_of_process(&self, pid: u32, name: &str) -> io::Result<Vec<u8>> {
        self.read_of_process_at_most(pid, name, MAX_FILE_BYTES)
    }

    /// Reads the first bytes of a file of `/proc/PID`, which may be a long one.
    pub(super) fn read_of_process_at_most(
        &self,
        pid: u32,
        name: &str,
        max_bytes: u64,
    ) -> io::Result<Vec<u8>> {
        let path = Path::new("proc").join(pid.to_string()).join(name);
        self.read_at_most(&path, max_bytes).map_err(|error| {
            // The file was still there to be opened, its process no longer when it was read.
            if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) {
                io::Error::new(io::ErrorKind::NotFound, "the process has ended")
            } else {
                error
            }
        })
    }

    /// Reads a symbolic link of `/proc/PID`.
    pub(super) fn read_link_of_process(&self, pid: u32, name: &str) -> io::Result<PathBuf> {
        fs::read_link(self.path_of_process(pid, name))
    }

    /// Where a file of `/proc/PID` is, to be opened by whoever does more than read its first bytes.
    pub(crate) fn path_of_process(&self, pid: u32, name: impl AsRef<Path>) -> PathBuf {
        self.root.join("proc").join(pid.to_string()).join(name)
    }

    /// Reads the first 64 KiB of a file, whose path is relative to the root.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_at_most(path, MAX_FILE_BYTES)
    }

    /// Reads the first bytes of a file, whose path is relative to the root.
    pub(super) fn read_at_most(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.root.join(path))?;
        file.take(max_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Where something is whose path is relative to the root.
    pub(super) fn path_of(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// Whether there is such a file, whose path is relative to the root.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::{InvalidData, NotFound};
    use std::time::{Duration, Instant};
    use std::{process, thread};

    use super::*;
    use crate::collect::tree::Tree;
    use crate::sample::ProcessId;
    use std::io::{BufRead, BufReader, Write};

    #[test]
    fn what_is_read_is_bounded() {
        let host = Tree::new().file("long", vec![b'1'; 100_000]).host();
        let read = host.read(Path::new("long")).expect("a file");
        assert_eq!(read.len(), 64 << 10);
    }

    #[test]
    fn start_time_is_found_behind_any_name() {
        for comm in ["sh", "a) (b", ") R 1 2 3", "new\nline", "(((", "", "))))"] {
            let host = Tree::new().process(7, comm, 4711).host();
            assert_eq!(host.start_time_ticks(7).ok(), Some(4711), "{comm:?}");
        }
        let host = Tree::new().file("proc/7/stat", "7 (sh) S 1 2").host();
        let error = host.start_time_ticks(7).expect_err("no field 22");
        assert_eq!(error.kind(), InvalidData);
        assert_eq!(error.to_string(), "/proc/7/stat has no start time");
    }

    #[test]
    fn this_machine_tells_of_this_process() {
        // So much that what other tests allocate meanwhile does not matter.
        let ballast = vec![1u8; 128 << 20];
        let host = Host::new("/");
        let pid = process::id();
        let ticks = host.start_time_ticks(pid).expect("this process");
        let this = |ticks| ProcessId {
            pid,
            start_time_ns: ticks * 10_000_000,
        };

        let uid = rustix::process::geteuid().as_raw();
        let facts = host.facts(this(ticks), uid).expect("this process");
        let exe = std::env::current_exe().expect("this test's program");
        assert_eq!(facts.exe.as_deref(), exe.to_str());
        assert!(!facts.exe_deleted);
        assert!(facts.cgroup.starts_with('/'), "{facts:?}");
        let error = host
            .facts(this(ticks + 1), uid)
            .expect_err("another process");
        assert_eq!(error.to_string(), "another process has that pid now");

        let headroom = host.headroom(&facts, 0, pid).expect("the host's at least");
        assert!(
            (1..=headroom.limit_bytes).contains(&headroom.headroom_bytes),
            "{headroom:?}"
        );

        let exact = host.resident_exact(pid).expect("this process");
        assert!(exact >= ballast.len() as u64, "{exact}");
    }

    /// Of a program that waits, as this one's other tests allocate meanwhile.
    #[test]
    fn resident_memory_is_the_sum_of_its_mappings() {
        let mut program = process::Command::new("cat");
        let program = program.stdin(process::Stdio::piped());
        let mut child = program
            .stdout(process::Stdio::piped())
            .spawn()
            .expect("cat");
        let (mut input, output) = (child.stdin.take(), child.stdout.take());
        // Once it has answered, it waits for more.
        writeln!(input.as_mut().expect("a pipe"), "there?").expect("a pipe");
        let mut answer = String::new();
        let mut output = BufReader::new(output.expect("a pipe"));
        output.read_line(&mut answer).expect("a line");

        let exact = Host::new("/").resident_exact(child.id()).expect("cat runs");
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", child.id())).expect("cat runs");
        let is_counted = |line: &&str| line.starts_with("Anonymous:") || line.starts_with("Swap:");
        let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let counted = smaps.lines().filter(is_counted).filter_map(kib);
        assert_eq!(exact, counted.sum::<u64>() << 10);
        assert!(exact > 0);
        drop(input);
        child.wait().expect("cat ends");
    }

    #[test]
    fn a_process_that_ended_is_not_found_before_and_after_it_is_reaped() {
        let host = Host::new("/");
        let mut child = process::Command::new("true").spawn().expect("a child");
        let pid = child.id();
        wait_until_zombie(pid);
        let error = host.resident_exact(pid).expect_err("no memory");
        assert_eq!(error.kind(), NotFound, "{error}");

        child.wait().expect("a child");
        let error = host.resident_exact(pid).expect_err("no process");
        assert_eq!(error.kind(), NotFound, "{error}");
        let ended = ProcessId {
            pid,
            start_time_ns: 0,
        };
        let error = host.facts(ended, 0).expect_err("no process");
        assert_eq!(error.kind(), NotFound, "{error}");
    }

    fn wait_until_zombie(pid: u32) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).expect("a child");
        while !stat().contains(") Z ") {
            assert!(Instant::now() < deadline, "the child does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
