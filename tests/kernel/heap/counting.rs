//! glibc: each function, and all of them at random.

use std::process::Command;
use std::thread;
use std::time::Duration;

use memleakd::collect::Capture;

use super::{Answer, PROBER, Program, ROOT, build, capture, captured, start};
use crate::stage::eventually;

fn calls() -> Program {
    Program::start(&mut Command::new(build("calls", &["calls.c"], "cc", &[])))
}

/// Kind, number, and by how much the bytes may be off: where glibc may give more than it would by
/// its rounding, what is expected of small blocks is corrected by a sample.
const KINDS: [(&str, u32, f64); 17] = [
    ("malloc", 5000, 0.001),
    ("large", 200, 0.0),
    ("calloc", 5000, 0.001),
    ("realloc_null", 5000, 0.001),
    ("realloc_zero", 5000, 0.001),
    ("reallocarray", 5000, 0.001),
    ("realloc_maps", 500, 0.0),
    ("memalign", 2000, 0.01),
    ("posix_memalign", 2000, 0.01),
    ("aligned_alloc", 2000, 0.0),
    ("valloc", 500, 0.0),
    ("pvalloc", 500, 0.0),
    ("strdup", 2000, 0.0),
    ("fails", 100, 0.0),
    ("threads", 200, 0.0),
    ("fork", 2000, 0.0),
    ("exec", 0, 0.0),
];

fn check(kind: &str, captured: &Capture, truth: &Answer, share: f64) {
    let near = |found: u64, name: &str| {
        let truth = truth.number(name);
        let off = (found as i64 - truth).abs() as f64;
        assert!(
            off <= share * truth as f64,
            "{kind}: {name} {truth}: {captured:?}"
        );
    };
    assert_eq!(
        captured.calls as i64,
        truth.number("calls"),
        "{kind}: {captured:?}"
    );
    near(captured.allocated_bytes, "allocated");
    near(captured.freed_bytes, "freed");
    assert_eq!((captured.lost, &captured.loss[..]), (0, &[][..]), "{kind}");
    assert!(
        captured.method.starts_with("glibc 2."),
        "{}",
        captured.method
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn each_call_counts_once() {
    let kinds: Vec<_> = KINDS
        .into_iter()
        .filter(|(kind, ..)| *kind != "exec")
        .collect();
    for kinds in kinds.chunks(8) {
        let mut programs: Vec<_> = kinds.iter().map(|_| calls()).collect();
        let mut truths = Vec::new();
        let captured = capture(&mut programs, Duration::from_secs(4), |index, program| {
            let (kind, n, _) = kinds[index];
            truths.push(program.ask(&format!("{kind} {n}")));
        });
        for (((kind, _, share), captured), truth) in kinds.iter().zip(&captured).zip(&truths) {
            eprintln!(
                "{kind}: {} {} {}, {truth:?}",
                captured.allocated_bytes, captured.freed_bytes, captured.calls
            );
            check(kind, captured, truth, *share);
        }
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn what_was_allocated_before_is_freed_and_resized_by_its_own_size() {
    let mut programs = [calls(), calls(), calls()];
    for program in &mut programs {
        program.ask("malloc 20000");
    }
    let kinds = ["free", "realloc_moves", "realloc_stays"];
    let mut truths = Vec::new();
    let captured = capture(&mut programs, Duration::from_secs(4), |index, program| {
        truths.push(program.ask(&format!("{} 20000", kinds[index])));
    });
    for ((kind, captured), truth) in kinds.iter().zip(&captured).zip(&truths) {
        let freed = truth.number("freed");
        assert_eq!(captured.freed_bytes as i64, freed, "{kind}");
        check(kind, captured, truth, 0.001);
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn probes_at_the_beginning_of_functions_count_the_same() {
    // Whoever does not answer leaves placements unproven.
    let distrustful = start("/bin/false");
    let mut program = calls();
    let id = distrustful.capture(program.process(), Duration::from_secs(3), ROOT);
    let id = id.expect("room for a capture");
    eventually("a probe", || program.has_probes());
    thread::sleep(Duration::from_millis(300));
    let truth = program.ask("realloc_maps 1000");
    let captured = captured(&distrustful, id).expect("a capture");
    check("realloc_maps", &captured, &truth, 0.0);
}

#[test]
#[ignore = "needs root and BTF"]
fn a_program_that_is_started_in_its_place_or_ends_is_told() {
    let mut programs = [calls(), calls()];
    let begin = |program: &Program| PROBER.capture(program.process(), Duration::from_secs(5), ROOT);
    let ids = programs
        .each_ref()
        .map(|program| begin(program).expect("room"));
    for program in &mut programs {
        eventually("a probe", || program.has_probes());
        thread::sleep(Duration::from_millis(200));
        program.ask("malloc 1000");
    }
    programs[0].tell("exec 0");
    programs[1].running.0.kill().expect("it runs");
    let [replaced, ended] = ids.map(|id| captured(&PROBER, id));
    let error = replaced.expect_err("another program");
    assert!(error.contains("it runs another program now"), "{error}");
    let ended = ended.expect("a capture");
    assert!(
        ended.net_bytes > 400_000 && ended.calls == 1000,
        "{ended:?}"
    );
    assert!(ended.loss[0].contains("the process ended"), "{ended:?}");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_churning_heap_is_right_to_the_last_of_thousands() {
    let dynamic = build("churn", &["churn.c"], "cc", &[]);
    let fixed = build("churn-static", &["churn.c"], "cc", &["-static"]);
    let kinds = [(&dynamic, "1"), (&dynamic, "3"), (&fixed, "3")];
    let mut programs = kinds.map(|(path, n)| Program::start(Command::new(path).arg(n)));
    let befores = programs
        .each_mut()
        .map(|program| program.ask("churn 60000"));
    let mut afters = Vec::new();
    let captures = capture(&mut programs, Duration::from_secs(9), |_, program| {
        program.ask("churn 60000");
        afters.push(program.ask("leak 1000 100"));
    });
    for ((before, after), captured) in befores.iter().zip(&afters).zip(&captures) {
        let gained = |name| after.number(name) - before.number(name);
        let (live, turned) = (gained("live"), gained("turned"));
        let off = (captured.net_bytes - live) as f64 / turned as f64;
        eprintln!("off by {:.5} % of {turned}", off * 100.0);
        assert!(off.abs() < 0.0005, "{live} of {turned}: {captured:?}");
        assert_eq!(captured.lost, 0, "{captured:?}");
    }
}
