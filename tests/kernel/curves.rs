//! How processes came to their size: what is listed of those that grow, and the curves that are kept.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use memleakd::bus::{Client, Process};
use memleakd::curve::Curve;
use memleakd::detect::Cause;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::bus::Bus;
use crate::stage::{Daemon, Running, SOON, eventually, program, start_time};

const NOBODY: &str = "65534";
/// A point may be taken a little before or after the program's own count: its time is told in
/// seconds, and a scan is not at once.
const SLACK_SECS: f64 = 2.0;
const SLACK_BYTES: f64 = 512.0 * 1024.0;

/// After this time there is a whole block in which its heap was measured.
const MEASURED: Duration = Duration::from_secs(25);

/// A leaking program that counts what it allocates.
struct Tally {
    running: Running,
    /// When, in seconds since boot, and how much it had allocated then.
    told: Arc<Mutex<Vec<(f64, f64)>>>,
}

impl Tally {
    fn start() -> Self {
        let mut running = Running::start(Command::new(program("tally")).stdout(Stdio::piped()));
        let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let told = Arc::<Mutex<Vec<_>>>::default();
        let theirs = Arc::clone(&told);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let (secs, bytes) = line.split_once(' ').expect("two numbers");
                let told = (secs.parse().expect("secs"), bytes.parse().expect("bytes"));
                theirs
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(told);
            }
        });
        Self { running, told }
    }

    /// What it had allocated at a time, in seconds since boot: the least and the most that this can
    /// have been.
    fn at(&self, secs: f64) -> (f64, f64) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let until = |secs: f64| {
            let before = told.iter().rev().find(|(at, _)| *at <= secs);
            before.map_or(0.0, |(_, bytes)| *bytes)
        };
        (until(secs - SLACK_SECS), until(secs + SLACK_SECS))
    }
}

fn boot_secs() -> f64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Holds a curve against what the program has told of itself. Returns over what time it reaches.
fn holds(tally: &Tally, curve: &Curve, asked_secs: f64) -> f64 {
    let times: Vec<_> = curve.pages.iter().map(|point| point.secs_ago).collect();
    assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
    assert!(curve.pages.len() >= 3, "{curve:?}");
    // What it held when it had allocated nothing: the lowest that any point leaves for that.
    let left = |secs_ago: f64, bytes: u64| {
        let (least, most) = tally.at(asked_secs - secs_ago);
        (bytes as f64 - most, bytes as f64 - least)
    };
    let left: Vec<_> = curve
        .pages
        .iter()
        .map(|point| left(point.secs_ago, point.bytes))
        .collect();
    let low = left
        .iter()
        .fold(f64::NEG_INFINITY, |low, (least, _)| low.max(*least));
    let high = left
        .iter()
        .fold(f64::INFINITY, |high, (_, most)| high.min(*most));
    assert!(low <= high + SLACK_BYTES, "{low} {high} {curve:?}");
    // A small program.
    assert!(high < 4e6 && low > -SLACK_BYTES, "{low} {high} {curve:?}");
    times[0] - times[times.len() - 1]
}

fn client(bus: &Bus) -> Client {
    Client::connect_to(&bus.address).expect("a bus")
}

fn listed(bus: &Bus, pid: u32) -> Option<Process> {
    let processes = client(bus).processes(100).expect("processes");
    processes.into_iter().find(|process| process.pid == pid)
}

fn raised(daemon: &Daemon, pid: u32) -> String {
    let raised = daemon.alert("raised", pid, SOON);
    raised["id"].as_str().expect("an id").to_owned()
}

#[test]
#[ignore = "needs root and BTF"]
fn what_is_listed_of_a_leaking_process_is_what_is_known_of_it() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    let tally = Tally::start();
    let pid = tally.running.pid();
    let id = raised(&daemon, pid);
    // Whether its heap grows is known once it has been measured for a while.
    eventually("its cause", || {
        listed(&bus, pid).is_some_and(|process| process.cause == Cause::Heap)
    });
    let process = listed(&bus, pid).expect("a leaking process");
    let asked_secs = boot_secs();
    assert_eq!(process.start_time.to_string(), start_time(pid));
    assert!(process.suspect, "{process:?}");
    assert_eq!(process.alerts, [id]);
    assert!(
        process.exhausts_in_secs.is_some_and(|secs| secs > 60),
        "{process:?}"
    );
    let (least, most) = tally.at(asked_secs);
    let net_bytes = process.net_heap_bytes.expect("a measured heap") as f64;
    assert!(
        (0.0..most).contains(&net_bytes) && least > 0.0,
        "{process:?}"
    );
    let (before, after) = (tally.at(asked_secs - 12.0), tally.at(asked_secs - 2.0));
    let bytes_per_sec = (after.1 - before.1) / 10.0;
    let heap_rate = process.heap_bytes_per_sec.expect("a measured heap");
    assert!(
        (0.7..1.3).contains(&(heap_rate / bytes_per_sec)),
        "{heap_rate} {bytes_per_sec}"
    );
    let curve = Curve {
        pages: process.curve,
        ..Curve::default()
    };
    let reaches_secs = holds(&tally, &curve, asked_secs);
    assert!(reaches_secs > 8.0, "{curve:?}");
    // Who does not grow is neither.
    let others = client(&bus).processes(100).expect("processes");
    let quiet = others.iter().filter(|process| !process.suspect);
    assert!(
        quiet
            .clone()
            .all(|process| process.exhausts_in_secs.is_none() || !process.alerts.is_empty())
    );
    // As few as somebody wants.
    assert!(client(&bus).processes(1).expect("one").len() <= 1);
    assert!(client(&bus).processes(0).expect("none").is_empty());
}

