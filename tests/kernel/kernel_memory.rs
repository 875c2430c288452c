use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use memleakd::collect::{KernelMemory, Scan};
use memleakd::net::Net;
use memleakd::sample::ProcessId;
use memleakd::site::{Attribution, Site};

use crate::stage::{Running, eventually, program, start_time};

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;

/// Every kind of leak that the test program knows.
const KINDS: [&str; 8] = [
    "pipes",
    "sockets",
    "tcp-sockets",
    "eventfds",
    "timerfds",
    "epoll-entries",
    "timers",
    "sysv-messages",
];
/// Those of them that the kernel frees by `kfree_rcu`, this or a later one.
const DEFERRED: [&str; 3] = ["timerfds", "epoll-entries", "timers"];
/// Things that are leaked; two files each at most, of 20,000 that are allowed as a rule.
const LEAKED: u64 = 9000;

/// The program that leaks, which waits to be told.
struct Leak {
    running: Running,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Leak {
    fn ready(kind: &str, count: u64, more: &[&str]) -> Self {
        let mut running = Running::start(
            Command::new(program("kernel_leak"))
                .args([kind, &count.to_string(), "0"])
                .args(more)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        );
        let input = running.0.stdin.take();
        let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let mut leak = Self {
            running,
            input,
            output,
        };
        assert_eq!(leak.line(), "ready\n");
        leak
    }

    fn leak(&mut self) {
        let mut input = self.input.as_ref().expect("a pipe");
        input.write_all(b"go\n").expect("it reads");
        let line = self.line();
        assert!(line.starts_with("done "), "{line:?}");
    }

    fn end(mut self) {
        self.input = None;
        self.running.0.wait().expect("it ends with its input");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line
    }
}

/// Objects and the size of one, of each slab cache that is not reclaimable.
fn slabs() -> HashMap<String, (i64, i64)> {
    let text = fs::read_to_string("/proc/slabinfo").expect("root may read it");
    let caches = text.lines().skip(2).filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let n_objects = words.next()?.parse().ok()?;
        let object_bytes = words.nth(1)?.parse().ok()?;
        // Goes with inodes, which are.
        if name == "lsm_inode_cache" {
            return None;
        }
        let flag = fs::read_to_string(format!("/sys/kernel/slab/{name}/reclaim_account"));
        let is_reclaimable = flag.expect("a cache").trim() == "1";
        (!is_reclaimable).then(|| (name.to_owned(), (n_objects, object_bytes)))
    });
    caches.collect()
}

/// What the slab allocator itself says has been added, as (objects, bytes of one) by cache.
///
/// Each thing that is leaked takes a whole number of objects, so what others on the machine do
/// meanwhile is rounded off, and the lists that the allocator makes for each page.
fn added(before: &HashMap<String, (i64, i64)>) -> Vec<(i64, i64)> {
    let leaked = LEAKED as i64;
    let added = slabs().into_iter().map(|(name, (n, bytes))| {
        let n_before = before.get(&name).map_or(0, |(n, _)| *n);
        ((n - n_before + leaked / 2) / leaked * leaked, bytes)
    });
    added.filter(|(n, _)| *n > 0).collect()
}

fn sum(added: &[(i64, i64)]) -> i64 {
    added.iter().map(|(n, bytes)| n * bytes).sum()
}

fn load(shift: u32) -> KernelMemory {
    let mut memory = KernelMemory::load().expect("the kernel takes the programs");
    memory.keep_sampling(shift);
    memory
}

fn read(memory: &mut KernelMemory) -> HashMap<ProcessId, Net> {
    let mut nets = HashMap::new();
    memory
        .read(&mut |process, net| {
            nets.insert(process, net);
        })
        .expect("the totals can be read");
    nets
}

fn of_pid(nets: &HashMap<ProcessId, Net>, pid: u32) -> (ProcessId, Net) {
    let found: Vec<_> = nets
        .iter()
        .filter(|(process, _)| process.pid == pid)
        .collect();
    let [(process, net)] = found[..] else {
        panic!("{found:?} of {pid}")
    };
    (*process, *net)
}

