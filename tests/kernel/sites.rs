//! Whether the code that leaks is named: programs of which it is known where they leak.
//!
//! Each leaks in one function, and is louder in another one that is clean: of what it has in
//! flight, more is there at any moment than leaks during a capture.

mod changes;
mod hostile;
mod programs;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::programs::{Program, by_size, others, proof};
use crate::bus::Bus;
use crate::stage::{Daemon, Running, eventually, first_line};

const TIME: &str = "5s";
/// Programs that run and are captured at once.
const AT_ONCE: usize = 2;
/// How often each program of the proof is captured: `make prove` sets it, and bears that some of
/// so many fail.
const RUNS: &str = "MEMLEAKD_PROOF_RUNS";
const SHARE: f64 = 0.95;
/// What is in flight of the clean places has come to be as much as it will be.
const SETTLING: Duration = Duration::from_millis(500);

/// A bus and a daemon that captures nothing unless it is told to.
struct Stage {
    bus: Bus,
    // Captures are asked for by several threads.
    daemon: Mutex<Daemon>,
}

impl Stage {
    fn set(more: &str) -> Self {
        let bus = Bus::start();
        let daemon = bus.daemon_with(&format!("rule.default.stacks = false\n{more}"));
        eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
        let daemon = Mutex::new(daemon);
        Self { bus, daemon }
    }

    /// The process number of the daemon.
    fn pid(&self) -> u32 {
        self.daemon().running.pid()
    }

    fn daemon(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().expect("no test fails in here")
    }

    /// Captures a process, and returns what came of it, or the sentence that says why nothing did.
    fn capture(&self, pid: u32, time: &str) -> Result<Value, String> {
        let pid = pid.to_string();
        let arguments = ["capture", "--pid", &pid, "--for", time, "--json"];
        match self.bus.ctl(None, &arguments) {
            (Some(0), output, error) if error.is_empty() => {
                Ok(serde_json::from_str(&output).expect("JSON"))
            }
            (_, _, error) => Err(error),
        }
    }

    /// Captures it in the meantime, in which something happens.
    fn capture_while(&self, pid: u32, time: &str, act: impl FnOnce()) -> Result<Value, String> {
        thread::scope(|scope| {
            let capture = scope.spawn(|| self.capture(pid, time));
            act();
            capture.join().expect("a capture")
        })
    }

    /// The daemon goes on, and of its captures nothing is left.
    fn is_as_before(&self) {
        let (log, ended) = {
            let mut daemon = self.daemon();
            let ended = daemon.running.0.try_wait().expect("a daemon");
            (daemon.log(), ended)
        };
        assert_eq!(ended, None, "{log}");
        let daemon = self.pid();
        eventually("the end of what resolves stacks", || {
            children(daemon).is_empty()
        });
        assert_eq!(self.bus.ctl(None, &["status"]).0, Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// A program that leaks.
struct Leaking {
    running: Running,
    /// For orders.
    input: Option<ChildStdin>,
}

impl Leaking {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(command);
        let input = running.0.stdin.take();
        let output = running.0.stdout.take().expect("a pipe");
        assert_eq!(first_line(output), "ready", "{command:?}");
        thread::sleep(SETTLING);
        Self { running, input }
    }

    fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn tell(&mut self, order: &str) {
        use std::io::Write;
        let input = self.input.as_mut().expect("a pipe");
        writeln!(input, "{order}").expect("it reads");
    }
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let lists =
        tasks.map(|task| std::fs::read_to_string(task.expect("a task").path().join("children")));
    lists
        .filter_map(Result::ok)
        .flat_map(|list| list.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter(|pid| !pid.trim().is_empty())
        .collect()
}

/// The name of a function without what only compilers add: parameters, and Rust's hash.
fn plain(name: &str) -> &str {
    let end = name.find('(').filter(|end| *end > 0);
    let name = &name[..end.unwrap_or(name.len())];
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => name,
    }
}

/// The first function of a site that is none of those by which the program allocates. Nothing if
/// one without a name comes before it.
fn culprit(site: &Value, by: &[&str]) -> Option<(String, Value)> {
    for frame in site["frames"].as_array()? {
        let name = plain(frame["function"].as_str()?);
        if !by.iter().any(|begin| name.starts_with(begin)) {
            return Some((name.to_owned(), frame.clone()));
        }
    }
    None
}

/// Holds the first site against what is known of the program.
fn verdict(program: &Program, capture: &Value) -> Result<(), String> {
    let first = &capture["sites"][0];
    let told = || told(capture);
    let Some((name, frame)) = culprit(first, program.by) else {
        return Err(format!("no function is named: {}", told()));
    };
    if name != program.leaks {
        return Err(format!("{name} is named: {}", told()));
    }
    if first["attribution"] != program.attribution {
        return Err(format!(
            "its attribution is {}: {}",
            first["attribution"],
            told()
        ));
    }
    let file = frame["file"].as_str().unwrap_or_default();
    let line = frame["line"].as_u64();
    match program.source {
        Some(source) if !file.ends_with(source) || line.is_none() => {
            Err(format!("the line is missing: {frame}"))
        }
        _ => Ok(()),
    }
}

/// A capture for people who have to find out why it is wrong.
fn told(capture: &Value) -> String {
    let mut text = String::new();
    for site in capture["sites"].as_array().into_iter().flatten().take(4) {
        write!(
            text,
            "\n    {} B in {} blocks, {}, {} s old, {} B/s:",
            site["bytes"],
            site["count"],
            site["attribution"],
            site["median_age_secs"],
            site["allocated_bytes_per_sec"]
        )
        .expect("a string");
        for frame in site["frames"].as_array().into_iter().flatten().take(8) {
            let name = frame["function"].as_str().unwrap_or("?");
            write!(text, " {name} < ").expect("a string");
        }
        write!(text, "{}", site["cut"]).expect("a string");
    }
    format!(
        "calls {}, method {}, loss {}{text}",
        capture["calls"], capture["method"], capture["loss"]
    )
}

/// Captures each program so many times, and returns what was wrong, by program.
fn wrongs(stage: &Stage, programs: &mut [Program], runs: usize) -> BTreeMap<String, Vec<String>> {
    let mut wrongs = BTreeMap::<_, Vec<_>>::new();
    for _ in 0..runs {
        for some in programs.chunks_mut(AT_ONCE) {
            let results: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = some
                    .iter_mut()
                    .map(|program| {
                        scope.spawn(move || {
                            let leaking = Leaking::start(&mut program.command);
                            let capture = stage.capture(leaking.pid(), TIME);
                            let held = capture.and_then(|capture| verdict(program, &capture));
                            (program.title, held)
                        })
                    })
                    .collect();
                let join = |thread: thread::ScopedJoinHandle<_>| thread.join().expect("a verdict");
                threads.into_iter().map(join).collect()
            });
            for (title, held) in results {
                match held {
                    Ok(()) => eprintln!("{title}: named"),
                    Err(why) => {
                        eprintln!("{title}: {why}");
                        wrongs.entry(title.to_owned()).or_default().push(why);
                    }
                }
            }
        }
    }
    wrongs
}

