//! The daemon, what it sends to, and what puts it out of order.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::ledger::{Ledger, Signalled};
use crate::journald::Journald;
use crate::stage::{Running, first_line};

/// Finds a leak in seconds, and nothing but the leaks of the test's own programs.
const CONFIG: &str = r#"
[scan]
interval = "200ms"
[heap]
watch = "off"
[kernel]
watch = "off"
[rule.default]
ignore = true
[rule.soak]
match.comm = ["soak-*"]
growth = "64KiB/min"
min_growth = "64KiB"
sustained = "2s"
warm_up = "0s"
fast.sustained = "1s"
stacks = false
[alert]
keep_firing = "4s"
group_wait = "0s"
max_per_hour = 1000000
[journal]
enabled = true
[dbus]
enabled = true
[mail]
to = ["ops@example.org"]
from = "memleakd@example.org"
server = "127.0.0.1"
"#;

/// What came of a program that writes lines, and of those that came in its place.
type Lines = Arc<Mutex<Vec<String>>>;

pub struct Stand {
    directory: TempDir,
    journald: Journald,
    is_journald_stopped: bool,
    bus: Option<(Running, Running)>,
    n_buses: u32,
    mail_server: Option<Running>,
    post: Option<Running>,
    daemon: Running,
    port: u16,
    said: Lines,
    signalled: Lines,
    mailed: Lines,
}