#[test]
#[ignore = "needs root and BTF"]
fn every_kind_of_leak_is_found_with_its_size() {
    let mut memory = load(0);
    for kind in KINDS {
        let mut leak = Leak::ready(kind, LEAKED, &[]);
        memory.start().expect("the programs attach");
        let before = slabs();
        leak.leak();
        let truth = sum(&added(&before));
        let nets = read(&mut memory);
        let (process, net) = of_pid(&nets, leak.running.pid());
        let sites = memory.sites(process, 20).expect("the objects can be read");
        let sites = sites.sites;
        memory.stop();
        let loss = memory.loss();

        println!("{kind}: {} of {truth}, {net:?}, {loss:?}", net.net_bytes());
        for site in &sites {
            println!("    {site:?}");
        }
        let error = (net.net_bytes() - truth).abs();
        assert!(error * 20 <= truth, "{kind}: {net:?} of {truth}");
        assert!(truth >= LEAKED as i64 * 100, "{kind}: {truth}");
        let start_ticks = process.start_time_ticks().to_string();
        assert_eq!(start_ticks, start_time(leak.running.pid()));
        let largest = nets.iter().max_by_key(|(_, net)| net.net_bytes());
        assert_eq!(
            largest.map(|(process, _)| *process),
            Some(process),
            "{kind}"
        );
        assert_eq!((loss.objects_full, loss.owners_full), (0, 0), "{kind}");

        let at_sites: u64 = sites.iter().map(|site| site.bytes).sum();
        let differ = (at_sites as i64 - net.net_bytes()).abs();
        assert!(differ * 20 <= net.net_bytes(), "{kind}: {sites:?}");
        assert!(sites.is_sorted_by_key(|site| std::cmp::Reverse(site.bytes)));
        assert!(sites[0].frames[0].function.is_some(), "{sites:?}");
        assert_eq!(sites[0].frames.len(), 1, "stacks are not kept unasked");
        leak.end();
    }
}

/// Functions of the kernel of which one at least is in the stack of each kind of leak, by their
/// names over time, and the one through which all system calls go.
const LEAKING: [(&str, &[&str]); 4] = [
    ("pipes", &["do_pipe2", "__do_pipe_flags"]),
    (
        "tcp-sockets",
        &["__sys_socket", "__sock_create", "sock_alloc_file"],
    ),
    (
        "timerfds",
        &[
            "__x64_sys_timerfd_create",
            "__do_sys_timerfd_create",
            "__arm64_sys_timerfd_create",
        ],
    ),
    ("timers", &["do_timer_create"]),
];
const SYSTEM_CALLS: [&str; 4] = ["do_syscall_64", "x64_sys_call", "el0_svc", "invoke_syscall"];

/// A process by its exact start, as the scan has it.
fn process_of(pid: u32) -> ProcessId {
    let mut found = None;
    let mut scan = Scan::load().expect("the scan loads");
    scan.read(&mut |sample| {
        found = found.or((sample.process.pid == pid).then_some(sample.process))
    })
    .expect("the scan reads");
    found.expect("a running process")
}

fn functions(site: &Site) -> Vec<&str> {
    let frames = site.frames.iter();
    frames
        .filter_map(|frame| frame.function.as_deref())
        .collect()
}

