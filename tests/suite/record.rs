//! `memleakctl record`: what it writes is what programs hold, and `memleakd replay` finds their leaks
//! in it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const HEADER: &str = "time_secs,pid,comm,bytes,unit,limit_bytes";

fn compiled(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("record");
    fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let status = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&path)
        .arg(source.join(name).with_extension("c"))
        .status()
        .expect("cc runs");
    assert!(status.success());
    path
}

fn record(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memleakctl"));
    command.arg("record").args(arguments);
    // It needs no daemon.
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    command
}

/// A program that is ended with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Rows by column, all of them whole.
fn rows(text: &str) -> Vec<Vec<&str>> {
    assert!(text.ends_with('\n'), "the last line is cut: {text:?}");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let rows: Vec<Vec<_>> = lines.map(|line| line.split(',').collect()).collect();
    // Of names with commas there is none among the test's own.
    assert!(rows.iter().all(|row| row.len() >= 6), "{text}");
    rows
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn what_is_recorded_of_a_leak_is_found_by_a_replay() {
    let mut leak = Running::start(Command::new(compiled("tally")).stdout(Stdio::piped()));
    let output = BufReader::new(leak.0.stdout.take().expect("a pipe"));
    let told = Arc::<Mutex<Vec<(f64, f64)>>>::default();
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
    let quiet = Running::start(Command::new("sleep").arg("600"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("leak.csv");
    let file = file.to_str().expect("UTF-8");
    let began = Instant::now();
    let recorded = record(&["-o", file, "--interval", "1s", "--for", "30s"])
        .args(["--pid", &leak.pid(), "--pid", &quiet.pid()])
        .output()
        .expect("memleakctl runs");
    assert_eq!(text(&recorded), (Some(0), String::new(), String::new()));
    assert!((29.0..40.0).contains(&began.elapsed().as_secs_f64()));

    let written = fs::read_to_string(file).expect("a table");
    let rows = rows(&written);
    let of_leak: Vec<_> = rows.iter().filter(|row| row[1] == leak.pid()).collect();
    assert!((25..=31).contains(&of_leak.len()), "{written}");
    assert_eq!(rows.len(), 2 * of_leak.len());
    assert!(of_leak.iter().all(|row| row[2] == "tally"), "{written}");
    // The time is that of day, and what was gained meanwhile is what the program says.
    let now_secs = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
    let number = |row: &[&str], column: usize| row[column].parse::<f64>().expect("a number");
    let boot = fs::read_to_string("/proc/uptime").expect("a file");
    let boot_secs: f64 = boot
        .split(' ')
        .next()
        .expect("a number")
        .parse()
        .expect("secs");
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let first = of_leak[0];
    let at = |row: &[&str]| {
        let secs = number(row, 0) - now_secs + boot_secs;
        let before = told.iter().rev().find(|(at, _)| *at <= secs);
        before.map_or(0.0, |(_, bytes)| *bytes)
    };
    for row in &of_leak {
        let gained = number(row, 3) - number(first, 3);
        let expected = at(row) - at(first);
        assert!((gained - expected).abs() < 600_000.0, "{row:?} {expected}");
    }
    // How far it is from a limit is known of what has grown.
    let last = of_leak[of_leak.len() - 1];
    assert!(
        first[5].is_empty() && number(last, 5) > number(last, 3),
        "{last:?}"
    );
    assert!(
        rows.iter()
            .all(|row| row[1] == leak.pid() || row[5].is_empty())
    );

    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/quick.toml");
    let replayed = Command::new(env!("CARGO_BIN_EXE_memleakd"))
        .args(["replay", file, "--output", "json", "--config"])
        .arg(config)
        .output()
        .expect("memleakd runs");
    let (code, alerts, error) = text(&replayed);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let alerts: Vec<Value> = alerts
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let pids: BTreeSet<_> = alerts
        .iter()
        .map(|alert| alert["pid"].to_string())
        .collect();
    assert_eq!(pids, [leak.pid()].into(), "{written}");
    assert_eq!(alerts[0]["change"], "raised");
    let truth = (at(last) - at(first)) / (number(last, 0) - number(first, 0));
    let rate = alerts[0]["growth_bytes_per_sec"].as_f64().expect("a rate");
    assert!((0.85..1.15).contains(&(rate / truth)), "{rate} {truth}");
}

#[test]
fn whatever_ends_it_the_last_line_is_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("all.csv");
    let path = file.to_str().expect("UTF-8");
    for signal in [Signal::INT, Signal::TERM] {
        // It is there once signals are taken.
        fs::remove_file(&file).ok();
        let mut recording = Running::start(&mut record(&["-o", path, "--interval", "100ms"]));
        let until = Instant::now() + Duration::from_secs(20);
        while fs::metadata(&file).map_or(0, |metadata| metadata.len()) < 4000 {
            assert!(Instant::now() < until, "nothing is written");
            thread::sleep(Duration::from_millis(20));
        }
        recording.signal(signal);
        let asked = Instant::now();
        assert!(recording.0.wait().expect("an end").success());
        assert!(asked.elapsed() < Duration::from_secs(2));
        let written = fs::read_to_string(&file).expect("a table");
        let rows = rows(&written);
        // Every process that has memory, this one as well, and no thread of the kernel.
        let pids: BTreeSet<_> = rows.iter().map(|row| row[1]).collect();
        let own = std::process::id().to_string();
        assert!(pids.len() > 2 && pids.contains(own.as_str()) && !pids.contains("2"));
    }

    // The disk is full in the middle of a line: there is room for 8 KiB.
    let limited = Command::new("bash")
        .args(["-c", "ulimit -f 8; trap '' XFSZ; exec \"$@\"", "bash"])
        .arg(env!("CARGO_BIN_EXE_memleakctl"))
        .args(["record", "-o", path, "--interval", "100ms", "--pid"])
        .arg(std::process::id().to_string())
        .output()
        .expect("bash runs");
    let (code, _, error) = text(&limited);
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(
        error.starts_with(&format!("memleakctl: writing {path}: ")),
        "{error}"
    );
    let written = fs::read_to_string(&file).expect("a table");
    assert!(written.len() > 7900, "{}", written.len());
    rows(&written);

    // What was in a file before is not taken back with a line that found no room.
    let before = "x".repeat(8000) + "\n";
    fs::write(&file, &before).expect("a file");
    let limited = Command::new("bash")
        .args([
            "-c",
            "ulimit -f 8; trap '' XFSZ; exec \"$0\" record >> \"$1\"",
        ])
        .args([env!("CARGO_BIN_EXE_memleakctl"), path])
        .output()
        .expect("bash runs");
    assert_eq!(limited.status.code(), Some(1));
    let written = fs::read_to_string(&file).expect("a file");
    assert_eq!(written, format!("{before}{HEADER}\n"));

    // Whoever reads has had enough, which is no error.
    let mut recording = Running::start(record(&["--interval", "100ms"]).stdout(Stdio::piped()));
    let mut beginning = [0; 100];
    let mut output = recording.0.stdout.take().expect("a pipe");
    output.read_exact(&mut beginning).expect("rows");
    drop(output);
    assert!(recording.0.wait().expect("an end").success());
}

#[test]
fn what_is_asked_for_is_there_or_said_not_to_be() {
    for (arguments, expected) in [
        (
            &["--pid", "4194304"][..],
            "memleakctl: there is no process 4194304\n",
        ),
        (
            &["--pid", "2"],
            "memleakctl: 2 is a thread of the kernel, which has no memory of its own\n",
        ),
        (
            &["-o", "/nonexistent/x.csv"],
            "memleakctl: writing /nonexistent/x.csv: No such file or directory (os error 2)\n",
        ),
    ] {
        let output = record(arguments).output().expect("memleakctl runs");
        assert_eq!(text(&output), (Some(1), String::new(), expected.to_owned()));
    }
    // It ends with what it records.
    let mut short = Running::start(Command::new("sleep").arg("1"));
    let mut recording = record(&["--interval", "100ms", "--pid", &short.pid()]);
    let recording = thread::spawn(move || recording.output().expect("memleakctl runs"));
    assert!(short.0.wait().expect("an end").success());
    let (code, written, error) = text(&recording.join().expect("it ends"));
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!((5..=12).contains(&rows(&written).len()), "{written}");
    // Nothing is in such a unit.
    let nothing = [
        "--unit",
        "no-such-unit.service",
        "--interval",
        "100ms",
        "--for",
        "300ms",
    ];
    let (code, written, _) = text(&record(&nothing).output().expect("memleakctl runs"));
    assert_eq!((code, written), (Some(0), format!("{HEADER}\n")));
}
