//! Sampled stacks, as they are handed on, held against what programs know of their own heaps.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use memleakd::collect::{Capture, Listen, Listener, Pinpoint, Pinpointed, Prober};
use memleakd::config::Returns;
use memleakd::quantity::Share;
use memleakd::sample::ProcessId;
use memleakd::site::Sites;
use memleakd::stacks::wire::{Class, Kind, StackSample, Standing};

use crate::heap::allocators::prefixed;
use crate::heap::{Program, build, captured};
use crate::stage::eventually;

const ROOT: u32 = 0;

/// What has been heard of a process.
#[derive(Debug, Clone, Default)]
struct Heard {
    samples: HashMap<u64, Sampled>,
    windows: Vec<(f64, Vec<Standing>, Vec<Class>)>,
    n_lost: u64,
    is_finished: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sampled {
    bytes: f64,
    weight: f64,
    kind: Kind,
    ip: u64,
    /// What lies at the stack pointer, and how much there is.
    stack_bytes: usize,
}

/// An estimate, and its standard error.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    value: f64,
    error: f64,
}

impl Heard {
    /// Horvitz and Thompson's estimator of what stands, of a kind, of all windows.
    fn outstanding(&self, kind: Kind) -> Estimate {
        let standing = self.windows.iter().flat_map(|(_, standing, _)| standing);
        let found: Vec<_> = standing
            .filter_map(|standing| self.samples.get(&standing.id))
            .filter(|sampled| sampled.kind == kind)
            .collect();
        estimate(&found)
    }

    /// What has been allocated.
    fn allocated(&self, kind: Kind) -> Estimate {
        let found = self.samples.values().filter(|sampled| sampled.kind == kind);
        estimate(&found.collect::<Vec<_>>())
    }
}

fn estimate(samples: &[&Sampled]) -> Estimate {
    let variance: f64 = samples
        .iter()
        .map(|it| it.bytes * it.bytes * it.weight * (it.weight - 1.0))
        .sum();
    Estimate {
        value: samples.iter().map(|it| it.bytes * it.weight).sum(),
        error: variance.sqrt(),
    }
}

impl Estimate {
    #[track_caller]
    fn check(self, truth: i64, what: &str) {
        let truth = truth as f64;
        eprintln!("{what}: {self:?} of {truth}");
        // One in a million is farther off; a sample or two come before the first command.
        let far = 5.0 * self.error + 0.002 * truth + 70_000.0;
        assert!(
            (self.value - truth).abs() <= far,
            "{what}: {self:?} of {truth}"
        );
        assert!(self.error <= 0.4 * truth, "{what}: {self:?} of {truth}");
    }
}

static HEARD: LazyLock<Mutex<HashMap<u32, Heard>>> = LazyLock::new(Mutex::default);

struct Ear(u32);

impl Ear {
    fn hear(&self, hear: impl FnOnce(&mut Heard)) {
        hear(
            HEARD
                .lock()
                .expect("no test fails in here")
                .entry(self.0)
                .or_default(),
        );
    }
}

impl Listener for Ear {
    fn sample(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let sample = StackSample::parse(record).expect("a record");
        self.hear(|heard| {
            let sampled = Sampled {
                bytes: sample.bytes as f64,
                weight: sample.weight(),
                kind: sample.kind,
                ip: sample.ip,
                stack_bytes: sample.stack.len(),
            };
            let twice = heard.samples.insert(sample.id, sampled);
            assert!(twice.is_none(), "{sample:?}");
        });
        Ok(())
    }

    fn window(
        &mut self,
        secs: f64,
        standing: &[Standing],
        classes: &[Class],
    ) -> anyhow::Result<()> {
        self.hear(|heard| {
            heard
                .windows
                .push((secs, standing.to_vec(), classes.to_vec()));
        });
        Ok(())
    }

    fn finish(self: Box<Self>, n_lost: u64, _: Duration) -> anyhow::Result<Sites> {
        self.hear(|heard| {
            heard.n_lost = n_lost;
            heard.is_finished = true;
        });
        Ok(Sites {
            loss: vec!["heard to the end".to_owned()],
            ..Sites::default()
        })
    }
}