impl Stand {
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let config = format!("{CONFIG}port = {port}\n");
        fs::write(directory.path().join("memleakd.toml"), config).expect("a configuration");
        let journald = Journald::start();
        let said = Lines::default();
        let daemon = daemon(directory.path(), &journald, &said);
        let mut stand = Self {
            directory,
            journald,
            is_journald_stopped: false,
            bus: None,
            n_buses: 0,
            mail_server: None,
            post: None,
            daemon,
            port,
            said,
            signalled: Lines::default(),
            mailed: Lines::default(),
        };
        stand.raise_bus();
        stand.raise_mail_server();
        stand
    }

    /// Something goes down or comes up.
    pub fn disturb(&mut self, random: &mut ChaCha8Rng) {
        if random.random_bool(0.4) {
            match self.bus.is_some() {
                true => self.end_bus(),
                false => self.raise_bus(),
            }
        }
        match (random.random_range(0..4), self.journald.is_running()) {
            (0, true) => self.end_journald(),
            (1, true) => {
                let (signal, is_stopped) = match self.is_journald_stopped {
                    true => (Signal::CONT, false),
                    false => (Signal::STOP, true),
                };
                self.journald.signal(signal);
                self.is_journald_stopped = is_stopped;
            }
            (2 | 3, true) => {}
            (_, false) => self.journald.resume(),
            (_, true) => unreachable!("there are four"),
        }
        if random.random_bool(0.4) {
            match self.mail_server.take() {
                Some(server) => drop(server),
                None => self.raise_mail_server(),
            }
        }
        // The one that sends mails is killed as well, wherever it is.
        self.post = Some(self.send_mails());
    }

    /// Waits for something to be said on standard output.
    pub fn wait_for_a_change(&self, until: Instant) {
        let n_before = self.said.lock().expect("lines").len();
        while Instant::now() < until && self.said.lock().expect("lines").len() == n_before {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills the daemon and starts it again.
    pub fn kill(&mut self) {
        self.daemon.signal(Signal::KILL);
        // It is to be gone before another takes its state.
        self.daemon.0.wait().expect("its end");
        self.daemon = daemon(self.directory.path(), &self.journald, &self.said);
    }

    /// Everything is up.
    pub fn repair(&mut self) {
        if self.bus.is_none() {
            self.raise_bus();
        }
        if self.is_journald_stopped {
            self.journald.signal(Signal::CONT);
            self.is_journald_stopped = false;
        }
        if !self.journald.is_running() {
            self.journald.resume();
        }
        if self.mail_server.is_none() {
            self.raise_mail_server();
        }
        // What has failed is due again after a minute, or after a restart.
        self.kill();
    }

    pub fn has_raised(&self, names: &[String]) -> bool {
        self.missing(names).is_empty()
    }

    /// Those of whom nothing was said.
    pub fn missing(&self, names: &[String]) -> String {
        let raised: BTreeSet<String> = self
            .changes_said()
            .iter()
            .map(|change| change["comm"].as_str().expect("a name").to_owned())
            .collect();
        let missing = names.iter().filter(|name| !raised.contains(*name));
        missing.cloned().collect::<Vec<_>>().join(" ")
    }

    /// The names in `memleakctl alerts`, once the bus knows the daemon.
    pub fn listed(&self) -> BTreeSet<String> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let output = Command::new(env!("CARGO_BIN_EXE_memleakctl"))
                .args(["alerts", "--json"])
                .env("DBUS_SYSTEM_BUS_ADDRESS", self.address())
                .output()
                .expect("memleakctl runs");
            if output.status.success() {
                let alerts: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
                let names = alerts.iter().filter_map(|alert| alert["comm"].as_str());
                return names.map(str::to_owned).collect();
            }
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < until, "{error}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until all is over and delivered, and collects it.
    pub fn settle(mut self, patience: Duration) -> Ledger {
        let until = Instant::now() + patience;
        while !self.is_settled() {
            assert!(Instant::now() < until, "{}", self.unsettled());
            if self.post.as_mut().is_none_or(|post| {
                let ended = post.0.try_wait().expect("a child");
                ended.is_some()
            }) {
                self.post = Some(self.send_mails());
            }
            thread::sleep(Duration::from_millis(100));
        }
        // What is on its way on the bus has arrived when its end has.
        self.end_bus();
        let lines = |lines: &Lines| lines.lock().expect("lines").clone();
        Ledger {
            said: self.changes_said(),
            journal: self.journald.entries(&["SYSLOG_IDENTIFIER=memleakd"]),
            signalled: signalled(&lines(&self.signalled)),
            mailed: mailed(&lines(&self.mailed)),
            log: fs::read_to_string(self.directory.path().join("log")).expect("a log"),
        }
    }

    fn state(&self) -> Value {
        let text = fs::read_to_string(self.directory.path().join("state/alerts.json"));
        serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default()
    }

    fn n_in_spool(&self) -> usize {
        let spool = fs::read_dir(self.directory.path().join("state/spool")).expect("a spool");
        let names = spool.map(|entry| entry.expect("an entry").file_name());
        let names = names.filter(|name| name.to_string_lossy().ends_with(".eml"));
        names.count()
    }

    fn is_settled(&self) -> bool {
        self.unsettled().is_empty()
    }

    fn unsettled(&self) -> String {
        let state = self.state();
        let waiting = state["outbox"]["waiting"]
            .as_array()
            .map_or(usize::MAX, Vec::len);
        let last = self.changes_said();
        let mut open = BTreeSet::new();
        for change in &last {
            let id = change["id"].as_str().expect("an id").to_owned();
            match change["change"] == "cleared" {
                true => open.remove(&id),
                false => open.insert(id),
            };
        }
        match (waiting, open.len(), self.n_in_spool()) {
            (0, 0, 0) => String::new(),
            (waiting, open, mails) => format!(
                "{waiting} changes wait, {open} alerts are open, {mails} mails wait; the log:\n{}",
                fs::read_to_string(self.directory.path().join("log")).expect("a log")
            ),
        }
    }

    /// What was said on standard output, a line that was cut off by a kill left out.
    fn changes_said(&self) -> Vec<Value> {
        let said = self.said.lock().expect("lines");
        let changes = said.iter().map(|line| serde_json::from_str(line));
        changes.filter_map(Result::ok).collect()
    }

    fn address(&self) -> String {
        format!("unix:path={}/bus", self.directory.path().display())
    }

    /// Another bus, on which somebody listens before the daemon can find it.
    fn raise_bus(&mut self) {
        self.n_buses += 1;
        let path = self.directory.path().join(format!("bus-{}", self.n_buses));
        let address = format!("unix:path={}", path.display());
        let mut bus = Running::start(
            Command::new("dbus-daemon")
                .args(["--session", "--nofork", "--nopidfile", "--nosyslog"])
                .args([format!("--address={address}"), "--print-address".to_owned()])
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        );
        first_line(bus.0.stdout.take().expect("a pipe"));
        let mut monitor = Running::start(
            Command::new("dbus-monitor")
                .args(["--address", &address])
                .arg("type='signal',interface='org.memleakd.Memleakd1'")
                .stdout(Stdio::piped()),
        );
        let mut output = BufReader::new(monitor.0.stdout.take().expect("a pipe"));
        // A monitor loses its name.
        let mut line = String::new();
        while !line.contains("member=NameLost") {
            line.clear();
            let n_read = output.read_line(&mut line).expect("a line");
            assert_ne!(n_read, 0, "dbus-monitor has ended");
        }
        collect(output, &self.signalled);
        let temporary = self.directory.path().join("bus.new");
        symlink(path, &temporary).expect("a link");
        fs::rename(temporary, self.directory.path().join("bus")).expect("a link");
        self.bus = Some((bus, monitor));
    }

    /// A signal has no receipt. What the daemon has handed to the bus is let through, then it ends.
    fn end_bus(&mut self) {
        let Some((bus, mut monitor)) = self.bus.take() else {
            return;
        };
        fs::remove_file(self.directory.path().join("bus")).expect("a link");
        self.daemon.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(300));
        drop(bus);
        monitor.0.wait().expect("its end");
        self.daemon.signal(Signal::CONT);
    }

    /// What waits in the socket is lost when journald ends, unlike where systemd holds it.
    fn end_journald(&mut self) {
        if self.is_journald_stopped {
            self.journald.signal(Signal::CONT);
            self.is_journald_stopped = false;
        }
        self.daemon.signal(Signal::STOP);
        self.journald.sync();
        self.journald.stop();
        self.daemon.signal(Signal::CONT);
    }

    fn raise_mail_server(&mut self) {
        let mut server = Running::start(
            Command::new("/usr/bin/python3")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtp/server.py"))
                .args(["--port", &self.port.to_string()])
                .stdout(Stdio::piped()),
        );
        collect(
            BufReader::new(server.0.stdout.take().expect("a pipe")),
            &self.mailed,
        );
        self.mail_server = Some(server);
    }

    fn send_mails(&self) -> Running {
        Running::start(
            Command::new(env!("CARGO_BIN_EXE_memleakd-mail"))
                .arg("--config")
                .arg(self.directory.path().join("memleakd.toml"))
                .env("STATE_DIRECTORY", self.directory.path().join("state"))
                .stderr(Stdio::null()),
        )
    }
}