#[test]
#[ignore = "needs root and BTF"]
fn the_stack_of_a_leak_has_its_system_call() {
    let mut memory = load(0);
    for (kind, expected) in LEAKING {
        let mut leak = Leak::ready(kind, LEAKED, &[]);
        memory.start().expect("the programs attach");
        let pid = leak.running.pid();
        let process = process_of(pid);
        memory.keep_stacks(&[process]).expect("a table");
        leak.leak();
        let sites = memory.sites(process, 20).expect("the objects can be read");
        memory.stop();
        assert!(sites.loss.is_empty(), "{:?}", sites.loss);
        let top = &sites.sites[0];
        println!(
            "{kind}: {} of {:?} s: {:?}, {:?}",
            top.bytes,
            top.median_age_secs,
            functions(top),
            top.cut
        );
        let has = |names: &[&str]| functions(top).iter().any(|f| names.contains(f));
        assert!(has(expected), "{kind}: {top:?}");
        assert!(has(&SYSTEM_CALLS), "{kind}: {top:?}");
        assert_eq!(
            (top.attribution, &top.cut),
            (Attribution::Kernel, &None),
            "{kind}"
        );
        assert!(
            top.frames
                .iter()
                .all(|frame| frame.module.is_some() && frame.offset.is_none())
        );
        // It begins with the caller of the allocating function, and has no tracing in it.
        let is_of_the_way =
            |f: &&str| f.contains("bpf") || f.contains("kmalloc") || f.contains("trace");
        assert!(!functions(top).iter().any(is_of_the_way), "{kind}: {top:?}");
        let age_secs = top.median_age_secs.expect("objects have times");
        assert!((0.0..20.0).contains(&age_secs), "{age_secs}");
        leak.end();
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn sampling_stays_within_its_statistical_error() {
    for shift in [2, 4, 6] {
        let mut memory = load(shift);
        let mut leak = Leak::ready("pipes", LEAKED, &[]);
        memory.start().expect("the programs attach");
        let before = slabs();
        leak.leak();
        let added = added(&before);
        let (_, net) = of_pid(&read(&mut memory), leak.running.pid());
        memory.stop();

        let truth = sum(&added);
        // Each object counts N times with probability 1/N: (N - 1) * bytes^2 of variance.
        let squares: i64 = added.iter().map(|(n, bytes)| n * bytes * bytes).sum();
        let deviation = (((1 << shift) - 1) as f64 * squares as f64).sqrt();
        let error = (net.net_bytes() - truth) as f64;
        println!(
            "1/{}: {error} of {truth}, deviation {deviation}",
            1 << shift
        );
        // And what slabinfo itself leaves open.
        let allowed = 4.0 * deviation + 0.03 * truth as f64;
        assert!(
            error.abs() <= allowed,
            "{error} of {truth}, allowed {allowed}"
        );
        leak.end();
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_change_of_sampling_leaves_no_object_behind() {
    let mut memory = load(0);
    let mut early = Leak::ready("eventfds", LEAKED, &[]);
    let mut late = Leak::ready("eventfds", LEAKED, &[]);
    memory.start().expect("the programs attach");
    read(&mut memory);
    let tracked_at_first = memory.loss().tracked;
    early.leak();
    thread::sleep(Duration::from_millis(150));
    memory.keep_sampling(3);
    read(&mut memory);
    late.leak();
    thread::sleep(Duration::from_millis(150));
    let nets = read(&mut memory);
    let tracked_at_last = memory.loss().tracked;
    let net_of = |leak: &Leak| of_pid(&nets, leak.running.pid()).1.net_bytes();
    let (net_early, net_late) = (net_of(&early), net_of(&late));
    assert!(
        (net_early - net_late).abs() * 10 <= net_early,
        "{net_early} and {net_late}"
    );
    assert!(
        tracked_at_last >= tracked_at_first + 3 * LEAKED,
        "{tracked_at_last}"
    );
    let processes = [&early, &late].map(|leak| of_pid(&nets, leak.running.pid()).0);
    early.end();
    late.end();
    // A process stays in the table, though no longer among those read, until its last object is
    // freed, some time after it has ended.
    eventually("the end of the objects", || {
        thread::sleep(Duration::from_millis(200));
        let nets = read(&mut memory);
        processes.iter().all(|process| {
            let sites = memory
                .sites(*process, 100)
                .expect("the objects can be read");
            // But for frees in interrupts that the kernel did not let through.
            let n_left: u64 = sites.sites.iter().map(|site| site.count).sum();
            !nets.contains_key(process) && n_left < LEAKED / 100
        })
    });
}

/// Nets at about twice a second while a load lasts, of this process and those that came after it:
/// the machine may have others, with leaks of their own.
fn watched_while(load: impl FnOnce() + Send) -> (HashMap<ProcessId, Vec<i64>>, KernelMemory) {
    let mut memory = self::load(0);
    memory.start().expect("the programs attach");
    let began: u64 = start_time(std::process::id()).parse().expect("a number");
    let mut curves: HashMap<ProcessId, Vec<i64>> = HashMap::new();
    thread::scope(|scope| {
        let load = scope.spawn(load);
        while !load.is_finished() {
            thread::sleep(Duration::from_millis(500));
            for (process, net) in read(&mut memory) {
                if process.start_time_ticks() >= began {
                    curves.entry(process).or_default().push(net.net_bytes());
                }
            }
        }
    });
    memory.stop();
    println!("{:?}", memory.loss());
    (curves, memory)
}

/// What a process may gain once it is at work, which is seen in more than a few readings.
const BOUND: i64 = 512 * KIB;

fn assert_no_growth(
    what: &str,
    memory: &mut KernelMemory,
    curves: &HashMap<ProcessId, Vec<i64>>,
    most: i64,
) {
    let mut longest: Vec<_> = curves.iter().collect();
    longest.sort_by_key(|(_, curve)| std::cmp::Reverse(curve.iter().max().copied()));
    for (process, curve) in longest.iter().take(3) {
        let name = fs::read_to_string(format!("/proc/{}/comm", process.pid));
        println!("{what}: {process:?} {name:?} {curve:?}");
        let sites = memory.sites(**process, 4).expect("the objects can be read");
        println!("    {sites:?}");
    }
    // Where deferred frees are not seen, whatever has ever waited for its free may count.
    let gain = match memory.loss().deferred_frees_unseen && DEFERRED.contains(&what) {
        true => AWAITING,
        false => BOUND,
    };
    for (process, curve) in curves {
        let (Some(last), Some(middle)) = (curve.last(), curve.get(curve.len() / 2)) else {
            continue;
        };
        assert!(
            curve.len() < 6 || last - middle <= gain,
            "{what}: {process:?} {curve:?}"
        );
        assert!(*last <= most, "{what}: {process:?} {curve:?}");
    }
}

fn for_secs(secs: u64, mut work: impl FnMut()) {
    let until = Instant::now() + Duration::from_secs(secs);
    while Instant::now() < until {
        work();
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn reading_every_file_is_no_leak() {
    let (curves, mut memory) = watched_while(|| {
        for_secs(8, || {
            // Processes end meanwhile, about which it complains.
            let mut find = Command::new("find");
            find.args(["/", "-xdev", "-size", "+1"])
                .stderr(Stdio::null());
            find.stdout(Stdio::null()).status().expect("find runs");
        });
    });
    assert_no_growth("find", &mut memory, &curves, 4 * MIB);
}

#[test]
#[ignore = "needs root and BTF"]
fn building_is_no_leak() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let makefile = "all: $(addsuffix .out,$(shell seq 24))\n\
                    %.out: ; cc -O2 -pthread -o $@ $(SOURCE)\n";
    fs::write(directory.path().join("Makefile"), makefile).expect("a makefile");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/kernel_leak.c");
    let (curves, mut memory) = watched_while(|| {
        for_secs(8, || {
            let made = Command::new("make")
                .args(["-B", "-j2", "-s", &format!("SOURCE={source}"), "-C"])
                .arg(directory.path())
                .status();
            assert!(made.expect("make runs").success());
        });
    });
    assert_no_growth("building", &mut memory, &curves, 4 * MIB);
}

/// Bytes that go over a connection at once.
const PIECE: usize = 60_000;

#[test]
#[ignore = "needs root and BTF"]
fn traffic_is_no_leak() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut piece = [0; PIECE];
            while stream.read_exact(&mut piece).is_ok() {
                stream.write_all(&piece[..100]).expect("it reads");
            }
        }
    });
    let (curves, mut memory) = watched_while(|| {
        for_secs(8, || {
            // A port is held for a minute after its connection, which is memory in earnest: few.
            let mut stream = TcpStream::connect(address).expect("a connection");
            for _ in 0..500 {
                stream.write_all(&[7; PIECE]).expect("it reads");
                stream.read_exact(&mut [0; 100]).expect("an answer");
            }
        });
    });
    assert_no_growth("traffic", &mut memory, &curves, 4 * MIB);
}

/// Objects may wait to be freed until nobody reads them any more, and on kernels that do not let
/// functions be hooked they count until their address comes again: as much as was ever waiting.
const AWAITING: i64 = 64 * MIB;

#[test]
#[ignore = "needs root and BTF"]
fn what_is_freed_at_once_is_no_leak() {
    for kind in KINDS {
        let mut churn = Leak::ready(kind, 600_000, &["churn"]);
        let pid = churn.running.pid();
        let (curves, mut memory) = watched_while(|| churn.leak());
        assert_no_growth(kind, &mut memory, &curves, AWAITING);
        assert!(curves.keys().any(|process| process.pid == pid), "{kind}");
        churn.end();
    }
}
