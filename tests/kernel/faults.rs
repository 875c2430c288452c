use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libbpf_rs::RingBufferBuilder;
use memleakd::collect::{FaultTotals, Faults, Host};
use memleakd::sample::ProcessId;
use memleakd::stacks::wire::{Kind, StackSample};

use crate::stage::{Running, start_time};

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

/// The program that touches memory, which waits to be told.
struct Toucher {
    running: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Toucher {
    fn ready(way: &str, mib: u64) -> Self {
        let mut running = Running::start(
            Command::new(program())
                .args([way, &mib.to_string()])
                .current_dir(env!("CARGO_TARGET_TMPDIR"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        );
        let input = running.0.stdin.take().expect("a pipe");
        let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let mut toucher = Self {
            running,
            input,
            output,
        };
        assert_eq!(toucher.line(), "ready\n");
        toucher
    }

    fn process(&self) -> ProcessId {
        let pid = self.running.pid();
        let ticks: u64 = start_time(pid).parse().expect("a number");
        ProcessId {
            pid,
            start_time_ns: ticks * 10_000_000,
        }
    }

    fn go(&mut self) {
        self.input.write_all(b"go\n").expect("it reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line
    }
}

/// Without a C library that could be probed, and at addresses that are those in the file.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("toucher");
    let status = Command::new("cc")
        .args(["-O2", "-pthread", "-static", "-no-pie", "-o"])
        .arg(&path)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/programs/toucher.c"
        ))
        .status();
    assert!(status.expect("cc runs").success());
    path
}

/// Where a function of the program is, as nm says.
fn function(name: &str) -> Range<u64> {
    let output = Command::new("nm").arg("-S").arg(program()).output();
    let symbols = String::from_utf8(output.expect("nm runs").stdout).expect("UTF-8");
    let line = symbols
        .lines()
        .find(|line| line.ends_with(&format!(" {name}")));
    let words: Vec<&str> = line.expect("the function").split(' ').collect();
    let number = |word| u64::from_str_radix(word, 16).expect("an address");
    number(words[0])..number(words[0]) + number(words[1])
}

/// A sample, without the stack but for how much of it came.
#[derive(Debug, Clone, Copy)]
struct Seen {
    ip: u64,
    bytes: u64,
    sampling_bytes: u64,
    stack_bytes: usize,
    /// What lies where the stack pointer was, and behind it.
    words: [u64; 8],
    estimate: f64,
}

/// What comes of one program that touches memory while it is looked.
struct Capture {
    by_id: HashMap<u64, Seen>,
    standing: Vec<(u64, u64)>,
    totals: FaultTotals,
}

fn capture(toucher: &mut Toucher, sampling_bytes: Option<u64>) -> Capture {
    let mut faults = Faults::start(toucher.process()).expect("the kernel takes the program");
    if let Some(sampling_bytes) = sampling_bytes {
        faults.sample_one_byte_in(sampling_bytes).expect("a table");
    }
    let by_id = Arc::new(Mutex::new(HashMap::new()));
    let map = faults.ring().expect("a ring buffer");
    let mut ring = RingBufferBuilder::new();
    let into = by_id.clone();
    ring.add(&map, move |record| {
        let sample = StackSample::parse(record).expect("a record");
        assert_eq!(sample.kind, Kind::Fault);
        let (words, _) = sample.stack.as_chunks();
        let seen = Seen {
            ip: sample.ip,
            bytes: sample.bytes,
            sampling_bytes: sample.sampling_bytes,
            stack_bytes: sample.stack.len(),
            words: std::array::from_fn(|at| words.get(at).map_or(0, |w| u64::from_le_bytes(*w))),
            estimate: sample.weight() * sample.bytes as f64,
        };
        let earlier = into.lock().expect("one thread").insert(sample.id, seen);
        assert!(earlier.is_none(), "two samples of one number");
        0
    })
    .expect("a ring buffer");
    let ring = ring.build().expect("a ring buffer");
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            toucher.go();
            assert_eq!(toucher.line(), "done\n");
        });
        let mut tended = Instant::now();
        while !done.is_finished() {
            ring.poll(Duration::from_millis(5)).expect("a ring buffer");
            if sampling_bytes.is_none() && tended.elapsed() > Duration::from_millis(250) {
                faults.tend().expect("the totals");
                tended = Instant::now();
            }
        }
    });
    ring.consume().expect("a ring buffer");
    let standing = faults.standing().expect("a page table");
    let totals = faults.totals().expect("the totals");
    drop(ring);
    let by_id = std::mem::take(&mut *by_id.lock().expect("one thread"));
    println!("{totals:?}, {} of {} stand", standing.len(), by_id.len());
    Capture {
        by_id,
        standing: standing.iter().map(|s| (s.id, s.age_ns)).collect(),
        totals,
    }
}

impl Capture {
    /// Estimated bytes that stand of what a function has touched, and of how many samples.
    fn bytes_of(&self, name: &str) -> (f64, usize) {
        let (place, read) = (function(name), function("read"));
        // Where the kernel touches, the system call's function is what the program was in.
        let is_of_it = |seen: &&Seen| match read.contains(&seen.ip) {
            true => seen.words.iter().any(|word| place.contains(word)),
            false => place.contains(&seen.ip),
        };
        let of_it = self
            .standing
            .iter()
            .filter_map(|(id, _)| self.by_id.get(id))
            .filter(is_of_it);
        let estimates: Vec<f64> = of_it.map(|seen| seen.estimate).collect();
        (estimates.iter().sum(), estimates.len())
    }

