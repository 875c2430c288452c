//! What measuring may cost, and what it must not do.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use memleakd::quantity::Share;

use super::{PROBER, Program, ROOT, build, capture, captured};
use crate::stage::eventually;

fn n_files() -> usize {
    fs::read_dir("/proc/self/fd").expect("files").count()
}

#[test]
#[ignore = "needs root and BTF"]
fn a_busy_program_is_slowed_by_no_more_than_the_ceiling() {
    let path = build("busy", &["busy.c"], "cc", &[]);
    let mut program = Program::start(&mut Command::new(&path));
    // One that is not measured runs beside it: how fast the machine is changes by the minute.
    let mut twin = Program::start(&mut Command::new(&path));
    // By CPU time, as others may use the machine too.
    let mut speed = |program: &mut Program, secs: u64, n_probed: &mut u32| {
        let (began, before) = (Instant::now(), [program.ask(""), twin.ask("")]);
        while began.elapsed() < Duration::from_secs(secs) {
            *n_probed += u32::from(program.has_probes());
            thread::sleep(Duration::from_millis(100));
        }
        let after = [program.ask(""), twin.ask("")];
        let [own, twins] = [0, 1].map(|of: usize| {
            let gained = |name| (after[of].number(name) - before[of].number(name)) as f64;
            gained("pairs") / gained("cpu")
        });
        own / twins
    };
    let (mut none, mut some) = (0, 0);
    let before = speed(&mut program, 5, &mut none);
    PROBER.measure(vec![program.process()], Share::percent(1.0));
    let during = speed(&mut program, 60, &mut some);
    let reading = PROBER.reading(program.process()).expect("a reading");
    PROBER.measure(vec![], Share::percent(1.0));
    eventually("an end of the probes", || !program.has_probes());
    let after = speed(&mut program, 5, &mut none);
    let without = (before + after) / 2.0;
    eprintln!(
        "{:.3} of the speed without, probes seen {some} times: {reading:?}",
        during / without
    );
    assert!(
        during > 0.95 * before.min(after),
        "{during} of {before} and {after}"
    );
    assert!((1..100).contains(&some), "{some}");
    assert_eq!(none, 0);
    assert!(reading.net.calls > 10_000, "{reading:?}");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_leak_is_seen_through_windows() {
    let path = build("busy", &["busy.c"], "cc", &[]);
    let program = Program::start(Command::new(path).arg("1000000"));
    // So much that there are some windows within the time of a test.
    PROBER.measure(vec![program.process()], Share::percent(12.0));
    let mut n_out = 0;
    for _ in 0..35 {
        thread::sleep(Duration::from_secs(1));
        n_out += u32::from(!program.has_probes());
    }
    PROBER.measure(vec![program.process()], Share::percent(12.0));
    thread::sleep(Duration::from_millis(200));
    let reading = PROBER.reading(program.process()).expect("a reading");
    PROBER.measure(vec![], Share::percent(1.0));
    eprintln!("{n_out} s out: {reading:?}");
    assert!(n_out >= 15, "{n_out}");
    let rate = reading.growth_bytes_per_sec / 1e6;
    assert!((0.9..1.1).contains(&rate), "{reading:?}");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_confined_program_survives() {
    let path = build("confined", &["confined.c"], "cc", &[]);
    let musl = build(
        "confined-musl",
        &["confined.c"],
        "musl-gcc",
        &[
            "-idirafter",
            "/usr/include",
            "-idirafter",
            "/usr/include/x86_64-linux-gnu",
        ],
    );
    let mut programs = [
        Program::start(&mut Command::new(&path)),
        Program::start(Command::new(&path).arg("late")),
        Program::start(&mut Command::new(&musl)),
        Program::start(Command::new(&musl).arg("late")),
    ];
    let captured = capture(&mut programs, Duration::from_secs(4), |_, program| {
        program.tell("20000");
        assert_eq!(program.hear(), "done");
    });
    for captured in captured {
        assert_eq!(
            (captured.calls, captured.net_bytes),
            (40_000, 0),
            "{captured:?}"
        );
    }
    for program in &mut programs {
        // Also after the probes have gone.
        program.tell("1000");
        assert_eq!(program.hear(), "done");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn probes_and_files_are_given_back() {
    let path = build("calls", &["calls.c"], "cc", &[]);
    let program = Program::start(&mut Command::new(path));
    let once = || {
        let id = PROBER.capture(program.process(), Duration::from_millis(1), ROOT);
        let id = id.expect("room for a capture");
        captured(&PROBER, id).expect("a capture");
    };
    once();
    let before = n_files();
    let began = Instant::now();
    for _ in 0..50 {
        once();
    }
    eprintln!("50 times: {:?}", began.elapsed());
    assert_eq!(n_files(), before);
    assert!(!program.has_probes());
    for _ in 0..25 {
        PROBER.measure(vec![program.process()], Share::percent(1.0));
        PROBER.measure(vec![], Share::percent(1.0));
    }
    once();
    assert_eq!(n_files(), before);
    assert!(!program.has_probes());
}
