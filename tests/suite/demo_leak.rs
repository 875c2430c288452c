//! `memleakctl demo-leak` as a user runs it, without a daemon: it leaks as it says, and nothing of it
//! outlives it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memleakctl"));
    command
        .arg("demo-leak")
        .args(arguments)
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts it, and gives the process that leaks as well, by the first line.
fn start(arguments: &[&str]) -> (Child, u32) {
    let mut child = demo(arguments).spawn().expect("memleakctl runs");
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    output.read_line(&mut line).expect("a line");
    // Who has read enough closes the pipe, which must not be what ends it here.
    thread::spawn(move || output.lines().for_each(drop));
    let pid = line
        .strip_prefix("process ")
        .and_then(|rest| rest.split(',').next());
    let pid = pid
        .and_then(|pid| pid.parse().ok())
        .unwrap_or_else(|| panic!("{line}"));
    eventually("its name", || {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "memleakd-demo\n")
    });
    (child, pid)
}

fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < until, "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process runs, and is not just waited for.
fn runs(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// What a process holds, by what the kernel adds up for it page by page.
fn anonymous_bytes(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let line = rollup.lines().find(|line| line.starts_with("Anonymous:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.expect("a number") * 1024.0
}

#[test]
fn it_leaks_at_the_rate_that_was_asked_for() {
    let (mut child, pid) = start(&["--rate", "120MiB/min"]);
    thread::sleep(Duration::from_secs(1));
    let (began, before) = (Instant::now(), anonymous_bytes(pid));
    thread::sleep(Duration::from_secs(5));
    let gained = anonymous_bytes(pid) - before;
    let asked = began.elapsed().as_secs_f64() * f64::from(2 << 20);
    assert!((0.8..1.25).contains(&(gained / asked)), "{gained} {asked}");
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj"));
    assert_eq!(score.expect("it runs"), "1000\n");
    child.kill().expect("it runs");
    child.wait().expect("an end");
}

/// However it is ended, the process that leaks is gone.
#[test]
fn nothing_of_it_outlives_it() {
    for (signal, status) in [
        (Signal::INT, Some(0)),
        (Signal::TERM, Some(0)),
        (Signal::HUP, Some(0)),
        (Signal::KILL, None),
    ] {
        let (mut child, pid) = start(&[]);
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        assert_eq!(child.wait().expect("an end").code(), status, "{signal:?}");
        eventually("the end", || !runs(pid));
    }
}

#[test]
fn it_ends_by_itself_and_says_why() {
    for (arguments, expected) in [
        (
            &["--rate", "60MiB/min", "--most", "2MiB"][..],
            ", with about 2 MiB leaked, as it was to leak no more: ",
        ),
        (&["--for", "2s"], ", as it was to go on no longer: "),
    ] {
        let began = Instant::now();
        let output = demo(arguments).output().expect("memleakctl runs");
        assert!(began.elapsed() < Duration::from_secs(15));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let last = text.lines().last().expect("a line");
        assert!(last.contains(expected), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
    }
}

/// A release is stripped: the name of the function that leaks is among those that are exported.
#[test]
fn the_function_that_leaks_has_a_name() {
    let output = Command::new("nm")
        .args([
            "--dynamic",
            "--defined-only",
            env!("CARGO_BIN_EXE_memleakctl"),
        ])
        .output()
        .expect("nm runs");
    let names = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        names
            .lines()
            .any(|line| line.ends_with(" T memleakd_demo_leak")),
        "{names}"
    );
}

/// The rule that is shipped is for this process, and for no other.
#[test]
fn the_rule_that_is_shipped_is_for_it_alone() {
    use memleakd::config::{Config, Subject, load_file};
    use memleakd::sample::Source;
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/usr/lib/memleakd/memleakd.toml.d/50-demo-leak.toml");
    let config: Config = load_file(&path).expect("a configuration");
    let of = |exe, comm| {
        let subject = Subject {
            exe,
            comm,
            unit: "session-1.scope",
            ..Subject::default()
        };
        let rule = config.rule.most_specific(&subject, Source::Pages);
        rule.map(|(name, _)| name.as_str())
    };
    for (exe, comm, expected) in [
        ("/usr/bin/memleakctl", "memleakd-demo", "demo-leak"),
        ("/usr/bin/memleakctl", "memleakctl", "default"),
        ("/usr/bin/other", "memleakd-demo", "default"),
        ("", "memleakd-demo", "default"),
    ] {
        assert_eq!(of(exe, comm), Some(expected), "{exe} {comm}");
    }
    let mut without = config.clone();
    without.rule.0.remove("demo-leak");
    assert_eq!(without, Config::default());
}
