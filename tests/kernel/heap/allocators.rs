//! Other allocators, whose sizes are kept in a table.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::{PROBER, Program, ROOT, build, capture, captured};
use crate::stage::eventually;

const REQUESTED: &str = "-DREQUESTED";

fn library(name: &str) -> PathBuf {
    let places = ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"];
    let mut paths = places.iter().map(|place| Path::new(place).join(name));
    paths
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed"))
}

/// churn.c with an allocator of its own, beside the C library's.
pub fn prefixed() -> PathBuf {
    let names = [
        "malloc",
        "calloc",
        "realloc",
        "reallocarray",
        "free",
        "memalign",
        "aligned_alloc",
        "posix_memalign",
    ];
    let renamed = names.map(|name| format!("-D{name}=_rjem_{name}"));
    let mut arguments = vec![REQUESTED, "-static"];
    arguments.extend(renamed.iter().map(String::as_str));
    build("rjem", &["churn.c", "rjem.c"], "cc", &arguments)
}

/// Every allocator, by the name that it is to be called, and a program that allocates with it.
fn others() -> Vec<(&'static str, Command)> {
    let plain = build("requested", &["churn.c"], "cc", &[REQUESTED]);
    let mut all = vec![
        (
            "musl",
            Command::new(build("musl", &["churn.c"], "musl-gcc", &[REQUESTED])),
        ),
        (
            "musl",
            Command::new(build(
                "musl-static",
                &["churn.c"],
                "musl-gcc",
                &[REQUESTED, "-static"],
            )),
        ),
        ("jemalloc", Command::new(prefixed())),
    ];
    for (name, file) in [
        ("jemalloc", "libjemalloc.so.2"),
        ("tcmalloc", "libtcmalloc_minimal.so.4"),
        ("mimalloc", "libmimalloc.so.2"),
    ] {
        let file = library(file);
        let path = file.to_str().expect("a path");
        let mut preloaded = Command::new(&plain);
        preloaded.env("LD_PRELOAD", path);
        let linked = build(
            name,
            &["churn.c"],
            "cc",
            &[REQUESTED, "-Wl,--no-as-needed", path],
        );
        all.push((name, preloaded));
        all.push((name, Command::new(linked)));
    }
    all
}

#[test]
#[ignore = "needs root and BTF"]
fn what_throws_is_caught_in_a_measured_program_and_in_its_children() {
    let path = build("throws", &["throws.cc"], "c++", &["-fno-builtin"]);
    // Debian's mimalloc is compiled as C and aborts, measured or not.
    for file in ["libjemalloc.so.2", "libtcmalloc_minimal.so.4"] {
        let command = &mut Command::new(&path);
        let program = Program::start(command.env("LD_PRELOAD", library(file)));
        let mut allocated = 0;
        let captured = capture(&mut [program], Duration::from_secs(4), |_, program| {
            for times in [2000, 201, 2000] {
                let answer = program.ask(&times.to_string());
                assert_eq!(answer.number("caught"), times, "{file}");
                allocated += answer.number("allocated");
            }
        });
        // What was deleted is known on average only, and what has thrown was asked for.
        let [found] = &captured[..] else {
            panic!("{captured:?}")
        };
        let error = (found.net_bytes - allocated).abs() as f64 / allocated as f64;
        assert!(error < 0.5, "{file}: {allocated} {found:?}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn every_allocator_is_right_to_the_byte() {
    for n_threads in ["1", "3"] {
        let mut all = others();
        for some in all.chunks_mut(5) {
            let (names, mut programs): (Vec<_>, Vec<_>) = some
                .iter_mut()
                .map(|(name, command)| {
                    // mimalloc complains of what is to fail.
                    command.arg(n_threads).stderr(std::process::Stdio::null());
                    (*name, Program::start(command))
                })
                .unzip();
            let mut befores = Vec::new();
            for program in &mut programs {
                program.ask("churn 3000");
                befores.push(program.ask("drop"));
            }
            let mut afters = Vec::new();
            let captures = capture(&mut programs, Duration::from_secs(12), |_, program| {
                program.ask("churn 5000");
                afters.push(program.ask("leak 1000 100"));
            });
            for (((name, before), after), captured) in
                names.iter().zip(&befores).zip(&afters).zip(&captures)
            {
                let live = after.number("live") - before.number("live");
                eprintln!("{name}, {n_threads} threads: {live}, {captured:?}");
                assert_eq!(captured.net_bytes, live, "{name}: {captured:?}");
                assert!(captured.method.contains(name), "{}", captured.method);
                assert!(
                    captured.method.contains("table of pointers"),
                    "{}",
                    captured.method
                );
                assert_eq!((captured.lost, &captured.loss[..]), (0, &[][..]), "{name}");
            }
        }
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn frees_of_what_was_not_seen_are_told() {
    let path = build("musl", &["churn.c"], "musl-gcc", &[REQUESTED]);
    let mut programs = [Program::start(&mut Command::new(path))];
    programs[0].ask("churn 20000");
    let captures = capture(&mut programs, Duration::from_secs(3), |_, program| {
        program.ask("drop");
    });
    assert_eq!(captures[0].allocated_bytes, 0);
    assert!(
        captures[0]
            .loss
            .iter()
            .any(|loss| loss.contains("allocated before")),
        "{captures:?}"
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn a_capture_beside_a_capture_of_the_same_process_sees_the_same() {
    let path = build("musl", &["churn.c"], "musl-gcc", &[REQUESTED]);
    let mut program = Program::start(&mut Command::new(path));
    let time = Duration::from_secs(4);
    let begin = || PROBER.capture(program.process(), time, ROOT);
    let beside = begin().expect("room");
    eventually("a probe", || program.has_probes());
    let second = begin().expect("room");
    thread::sleep(Duration::from_millis(700));
    let live = program.ask("churn 10000").number("live");
    for id in [beside, second] {
        let captured = captured(&PROBER, id).expect("a capture");
        assert_eq!(captured.net_bytes, live, "{captured:?}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_full_table_is_made_up_for_by_a_sample_and_told() {
    let path = build("musl", &["churn.c"], "musl-gcc", &[REQUESTED]);
    // One that has more than half of what it may have; then so many that together they fill it.
    for n_programs in [1, 4] {
        let start = || Program::start(&mut Command::new(&path));
        let mut programs: Vec<_> = (0..n_programs).map(|_| start()).collect();
        let time = Duration::from_secs(6 + 3 * n_programs);
        let captures = capture(&mut programs, time, |_, program| {
            program.ask("leak 320000 64");
        });
        let mut n_lost = 0;
        for captured in &captures {
            let off = captured.net_bytes as f64 / (320_000.0 * 64.0) - 1.0;
            eprintln!(
                "{n_programs} full: off by {:.2} %: {captured:?}",
                off * 100.0
            );
            n_lost += captured.lost;
            // What the table has no room for is missing, and told.
            let least = if captured.lost == 0 { -0.05 } else { -1.0 };
            assert!((least..0.05).contains(&off), "{off}: {captured:?}");
            assert!(!captured.loss.is_empty(), "{captured:?}");
        }
        assert_eq!(n_lost > 0, n_programs > 1, "{captures:?}");
    }
}