/// Asks for a curve as another user.
fn refused(bus: &Bus, pid: u32, start_time: &str) -> String {
    let output = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .args([
            "dbus-send",
            &format!("--bus={}", bus.address),
            "--print-reply",
        ])
        .args(["--dest=org.memleakd.Memleakd1", "/org/memleakd/Memleakd1"])
        .arg("org.memleakd.Memleakd1.GetCurve")
        .args([&format!("uint32:{pid}"), &format!("uint64:{start_time}")])
        .output()
        .expect("dbus-send runs");
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
#[ignore = "needs root and BTF"]
fn a_curve_is_what_the_program_allocated_and_for_whose_it_is() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    let tally = Tally::start();
    let pid = tally.running.pid();
    raised(&daemon, pid);
    thread::sleep(MEASURED);
    let curve = client(&bus).curve(pid, 0).expect("a curve");
    let reaches_secs = holds(&tally, &curve, boot_secs());
    assert!(reaches_secs > 10.0, "{curve:?}");
    assert_eq!(curve.start_time.to_string(), start_time(pid));
    assert!(curve.net_heap.len() >= 2, "{curve:?}");

    // One that does not grow has one as well, of what is remembered.
    let own = client(&bus).curve(std::process::id(), 0).expect("a curve");
    assert!(!own.pages.is_empty() && own.net_heap.is_empty(), "{own:?}");

    let error = refused(&bus, pid, "0");
    assert!(error.contains("belongs to another user"), "{error}");
    let error = refused(&bus, pid, &start_time(pid));
    assert!(error.contains("belongs to another user"), "{error}");
    let error = refused(&bus, pid, "7");
    assert!(error.contains("no curve is kept"), "{error}");
    for (pid, start_time, expected) in [
        (4_194_303, 0, "there is no process 4194303"),
        (pid, 7, "no curve is kept of a process"),
    ] {
        let error = client(&bus).curve(pid, start_time).expect_err("none");
        assert!(error.to_string().contains(expected), "{error:#}");
    }
}

/// Holds the curve of a process that has ended against what it has told of itself.
fn holds_after(bus: &Bus, tally: &Tally, pid: u32, start_time: u64) -> Curve {
    let curve = client(bus).curve(pid, start_time).expect("a curve");
    let reaches_secs = holds(tally, &curve, boot_secs());
    assert!(reaches_secs > 10.0, "{curve:?}");
    assert!(curve.net_heap.len() >= 2, "{curve:?}");
    // The two grow alike where both are known.
    let (first, last) = (curve.net_heap[0], curve.net_heap[curve.net_heap.len() - 1]);
    let gained = (last.net_bytes - first.net_bytes) as f64;
    let at = |secs_ago: f64| {
        let (least, most) = tally.at(boot_secs() - secs_ago);
        (least + most) / 2.0
    };
    let expected = at(last.secs_ago) - at(first.secs_ago);
    assert!(
        (gained - expected).abs() < 0.15 * expected + 2.0 * SLACK_BYTES,
        "{gained} {expected}"
    );
    curve
}

#[test]
#[ignore = "needs root and BTF"]
fn a_curve_outlives_its_process_and_the_daemon() {
    let bus = Bus::start();
    let mut daemon = bus.daemon();
    let mut tally = Tally::start();
    let pid = tally.running.pid();
    let ticks: u64 = start_time(pid).parse().expect("ticks");
    raised(&daemon, pid);
    thread::sleep(MEASURED);
    tally.running.0.kill().expect("it runs");
    tally.running.0.wait().expect("an end");
    daemon.alert("cleared", pid, SOON);

    let curve = holds_after(&bus, &tally, pid, ticks);
    assert_eq!((curve.pid, curve.start_time), (pid, ticks));
    let error = client(&bus).curve(pid, 0).expect_err("it has ended");
    assert_eq!(error.to_string(), format!("there is no process {pid}"));
    let error = refused(&bus, pid, &ticks.to_string());
    assert!(error.contains("no curve is kept"), "{error}");

    // What is kept at the end is there after a start, and after a kill as it was saved.
    daemon.running.signal(Signal::TERM);
    assert!(daemon.running.0.wait().expect("an end").success());
    let path = daemon.directory.path().join("state/curves.json");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut directory = daemon.directory;
    for _ in 0..2 {
        let mut daemon = bus.daemon_in(directory);
        eventually("the curve", || client(&bus).curve(pid, ticks).is_ok());
        let again = holds_after(&bus, &tally, pid, ticks);
        assert_eq!(again.pages.len(), curve.pages.len(), "{again:?} {curve:?}");
        daemon.running.signal(Signal::KILL);
        daemon.running.0.wait().expect("an end");
        directory = daemon.directory;
    }

    // Cut short, or of a later version, it is set aside and said, and all else goes on.
    let whole = fs::read(&path).expect("a file");
    let state = directory.path().join("state");
    for (content, said) in [
        (
            &whole[..whole.len() - 7],
            "starting without the curves of processes",
        ),
        (b"{\"version\":2,\"curves\":7}", "curves.json has format 2"),
        (b"", "starting without the curves of processes"),
        (b"[]", "starting without the curves of processes"),
    ] {
        fs::write(state.join("curves.json"), content).expect("a file");
        fs::remove_file(directory.path().join("log")).expect("a log");
        let mut daemon = bus.daemon_in(directory);
        daemon.wait_for_log(said);
        eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
        let aside = fs::read(state.join("curves.json.unreadable")).expect("a file");
        assert_eq!(aside, content);
        assert!(client(&bus).curve(pid, ticks).is_err());
        daemon.running.signal(Signal::KILL);
        daemon.running.0.wait().expect("an end");
        directory = daemon.directory;
    }
}