fn listen() -> Listen {
    Arc::new(|_, pid| Ok(Box::new(Ear(pid)) as Box<dyn Listener>))
}

fn start(returns: Returns) -> Prober {
    let exe: PathBuf = env!("CARGO_BIN_EXE_memleakd").into();
    Prober::start_with(exe, returns, listen()).expect("a thread")
}

static PROBER: LazyLock<Prober> = LazyLock::new(|| start(Returns::Auto));
static WITHOUT_RETURNS: LazyLock<Prober> = LazyLock::new(|| start(Returns::Never));

fn heard(pid: u32) -> Heard {
    HEARD
        .lock()
        .expect("no test fails in here")
        .get(&pid)
        .cloned()
        .unwrap_or_default()
}

/// Captures a program, and has it do something meanwhile.
fn capture(
    prober: &Prober,
    program: &mut Program,
    secs: u64,
    act: impl FnOnce(&mut Program),
) -> (Capture, Heard) {
    let id = prober
        .capture(program.process(), Duration::from_secs(secs), ROOT)
        .expect("room");
    eventually("probes", || program.has_probes());
    // They are in one after the other.
    thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    act(program);
    let took = started.elapsed().as_secs_f64();
    assert!(took < secs as f64 - 0.6, "{took} s");
    let capture = captured(prober, id).expect("a capture");
    let heard = heard(program.pid());
    assert!(heard.is_finished, "{capture:?}");
    assert!(
        capture.loss.iter().any(|loss| loss == "heard to the end"),
        "{capture:?}"
    );
    eprintln!(
        "{} samples, {} lost, {capture:?}",
        heard.samples.len(),
        heard.n_lost
    );
    (capture, heard)
}