fn runs() -> usize {
    let runs = std::env::var(RUNS).map(|runs| runs.parse().expect("a number"));
    runs.unwrap_or(1)
}

#[test]
#[ignore = "needs root and BTF"]
fn the_function_that_leaks_is_named_first() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let stage = Stage::set("");
    let mut programs = proof(directory.path());
    let runs = runs();
    let wrongs = wrongs(&stage, &mut programs, runs);
    let n_wrong: usize = wrongs.values().map(Vec::len).sum();
    let n_all = runs * programs.len();
    eprintln!(
        "the function that leaks was named first in {} of {n_all} captures",
        n_all - n_wrong
    );
    for (title, whys) in &wrongs {
        eprintln!("- {title}: not in {} of {runs}", whys.len());
    }
    stage.is_as_before();
    assert!(
        (n_all - n_wrong) as f64 >= SHARE * n_all as f64,
        "{wrongs:#?}"
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn it_is_named_in_other_programs_too() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let stage = Stage::set("");
    let wrongs = wrongs(&stage, &mut others(directory.path()), 1);
    stage.is_as_before();
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

#[test]
#[ignore = "needs root and BTF"]
fn where_no_return_may_be_probed_it_is_named_by_size_and_that_is_said() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let stage = Stage::set("heap.returns = \"never\"");
    let wrongs = wrongs(&stage, &mut by_size(directory.path()), 1);
    stage.is_as_before();
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

#[test]
fn names_are_held_against_each_other_without_what_compilers_add() {
    for (name, expected) in [
        ("keep_record", "keep_record"),
        ("store::remember(unsigned int)", "store::remember"),
        (
            "pushes::remember_session::h0123456789abcdef",
            "pushes::remember_session",
        ),
        ("operator new(unsigned long)", "operator new"),
        ("(anonymous namespace)::f", "(anonymous namespace)::f"),
    ] {
        assert_eq!(plain(name), expected);
    }
    let site =
        json!({"frames": [{"function": "operator new(unsigned long)"}, {"function": "f(int)"}]});
    assert_eq!(culprit(&site, &["operator new"]).expect("f").0, "f");
    assert_eq!(culprit(&site, &[]).expect("one").0, "operator new");
    let site = json!({"frames": [{"function": null}, {"function": "f"}]});
    assert_eq!(culprit(&site, &[]), None);
}
