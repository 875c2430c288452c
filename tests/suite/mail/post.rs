//! A spool, a configuration and the real `memleakd-mail` between them.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use memleakd::alert::{Alert, Change};
use memleakd::config;
use memleakd::mail::{Spool, Told, compose, letters};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::server::PATIENCE;

/// The exit status when nothing is left.
pub const SENT: Option<i32> = Some(0);

/// The exit status when something is left for later.
pub const LEFT: Option<i32> = Some(75);

/// The file of `leak()`.
pub const FILE: &str = "5c0f3a91d27e.1795312867000.eml";

pub struct Post {
    pub spool: Spool,
    directory: TempDir,
    environment: Vec<(&'static str, PathBuf)>,
}

/// The program at work; it ends with this value.
pub struct Running(Child);

impl Post {
    /// With these lines in `[mail]`.
    pub fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(
            directory.path().join("memleakd.toml"),
            format!("[mail]\n{settings}\n"),
        )
        .expect("writes");
        let spool = Spool::open(directory.path().join("spool")).expect("opens");
        Self {
            spool,
            directory,
            environment: Vec::new(),
        }
    }

    /// To a server on this machine, without TLS.
    pub fn plain(port: u64) -> Self {
        Self::new(&format!(
            "server = \"127.0.0.1\"\nport = {port}\ntimeout = \"20s\""
        ))
    }

    /// Another file beside the configuration.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("writes");
        path
    }

    pub fn set(&mut self, variable: &'static str, value: &Path) {
        self.environment.push((variable, value.to_owned()));
    }

    /// Puts an alert into the spool as the daemon does.
    pub fn put(&self, alert: &Alert, sequence: u64) {
        self.put_all(std::slice::from_ref(alert), sequence);
    }

    /// The same with what is told together.
    pub fn put_all(&self, alerts: &[Alert], sequence: u64) {
        let mail = config::Mail {
            to: vec!["ops@example.org".to_owned(), "night@example.org".to_owned()],
            ..config::Mail::default()
        };
        for letter in letters(alerts, &mail, &Told::default()) {
            let message = compose(&letter, &mail, sequence).expect("composes");
            self.spool
                .put(&letter.name(sequence), &message)
                .expect("puts");
        }
    }

    /// Makes a message look as if it had been waiting so long.
    pub fn age(&self, name: &str, age: Duration) {
        let file = File::options()
            .write(true)
            .open(self.spool.path().join(name))
            .expect("opens");
        file.set_modified(SystemTime::now() - age).expect("is ours");
    }

    pub fn waiting(&self) -> Vec<String> {
        names(self.spool.path())
    }

    /// Waits until nothing waits.
    pub fn await_empty(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.waiting().is_empty() {
            assert!(Instant::now() < deadline, "{:?} still wait", self.waiting());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn rejected(&self) -> Vec<String> {
        names(&self.spool.rejected())
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memleakd-mail"));
        command
            .arg("--config")
            .arg(self.directory.path().join("memleakd.toml"));
        // A test that sets the variable wants to see it used.
        if !self
            .environment
            .iter()
            .any(|(variable, _)| *variable == "STATE_DIRECTORY")
        {
            command.arg("--spool").arg(self.spool.path());
        }
        command.args(arguments);
        for variable in [
            "JOURNAL_STREAM",
            "MEMLEAKD_LOG",
            "STATE_DIRECTORY",
            "CREDENTIALS_DIRECTORY",
        ] {
            command.env_remove(variable);
        }
        command.envs(
            self.environment
                .iter()
                .map(|(variable, value)| (variable, value)),
        );
        Running(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("starts"),
        )
    }

    /// Runs the program to its end: its exit status and what it logged.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.start(arguments).finish()
    }
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it runs");
    }

    /// Ends it as nothing can be kept from.
    pub fn kill(mut self) {
        self.0.kill().expect("it is a child");
        self.0.wait().expect("it is a child");
    }

    /// Waits for its end: its exit status and what it logged.
    pub fn finish(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.0.try_wait().expect("it is a child").is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let Output {
            status,
            stdout,
            stderr,
        } = output(&mut self.0);
        assert_eq!(
            String::from_utf8_lossy(&stdout),
            "",
            "nothing is for standard output"
        );
        assert_eq!(status.signal(), None);
        (
            status.code(),
            String::from_utf8(stderr).expect("logs UTF-8"),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A leak as the daemon tells of it.
pub fn leak() -> Alert {
    serde_json::from_str(include_str!("../../smtp/leak.json")).expect("is an alert")
}

/// The same leak later: each sequence number is another message.
pub fn reminded() -> Alert {
    Alert {
        change: Change::Reminded,
        ..leak()
    }
}

/// The process has ended, so both pipes end too.
fn output(child: &mut Child) -> Output {
    let read = |pipe: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("reads");
        bytes
    };
    Output {
        status: child.wait().expect("it is a child"),
        stdout: read(child.stdout.as_mut().expect("is piped")),
        stderr: read(child.stderr.as_mut().expect("is piped")),
    }
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("reads")
                .file_name()
                .into_string()
                .expect("is UTF-8")
        })
        .collect();
    names.retain(|name| name.ends_with(".eml"));
    names.sort();
    names
}