fn daemon(directory: &Path, journald: &Journald, said: &Lines) -> Running {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("a log");
    let runner = journald.runner();
    let mut running = Running::start(
        Command::new(&runner[0])
            .args(&runner[1..])
            .arg(env!("CARGO_BIN_EXE_memleakd"))
            .args(["--output", "json", "--config"])
            .arg(directory.join("memleakd.toml"))
            .env("STATE_DIRECTORY", directory.join("state"))
            .env(
                "DBUS_SYSTEM_BUS_ADDRESS",
                format!("unix:path={}/bus", directory.display()),
            )
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .stdout(Stdio::piped())
            .stderr(log),
    );
    let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
    collect(output, said);
    running
}

/// Collects lines as they come.
fn collect(output: impl BufRead + Send + 'static, lines: &Lines) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            lines.lock().expect("lines").push(line);
        }
    });
}

/// The signals that dbus-monitor has printed.
fn signalled(lines: &[String]) -> Vec<Signalled> {
    let mut signalled = Vec::new();
    let mut member = None;
    for line in lines {
        if let Some((_, name)) = line.split_once("member=") {
            member = Some(name.to_owned()).filter(|name| name.starts_with("Alert"));
        } else if let (Some((_, path)), Some(member)) = (line.split_once("/alert/"), member.take())
        {
            signalled.push(Signalled {
                id: path.trim_end_matches('"').to_owned(),
                member,
            });
        }
    }
    signalled
}

/// The mails that the server has taken: the message id of each, and the changes that it tells as
/// `ID/CHANGE/TIME`.
fn mailed(lines: &[String]) -> Vec<(String, Vec<String>)> {
    let events = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let messages = events.filter(|event| event["event"] == "message");
    let mails = messages.map(|message| {
        let headers = message["headers"].as_array().expect("headers").clone();
        let header = |wanted: &str| {
            let found = headers.iter().find(|header| {
                let name = header[0].as_str().expect("a name");
                name.eq_ignore_ascii_case(wanted)
            });
            let text = found.expect(wanted)[1].as_str().expect("a text");
            text.to_owned()
        };
        let changes = header("X-Memleakd-Changes");
        let changes = changes.split(',').map(|change| {
            let letters = change.chars().filter(|c| !c.is_whitespace());
            letters.collect::<String>()
        });
        (header("Message-ID"), changes.collect())
    });
    mails.collect()
}
