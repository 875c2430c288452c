//! How long it takes to read every process, against the way by `/proc`.

use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Read;

use anyhow::{Result, ensure};
use memleakd::collect::Scan;

use crate::interrupt;
use crate::machine::Machine;
use crate::measure::{cpu_secs, median};
use crate::sleepers::Sleepers;
use crate::table::{Table, grouped};

/// Processes that are added to those that are there, and how often each way is gone, by turns.
const SIZES: [(usize, usize); 3] = [(100, 2001), (1000, 201), (5000, 41)];
/// What is aimed at: a scan is so many times as fast.
const AIM: f64 = 20.0;

/// What one reading of every process took.
struct Reading {
    us: f64,
    n_processes: usize,
}

/// Both ways at each size.
pub fn measure(machine: &Machine, table: &mut Table) -> Result<()> {
    let mut scan = Scan::load()?;
    let mut sleepers = Sleepers::new()?;
    let mut pids = Vec::new();
    for (size, n_readings) in SIZES {
        let n_sleepers = sleepers.grow_to(size, machine, table)?;
        let mut by_scan = Vec::new();
        let mut by_status = Vec::new();
        for _ in 0..n_readings {
            interrupt::check()?;
            pids.clear();
            let (secs, read) = cpu_secs(|| read_by_scan(&mut scan, &mut pids));
            black_box(read?);
            ensure!(
                pids.len() >= n_sleepers,
                "the scan does not see every process"
            );
            by_scan.push(Reading::new(secs, pids.len()));
            let (secs, bytes) = cpu_secs(|| read_by_status(&pids));
            black_box(bytes);
            by_status.push(Reading::new(secs, pids.len()));
        }
        // Others start and end processes meanwhile.
        let n_processes = middle(&by_scan, |reading| reading.n_processes as f64) as usize;
        let in_all_us = middle(&by_scan, |reading| reading.us);
        let scan_us = middle(&by_scan, Reading::us_each);
        let status_us = middle(&by_status, Reading::us_each);
        let ratio = status_us / scan_us;
        table.say(
            format!("scan of {} processes", grouped(n_processes)),
            format!("{in_all_us:.0} us"),
        );
        table.say("- each process", format!("{scan_us:.2} us"));
        table.say(
            "- each process by /proc/PID/status",
            format!("{status_us:.2} us"),
        );
        table.aim(
            "- the scan is faster by",
            format!("{ratio:.1} x"),
            format!("{AIM} x"),
            ratio >= AIM,
        );
        if n_sleepers < size {
            break;
        }
    }
    table.note(
        "The scan passes over all threads, the kernel's too: with few processes they count more.",
    );
    table.note(
        "By /proc/PID/status: open, read, close, add up RssAnon, RssShmem and VmSwap; no listing.",
    );
    Ok(())
}

impl Reading {
    fn new(secs: f64, n_processes: usize) -> Self {
        Self {
            us: secs * 1e6,
            n_processes,
        }
    }

    fn us_each(&self) -> f64 {
        self.us / self.n_processes as f64
    }
}

fn middle(readings: &[Reading], figure: impl Fn(&Reading) -> f64) -> f64 {
    median(readings.iter().map(figure).collect())
}

/// What the daemon does. Appends whom it has seen, returns what they hold.
fn read_by_scan(scan: &mut Scan, pids: &mut Vec<u32>) -> Result<u64> {
    let mut bytes = 0;
    scan.read(&mut |sample| {
        pids.push(sample.process.pid);
        bytes += sample.bytes;
    })?;
    Ok(bytes)
}

/// The rival: the same sum of the same processes. It is spared all that can be, and does not
/// learn when a process has started, without which it cannot be told from a later one.
fn read_by_status(pids: &[u32]) -> u64 {
    let mut path = String::new();
    let mut buffer = [0; 4096];
    let mut bytes = 0;
    for pid in pids {
        path.clear();
        write!(path, "/proc/{pid}/status").expect("a String takes any text");
        // A process that has ended since is none any more.
        let read = File::open(&path).and_then(|mut file| file.read(&mut buffer));
        bytes += read.map_or(0, |n_bytes| held_bytes(&buffer[..n_bytes]));
    }
    bytes
}

/// `RssAnon`, `RssShmem` and, last of them, `VmSwap`.
fn held_bytes(status: &[u8]) -> u64 {
    let mut kib = 0;
    for line in status.split(|byte| *byte == b'\n') {
        let is_last = line.starts_with(b"VmSwap:");
        if is_last || line.starts_with(b"RssAnon:") || line.starts_with(b"RssShmem:") {
            let digits = line.iter().filter(|byte| byte.is_ascii_digit());
            kib += digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        }
        if is_last {
            break;
        }
    }
    kib << 10
}
