//! A directory of alerts as the daemon keeps it, a configuration, and the real
//! `memleakd-alertmanager` between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use memleakd::alert::{Alert, Change, State};
use memleakd::alertmanager::{Incidents, Reporter, Server, labels};
use memleakd::config::{self, Severity};
use memleakd::sink::{Alertmanager, Delivery, Sink, Standing};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::server::PATIENCE;

/// The exit status when all was taken.
pub const TAKEN: Option<i32> = Some(0);
/// The exit status when something is left for later.
pub const LEFT: Option<i32> = Some(75);

pub struct Desk {
    directory: TempDir,
    /// The daemon's side; nobody holds the files without it.
    pub sink: Option<Alertmanager>,
    environment: Vec<(&'static str, PathBuf)>,
    sequence: u64,
}

/// The program at work; it ends with this value.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Desk {
    /// With these lines in `[alertmanager]`.
    pub fn new(settings: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut desk = Self {
            directory,
            sink: None,
            environment: Vec::new(),
            sequence: 0,
        };
        desk.write("memleakd.toml", &format!("[alertmanager]\n{settings}\n"));
        desk.begin(&[]);
        desk
    }

    pub fn to(url: &str) -> Self {
        Self::new(&format!("url = {url:?}\ntimeout = \"20s\""))
    }

    /// The daemon starts with these alerts open, all of them told.
    pub fn begin(&mut self, open: &[Alert]) {
        self.sink = None;
        let standing = Standing {
            all: open.to_vec(),
            told: open.to_vec(),
        };
        let mut sink =
            Alertmanager::new(Some(self.directory.path()), standing).expect("a directory");
        sink.tend().expect("there is something").expect("it holds");
        self.sink = Some(sink);
    }

    pub fn put(&mut self, change: Alert) {
        self.sequence += 1;
        let delivery = Delivery {
            sequence: self.sequence,
            changes: vec![change],
        };
        let sink = self.sink.as_mut().expect("the daemon runs");
        sink.send(&delivery).expect("it is written");
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, text).expect("writes");
        path
    }

    pub fn set(&mut self, variable: &'static str, value: &Path) {
        self.environment.push((variable, value.to_owned()));
    }

    pub fn alerts(&self) -> PathBuf {
        self.directory.path().join("alertmanager")
    }

    /// The files of alerts that are left.
    pub fn waiting(&self) -> usize {
        self.incidents().list().expect("lists").len()
    }

    pub fn rejected(&self) -> usize {
        fs::read_dir(self.incidents().rejected())
            .expect("lists")
            .count()
    }

    pub fn incidents(&self) -> Incidents {
        Incidents::open(self.alerts()).expect("opens")
    }

    /// What the program is made of, for tests that cannot wait as long as it does.
    pub fn reporter(&self) -> Reporter {
        let config = config::load_file(&self.directory.path().join("memleakd.toml"))
            .expect("a configuration")
            .alertmanager;
        let server = Server::new(&config, None).expect("a server");
        let labels = labels(&config.labels).expect("labels");
        Reporter::new(self.incidents(), server, labels)
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        let log = self
            .directory
            .path()
            .join(format!("log{}", arguments.len()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_memleakd-alertmanager"));
        command
            .arg("--config")
            .arg(self.directory.path().join("memleakd.toml"))
            .arg("--alerts")
            .arg(self.alerts())
            .args(arguments);
        for variable in ["JOURNAL_STREAM", "MEMLEAKD_LOG", "CREDENTIALS_DIRECTORY"] {
            command.env_remove(variable);
        }
        let child = command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("starts");
        Running { child, log }
    }

    /// Runs the program to its end: its exit status and what it logged.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.start(arguments).finish()
    }
}

impl Running {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end: its exit status and what it logged.
    pub fn finish(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        };
        (status.code(), self.log())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A change of a leak that was raised a minute ago, now.
pub fn change(change: Change, severity: Severity) -> Alert {
    let leak: Alert =
        serde_json::from_str(include_str!("../../smtp/leak.json")).expect("is an alert");
    // All changes are of one incident.
    static RAISED: OnceLock<Timestamp> = OnceLock::new();
    let raised = *RAISED.get_or_init(|| Timestamp::now() - SignedDuration::from_mins(1));
    Alert {
        change,
        severity,
        raised,
        since: raised - SignedDuration::from_mins(10),
        time: Timestamp::now(),
        state: match change {
            Change::Cleared => State::Cleared,
            _ => State::Firing,
        },
        ..leak
    }
}

/// The same of another program.
pub fn of(comm: &str, id: &str, alert: Alert) -> Alert {
    Alert {
        comm: comm.to_owned(),
        id: id.to_owned(),
        ..alert
    }
}