fn pinpointed(prober: &Prober, process: ProcessId, within: Duration) -> Result<Pinpointed, String> {
    let until = Instant::now() + within;
    loop {
        let mut all = prober.pinpointed().into_iter();
        if let Some((_, result)) = all.find(|(of, _)| *of == process) {
            assert!(!prober.is_pinpointing(process));
            return result;
        }
        assert!(Instant::now() < until, "nothing came");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Where a process has the code of files.
fn code_of(pid: u32) -> Vec<std::ops::Range<u64>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
    let number = |text| u64::from_str_radix(text, 16).expect("a number");
    let code = maps
        .lines()
        .filter(|line| line.contains(" r-xp ") && line.contains(" /"));
    code.map(|line| {
        let range = line.split(' ').next().expect("a range");
        let (start, end) = range.split_once('-').expect("a range");
        number(start)..number(end)
    })
    .collect()
}

/// Every allocator that is told by another way, and a program that allocates with it, which knows
/// what it has asked for.
fn programs() -> Vec<(&'static str, Program)> {
    let requested = "-DREQUESTED";
    let paths = [
        (
            "glibc",
            build("requested", &["churn.c"], "cc", &[requested]),
        ),
        (
            "glibc, static",
            build(
                "requested-static",
                &["churn.c"],
                "cc",
                &[requested, "-static"],
            ),
        ),
        ("jemalloc", prefixed()),
        (
            "musl, static",
            build(
                "musl-static",
                &["churn.c"],
                "musl-gcc",
                &[requested, "-static"],
            ),
        ),
    ];
    let started = paths.map(|(name, path)| (name, Program::start(Command::new(path).arg("3"))));
    started.into()
}

#[test]
#[ignore = "needs root and BTF"]
fn what_stands_is_estimated_without_bias() {
    // Another process that is captured has returns probed in this one as well.
    let path = build("requested", &["churn.c"], "cc", &["-DREQUESTED"]);
    let other = Program::start(&mut Command::new(path));
    let id = PROBER.capture(other.process(), Duration::from_secs(600), ROOT);
    for (name, mut program) in programs() {
        let mut truth = 0;
        assert_eq!(PROBER.captured(*id.as_ref().expect("room"), ROOT), None);
        let (capture, heard) = capture(&PROBER, &mut program, 15, |program| {
            // Blocks of all sizes by all functions of three threads, of which some stay.
            let mut left = 0;
            for _ in 0..40 {
                left = program.ask("churn 1000").number("live");
                thread::sleep(Duration::from_millis(50));
            }
            // A slow leak of small blocks beside.
            truth = program.ask("leak 20000 100").number("live");
            assert_eq!(truth, left + 2_000_000);
        });
        assert_eq!(capture.lost, 0);
        heard.outstanding(Kind::Heap).check(truth, name);
        // Each comes with its caller, which is no probe's own code, and with a stack.
        let code = code_of(program.pid());
        for sampled in heard.samples.values() {
            let is_code = code.iter().any(|range| range.contains(&sampled.ip));
            assert!(is_code, "{name}: {sampled:x?}");
            assert!(sampled.stack_bytes > 100, "{name}: {sampled:?}");
        }
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_slow_leak_is_told_from_a_loud_site_of_its_size() {
    for (name, mut program) in programs() {
        let (_, heard) = capture(&PROBER, &mut program, 15, |program| {
            for _ in 0..40 {
                program.ask("pairs 10000");
                program.ask("leak 300 100");
                thread::sleep(Duration::from_millis(50));
            }
        });
        heard.outstanding(Kind::Heap).check(1_200_000, name);
        let allocated = heard.allocated(Kind::Heap);
        allocated.check(41_200_000, &format!("{name}, all"));
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn mappings_are_followed_to_their_end() {
    // In a static program nobody knows which code is the allocator's.
    let ways = [
        (
            "glibc",
            build("requested", &["churn.c"], "cc", &["-DREQUESTED"]),
        ),
        (
            "musl",
            build("musl", &["churn.c"], "musl-gcc", &["-DREQUESTED"]),
        ),
    ];
    for (name, path) in ways {
        let mut program = Program::start(&mut Command::new(path));
        let (_, heard) = capture(&PROBER, &mut program, 8, |program| {
            for _ in 0..20 {
                program.ask("turn 200 70000");
                program.ask("map 20 100000");
                thread::sleep(Duration::from_millis(50));
            }
        });
        // In whole pages.
        let kept = 20 * 20 * 102_400;
        heard.outstanding(Kind::Mapping).check(kept, name);
        let turned = 20 * 200 * 73_728;
        heard
            .allocated(Kind::Mapping)
            .check(kept + turned, &format!("{name}, all"));
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn without_return_probes_sizes_tell_what_grows() {
    let path = build("requested", &["churn.c"], "cc", &["-DREQUESTED"]);
    let mut program = Program::start(Command::new(path).arg("3"));
    let (capture, heard) = capture(&WITHOUT_RETURNS, &mut program, 12, |program| {
        for _ in 0..40 {
            program.ask("churn 1000");
            program.ask("leak 500 500");
            thread::sleep(Duration::from_millis(50));
        }
        program.ask("drop");
    });
    assert!(
        capture
            .loss
            .iter()
            .any(|loss| loss.contains("asked for is counted")),
        "{capture:?}"
    );
    assert!(
        heard
            .samples
            .values()
            .all(|sampled| sampled.kind == Kind::Size)
    );
    let [(secs, standing, classes)] = &heard.windows[..] else {
        panic!("{:?}", heard.windows)
    };
    assert!((11.9..13.5).contains(secs), "{secs}");
    assert!(standing.is_empty());
    // malloc(500) gets 504 bytes.
    let leak = classes
        .iter()
        .find(|class| (class.from_bytes..=class.to_bytes).contains(&500));
    let leak = leak.expect("a class");
    eprintln!("{classes:?}");
    assert!(
        (19_000 * 504..21_000 * 504).contains(&leak.net_bytes),
        "{leak:?}"
    );
    let others = classes.iter().filter(|class| *class != leak);
    let worst = others.max_by_key(|class| class.net_bytes).expect("others");
    assert!(worst.net_bytes < leak.net_bytes / 10, "{worst:?}");
    // Of that size most samples are of those that are kept: it is sampled finely, as it grows.
    let of_leak = heard
        .samples
        .values()
        .filter(|sampled| sampled.bytes == 500.0)
        .count();
    assert!(of_leak > 15, "{of_leak}");

    let musl = build(
        "musl-static",
        &["churn.c"],
        "musl-gcc",
        &["-DREQUESTED", "-static"],
    );
    let program = Program::start(&mut Command::new(musl));
    let id = WITHOUT_RETURNS.capture(program.process(), Duration::from_secs(1), ROOT);
    // What can be seen of it otherwise is.
    let touched = captured(&WITHOUT_RETURNS, id.expect("room")).expect("page faults");
    assert_eq!(touched.method, "page faults");
    let why = touched.loss.last().expect("a phrase");
    assert!(
        why.ends_with("which heap.returns = \"never\" forbids"),
        "{why}"
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn whatever_becomes_of_the_program_the_capture_ends_well() {
    let path = build("requested", &["churn.c"], "cc", &["-DREQUESTED"]);
    // It ends.
    let mut program = Program::start(&mut Command::new(&path));
    let id = PROBER
        .capture(program.process(), Duration::from_secs(60), ROOT)
        .expect("room");
    let pid = program.pid();
    eventually("probes", || program.has_probes());
    thread::sleep(Duration::from_millis(300));
    program.ask("leak 10000 1000");
    drop(program);
    let capture = captured(&PROBER, id).expect("a capture");
    assert!(
        capture
            .loss
            .iter()
            .any(|loss| loss.contains("as the process ended")),
        "{capture:?}"
    );
    heard(pid)
        .outstanding(Kind::Heap)
        .check(10_000_000, "ended");

    // It is frozen.
    let mut program = Program::start(&mut Command::new(&path));
    let (_, frozen) = capture_frozen(&mut program);
    frozen.outstanding(Kind::Heap).check(10_000_000, "frozen");

    // It is too short for a second look.
    let program = Program::start(&mut Command::new(&path));
    let id = PROBER
        .capture(program.process(), Duration::from_millis(1), ROOT)
        .expect("room");
    captured(&PROBER, id).expect("a capture");
    assert!(heard(program.pid()).is_finished);

    // It becomes another program, in which nothing is as it was.
    let calls = build("calls", &["calls.c"], "cc", &[]);
    let mut program = Program::start(&mut Command::new(calls));
    PROBER.pinpoint(
        program.process(),
        Pinpoint::default(),
        Share::percent(100.0),
    );
    eventually("probes", || program.has_probes());
    program.tell("exec 1");
    let error = pinpointed(&PROBER, program.process(), Duration::from_secs(10));
    let error = error.expect_err("another program");
    assert!(error.ends_with("it runs another program now"), "{error}");
    assert!(!heard(program.pid()).is_finished);
}

fn capture_frozen(program: &mut Program) -> (Capture, Heard) {
    capture(&PROBER, program, 3, |program| {
        program.ask("leak 10000 1000");
        program.running.signal(rustix::process::Signal::STOP);
    })
}

#[test]
#[ignore = "needs root and BTF"]
fn rules_get_stacks_of_whom_they_ask_for_in_turn() {
    let path = build("requested", &["churn.c"], "cc", &["-DREQUESTED"]);
    let mut programs: Vec<_> = (0..6)
        .map(|_| Program::start(&mut Command::new(&path)))
        .collect();
    let settings = Pinpoint {
        time: Duration::from_secs(3),
        ..Pinpoint::default()
    };
    let all = Share::percent(100.0);
    // The first one is measured anyway.
    PROBER.measure(vec![programs[0].process()], all);
    for program in &programs {
        PROBER.pinpoint(program.process(), settings, all);
        assert!(PROBER.is_pinpointing(program.process()));
    }
    let started = Instant::now();
    let mut results = HashMap::new();
    let until = Instant::now() + Duration::from_secs(90);
    while results.len() < programs.len() {
        assert!(Instant::now() < until, "{results:?}");
        for program in &mut programs {
            program.ask("leak 10 100000");
        }
        let n_probed = programs
            .iter()
            .filter(|program| program.has_probes())
            .count();
        assert!(
            n_probed <= 4 || started.elapsed() > settings.time,
            "{n_probed}"
        );
        let is_own = |of: &ProcessId| programs.iter().any(|program| program.process() == *of);
        results.extend(PROBER.pinpointed().into_iter().filter(|(of, _)| is_own(of)));
        thread::sleep(Duration::from_millis(20));
    }
    for program in &programs {
        let found = results[&program.process()].as_ref().expect("sites");
        assert!((0.9..4.5).contains(&found.seen_secs), "{found:?}");
        assert!(found.span_secs >= found.seen_secs, "{found:?}");
        assert!(found.method.starts_with("glibc "), "{found:?}");
        assert_eq!(found.sites.loss, ["heard to the end"]);
        let heard = heard(program.pid());
        assert!(heard.outstanding(Kind::Heap).value > 1e6, "{heard:?}");
    }
    eventually("no probes but in the one that is measured", || {
        let probed: Vec<_> = programs.iter().map(Program::has_probes).collect();
        probed == [true, false, false, false, false, false]
    });
    PROBER.measure(vec![], all);
    eventually("an end of the probes", || !programs[0].has_probes());
}

#[test]
#[ignore = "needs root and BTF"]
fn windows_of_measuring_are_windows_of_stacks() {
    // It leaks a megabyte a second of its own CPU time, and is otherwise busy.
    let path = build("busy", &["busy.c"], "cc", &[]);
    let program = Program::start(Command::new(path).arg("1000000"));
    let settings = Pinpoint {
        time: Duration::from_millis(2500),
        ..Pinpoint::default()
    };
    PROBER.pinpoint(program.process(), settings, Share::percent(12.0));
    let found = pinpointed(&PROBER, program.process(), Duration::from_secs(60)).expect("sites");
    eprintln!("{found:?}");
    assert!(found.span_secs > 1.5 * found.seen_secs, "{found:?}");
    let heard = heard(program.pid());
    assert!(heard.windows.len() >= 2, "{}", heard.windows.len());
    let secs: f64 = heard.windows.iter().map(|(secs, ..)| secs).sum();
    assert!((secs - found.seen_secs).abs() < 1e-3);
    let estimate = heard.outstanding(Kind::Heap);
    let truth = 1e6 * found.seen_secs;
    eprintln!("{estimate:?} of {truth}");
    assert!(
        (estimate.value - truth).abs() < 0.2 * truth + 4.0 * estimate.error,
        "{estimate:?}"
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn capturing_costs_little_more_than_measuring() {
    let path = build("requested", &["churn.c"], "cc", &["-DREQUESTED"]);
    let mut program = Program::start(&mut Command::new(path));
    let nanos = |program: &mut Program| {
        let took = (0..25).map(|_| program.ask("pairs 10000").number("took"));
        took.min().expect("some") as f64 / 10_000.0
    };
    let exe: PathBuf = env!("CARGO_BIN_EXE_memleakd").into();
    let nobody: Listen = Arc::new(|_, _| anyhow::bail!("nobody hears of stacks"));
    let deaf = Prober::start_with(exe, Returns::Auto, nobody).expect("a thread");
    let bare = nanos(&mut program);
    let mut during = [f64::INFINITY; 2];
    for _ in 0..3 {
        for (fastest, prober) in during.iter_mut().zip([&deaf, &*PROBER]) {
            let id = prober.capture(program.process(), Duration::from_secs(6), ROOT);
            eventually("probes", || program.has_probes());
            thread::sleep(Duration::from_secs(1));
            *fastest = fastest.min(nanos(&mut program));
            assert!(program.has_probes());
            let capture = captured(prober, id.expect("room")).expect("a capture");
            let is_deaf = capture
                .loss
                .iter()
                .any(|loss| loss == "where it allocates: nobody hears of stacks");
            assert_eq!(is_deaf, std::ptr::eq(prober, &deaf), "{capture:?}");
        }
    }
    let [measured, captured] = during;
    eprintln!("a pair takes {bare:.0} ns, {measured:.0} measured, {captured:.0} captured");
    assert!(captured < 1.5 * measured, "{captured} {measured}");
}