    /// Each of n pages counts w times with probability 1/w: n * (w - 1) pages² of variance.
    fn assert_near(&self, name: &str, truth: u64, one_in: u64) {
        let (bytes, n) = self.bytes_of(name);
        let pages = (truth / PAGE) as f64;
        let deviation = (pages * (one_in - 1) as f64).sqrt() * PAGE as f64;
        println!("{name}: {bytes} of {truth} by {n}, deviation {deviation}");
        let allowed = 4.0 * deviation + 8.0 * PAGE as f64;
        let error = bytes - truth as f64;
        assert!(error.abs() <= allowed, "{name}: {bytes} of {truth}");
    }
}

const MAPPED: u64 = 64;

#[test]
#[ignore = "needs root and BTF"]
fn what_is_touched_is_found_where_it_is_touched() {
    for way in ["maps", "reads", "threads", "shared", "fork"] {
        for one_in in [1, 32] {
            // The ring buffer has room for touch_less at once.
            let mib = if one_in == 1 { 4 } else { MAPPED };
            let mut toucher = Toucher::ready(way, mib);
            println!("{way}, one in {one_in}");
            let capture = capture(&mut toucher, Some(one_in * PAGE));
            capture.assert_near("touch_more", mib * MIB, one_in);
            capture.assert_near("touch_less", mib * MIB / 8, one_in);
            assert_eq!(capture.totals.lost, 0);
            assert_eq!(capture.totals.threads_unseen, 0);
            assert_eq!(capture.totals.without_registers, 0);
            let at_least = mib * MIB / PAGE;
            let events = capture.totals.events;
            assert!((at_least..at_least * 2).contains(&events), "{events}");
        }
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn what_is_given_back_or_of_a_file_does_not_stand() {
    for way in ["returns", "again", "file"] {
        let mut toucher = Toucher::ready(way, MAPPED);
        println!("{way}");
        let capture = capture(&mut toucher, Some(16 * PAGE));
        let less = function("touch_less");
        let n_seen = capture
            .by_id
            .values()
            .filter(|seen| less.contains(&seen.ip));
        println!("{} touches by touch_less", n_seen.clone().count());
        if way != "file" {
            assert!(n_seen.count() > 50);
        }
        capture.assert_near("touch_more", MAPPED * MIB, 16);
        assert_eq!(capture.bytes_of("touch_less"), (0.0, 0));
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_huge_page_counts_as_one() {
    let mut toucher = Toucher::ready("huge", 256);
    let capture = capture(&mut toucher, Some(16 * PAGE));
    let resident = fs::read_to_string(format!("/proc/{}/smaps_rollup", toucher.running.pid()));
    let resident = resident.expect("a running process");
    let huge = resident.lines().find(|line| line.starts_with("AnonHuge"));
    println!("{huge:?}");
    assert!(
        !huge.expect("a line").contains(" 0 kB"),
        "the kernel gave none"
    );
    capture.assert_near("touch_more", 256 * MIB, 16);
    let n_huge = capture.by_id.values().filter(|seen| seen.bytes == 2 * MIB);
    // Of the first fault it cannot be told.
    assert!((127..=128).contains(&n_huge.count()));
}

#[test]
#[ignore = "needs root and BTF"]
fn the_sampling_follows_the_rate() {
    // Some seconds of as many faults as there can be.
    const MIB_TOUCHED: u64 = 1024;
    let cpu_secs = |toucher: &Toucher| {
        let host = Host::new("/");
        host.cpu_secs(toucher.running.pid()).expect("it runs")
    };
    let mut unseen = Toucher::ready("again", MIB_TOUCHED);
    unseen.go();
    assert_eq!(unseen.line(), "done\n");
    let mut toucher = Toucher::ready("again", MIB_TOUCHED);
    let capture = capture(&mut toucher, None);
    let cost_secs = cpu_secs(&toucher) - cpu_secs(&unseen);
    let cost_ns = cost_secs * 1e9 / capture.totals.events as f64;
    println!("{cost_ns} ns a fault, beside {} s", cpu_secs(&unseen));
    assert!(cost_ns < 2000.0, "{cost_ns} ns a fault");
    let rarest = capture.by_id.values().map(|seen| seen.sampling_bytes).max();
    println!("one in {rarest:?} bytes");
    assert!(rarest > Some(256 * PAGE), "{rarest:?}");
    assert!(capture.totals.events > 500_000, "{:?}", capture.totals);
}

#[test]
#[ignore = "needs root and BTF"]
fn the_stack_comes_with_it() {
    let mut toucher = Toucher::ready("maps", 16);
    let capture = capture(&mut toucher, Some(16 * PAGE));
    let place = function("touch_less");
    let of_it: Vec<_> = (capture.by_id.values())
        .filter(|seen| place.contains(&seen.ip))
        .collect();
    assert!(of_it.len() > 5);
    let text = function("main").start & !0xf_ffff..function("touch_less").end + (4 << 20);
    for seen in of_it {
        // A leaf without a frame: what it returns to is on top of the stack, in the program.
        assert!(text.contains(&seen.words[0]), "{seen:x?}");
        assert!(seen.stack_bytes > 256, "{seen:?}");
    }
}
