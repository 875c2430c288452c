//! What tests of whole programs are played on: programs to watch, and the daemon that watches.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Finds a leak in a quarter of a minute.
pub const QUICK: &str = include_str!("../../config/quick.toml");
/// How long the quick profile may take to find a leak, on a busy machine.
pub const SOON: Duration = Duration::from_secs(45);

/// A program that is ended with the test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("the process runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is why the result does not matter.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Compiles a program of tests/programs, once.
pub fn program(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/programs")
        .join(name)
        .with_extension("c");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new("cc")
        .args(["-O2", "-pthread", "-o"])
        .arg(&path)
        .arg(&source)
        .status()
        .expect("cc runs");
    assert!(status.success(), "{} does not compile", source.display());
    path
}

/// The daemon, with directories of its own.
pub struct Daemon {
    pub running: Running,
    pub directory: TempDir,
    alerts: Receiver<Value>,
}

impl Daemon {
    /// Starts it with a configuration that is appended to the quick profile's.
    pub fn start(more: &str, adapt: impl FnOnce(&mut Command)) -> Self {
        Self::start_in(TempDir::new().expect("a directory"), more, adapt)
    }

    /// Starts it in the directory of one that has ended.
    pub fn start_in(directory: TempDir, more: &str, adapt: impl FnOnce(&mut Command)) -> Self {
        let config = directory.path().join("memleakd.toml");
        let layers: toml::Table = QUICK.parse().expect("the quick profile");
        let more: toml::Table = more.parse().expect("TOML");
        fs::write(&config, merged(layers, more).to_string()).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_memleakd"));
        command
            .args(["--output", "json", "--config"])
            .arg(&config)
            .env("STATE_DIRECTORY", directory.path().join("state"))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .stdout(Stdio::piped())
            .stderr(
                fs::File::options()
                    .create(true)
                    .append(true)
                    .open(directory.path().join("log"))
                    .expect("a log"),
            );
        adapt(&mut command);
        let mut running = Running::start(&mut command);
        let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let (sender, alerts) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let alert =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
                if sender.send(alert).is_err() {
                    return;
                }
            }
        });
        Self {
            running,
            directory,
            alerts,
        }
    }

    /// Waits for a change of the alert of a process.
    pub fn alert(&self, change: &str, pid: u32, within: Duration) -> Value {
        let found = self.find(within, |alert| {
            alert["change"] == change && alert["pid"] == pid
        });
        found.unwrap_or_else(|| {
            panic!(
                "no {change} of pid {pid} within {within:?}; the log:\n{}",
                self.log()
            )
        })
    }

    /// The first alert like that within a time, if there is one.
    pub fn find(&self, within: Duration, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let until = Instant::now() + within;
        loop {
            let alert = self
                .alerts
                .recv_timeout(until.saturating_duration_since(Instant::now()))
                .ok()?;
            if wanted(&alert) {
                return Some(alert);
            }
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("a log")
    }

    /// Waits until the log has a text.
    pub fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} in the log"), || {
            self.log().contains(text)
        });
    }
}

/// Has a program run by another one, as `setpriv … -- PROGRAM`.
pub fn run_by(command: &mut Command, runner: &[&str]) {
    let inner = std::mem::replace(command, Command::new(runner[0]));
    command.args(&runner[1..]);
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
}

/// When a process started, in clock ticks since boot: field 22 of its stat file, by its own count.
pub fn start_time(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let after_name = stat.rsplit_once(") ").expect("a name").1;
    after_name.split(' ').nth(19).expect("field 22").to_owned()
}

/// Waits for something to become true.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < until, "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Reads one line of a program's output.
pub fn first_line(output: impl Read) -> String {
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

fn merged(mut base: toml::Table, over: toml::Table) -> toml::Table {
    for (key, value) in over {
        let value = match (base.remove(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => {
                toml::Value::Table(merged(base, over))
            }
            (_, value) => value,
        };
        base.insert(key, value);
    }
    base
}
