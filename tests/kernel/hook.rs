use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use zbus::{Connection, ObjectServer, OwnedObjectPath, connection, interface};

use crate::stage::{Daemon, Running, SOON, eventually, first_line, program};

/// Each unit of the test's systemd runs so long.
const RUN: Duration = Duration::from_secs(3);

/// A bus of the test's own, on which everybody may own every name.
struct Bus {
    _running: Running,
    _directory: TempDir,
    address: String,
}

impl Bus {
    fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let address = format!("unix:path={}/bus", directory.path().display());
        let mut running = Running::start(
            Command::new("dbus-daemon")
                .args(["--session", "--nofork", "--nopidfile", "--nosyslog"])
                .args([format!("--address={address}"), "--print-address".to_owned()])
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        );
        first_line(running.0.stdout.take().expect("a pipe"));
        Self {
            _running: running,
            _directory: directory,
            address,
        }
    }
}

/// What the test's systemd was asked for, and what it found in the file of the alert.
#[derive(Debug, Clone)]
struct Start {
    at: Instant,
    unit: String,
    mode: String,
    told: Value,
}

/// systemd as far as the hook asks it: units that run for a while, and end as `end` has it.
struct Systemd {
    starts: Arc<Mutex<Vec<Start>>>,
    files: PathBuf,
    end: &'static str,
    units: HashMap<String, Arc<Mutex<Option<Instant>>>>,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchUnit(String),
}

fn path_of(index: usize) -> OwnedObjectPath {
    let path = format!("/org/freedesktop/systemd1/unit/u{index}");
    OwnedObjectPath::try_from(path).expect("a path")
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Systemd {
    async fn start_unit(
        &mut self,
        name: String,
        mode: String,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> Result<OwnedObjectPath, Refusal> {
        let id = name
            .strip_prefix("page@")
            .and_then(|name| name.strip_suffix(".service"));
        let file = self
            .files
            .join(format!("{}.json", id.expect("an instance")));
        let told = fs::read_to_string(file).expect("the alert is there first");
        self.starts.lock().expect("a list").push(Start {
            at: Instant::now(),
            unit: name.clone(),
            mode,
            told: serde_json::from_str(&told).expect("JSON"),
        });
        let path = match self.units.get(&name) {
            Some(until) => {
                *until.lock().expect("a time") = Some(Instant::now() + RUN);
                self.path(&name)?
            }
            None => {
                let until = Arc::new(Mutex::new(Some(Instant::now() + RUN)));
                let path = path_of(self.units.len());
                let end = self.end;
                server
                    .at(
                        &path,
                        Unit {
                            until: until.clone(),
                            end,
                        },
                    )
                    .await?;
                self.units.insert(name, until);
                path
            }
        };
        // Nobody asks after the job.
        Ok(path)
    }

    fn get_unit(&self, name: String) -> Result<OwnedObjectPath, Refusal> {
        self.path(&name)
    }
}

impl Systemd {
    fn path(&self, name: &str) -> Result<OwnedObjectPath, Refusal> {
        // Only one alert is raised and told of here.
        match self.units.keys().position(|known| known == name) {
            Some(index) if self.units.len() == 1 => Ok(path_of(index)),
            _ => Err(Refusal::NoSuchUnit(format!("Unit {name} not loaded."))),
        }
    }
}

struct Unit {
    until: Arc<Mutex<Option<Instant>>>,
    end: &'static str,
}

impl Unit {
    fn runs(&self) -> bool {
        let until = *self.until.lock().expect("a time");
        until.is_some_and(|until| Instant::now() < until)
    }
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn active_state(&self) -> String {
        if self.runs() { "activating" } else { self.end }.to_owned()
    }

    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        (u32::from(self.runs()) * 7, path_of(0))
    }
}

fn systemd(bus: &Bus, files: PathBuf, end: &'static str) -> (Connection, Arc<Mutex<Vec<Start>>>) {
    let starts = Arc::<Mutex<Vec<Start>>>::default();
    let manager = Systemd {
        starts: starts.clone(),
        files,
        end,
        units: HashMap::new(),
    };
    let connection = zbus::block_on(async {
        connection::Builder::address(bus.address.as_str())
            .serve_at("/org/freedesktop/systemd1", manager)
            .name("org.freedesktop.systemd1")
            .build()
            .await
    });
    (connection.expect("a connection"), starts)
}

/// Raises and ends an alert, with units that end in a state; what systemd was asked for, and the log.
fn played(end: &'static str) -> (Value, Vec<Start>, String) {
    let bus = Bus::start();
    let run = TempDir::new().expect("a directory");
    // Of other programs of this machine nothing is to be told.
    let only = "[hook]\nunit = \"page@.service\"\n[rule.default]\nignore = true\n\
                [rule.leak]\nmatch.comm = [\"leak\"]\n";
    let prepare = |command: &mut Command| {
        command
            .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
            .env("RUNTIME_DIRECTORY", run.path());
    };
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = Daemon::start(only, prepare);
    let alert = daemon.alert("raised", leak.pid(), SOON);
    // systemd is not on this bus yet.
    daemon.wait_for_log("hook fails and will be tried again");
    let Daemon {
        running, directory, ..
    } = daemon;
    running.signal(Signal::KILL);
    drop(running);
    let (_connection, starts) = systemd(&bus, run.path().join("hook"), end);
    let daemon = Daemon::start_in(directory, only, prepare);
    let n_starts = || starts.lock().expect("a list").len();
    eventually("a start", || n_starts() == 1);
    drop(leak);
    daemon.alert(
        "cleared",
        alert["pid"].as_u64().expect("a pid") as u32,
        SOON,
    );
    let is_cleared = || {
        let starts = starts.lock().expect("a list");
        starts.last().expect("a start").told["change"] == "cleared"
    };
    eventually("the last start", is_cleared);
    if end == "failed" {
        daemon.wait_for_log("failed");
    }
    let starts = starts.lock().expect("a list").clone();
    (alert, starts, daemon.log())
}

#[test]
#[ignore = "needs root and BTF"]
fn a_unit_is_started_for_each_change_once_the_one_before_has_ended() {
    let (alert, starts, log) = played("inactive");
    assert_eq!(log.matches("hook fails").count(), 1, "{log}");
    assert_eq!(starts[0].told["change"], "raised");
    let id = alert["id"].as_str().expect("an id");
    for start in &starts {
        assert_eq!(start.unit, format!("page@{id}.service"));
        assert_eq!(start.mode, "replace");
    }
    for (name, value) in alert.as_object().expect("an object") {
        assert_eq!(&starts[0].told[name], value, "{name}");
    }
    for pair in starts.windows(2) {
        assert!(pair[1].at - pair[0].at >= RUN, "{pair:?}");
        let sequence = |start: &Start| start.told["sequence"].as_u64().expect("a number");
        assert!(sequence(&pair[0]) < sequence(&pair[1]), "{pair:?}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_unit_that_fails_is_said_once_and_is_started_for_the_next_change() {
    let (alert, starts, log) = played("failed");
    assert!(starts.len() >= 2, "{starts:?}");
    let id = alert["id"].as_str().expect("an id");
    let said = format!("hook: page@{id}.service failed");
    assert_eq!(log.matches(&said).count(), 1, "{log}");
}
