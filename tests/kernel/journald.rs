//! systemd-journald as a test has it: its own, in a mount namespace with a `/run` and a `/var/log`
//! of its own, so that the machine's is not disturbed, or need not be there.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{Running, eventually, first_line};

/// journald calls such an instance a namespace: it leaves the kernel's log and audit alone.
const INSTANCE: &str = "memleakd-test";
/// What holds the mount namespace, with the directory as its argument.
const HOLD: &str = "mount --bind \"$0/run\" /run && mount --bind \"$0/log\" /var/log \
                    && echo ready && exec sleep infinity";

pub struct Journald {
    running: Option<Running>,
    holder: Running,
    /// An instance without a client ends after half a minute.
    client: Option<UnixStream>,
    directory: TempDir,
}

impl Journald {
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let machine_id = fs::read_to_string("/etc/machine-id").expect("a machine's id");
        for part in ["run/systemd", "log/journal"] {
            fs::create_dir_all(directory.path().join(part)).expect("a directory");
        }
        // For who asks after the machine's journal within the namespace, it is this one.
        let instance = format!("journal.{INSTANCE}");
        symlink(instance, directory.path().join("run/systemd/journal")).expect("a link");
        let machine_id = machine_id.trim();
        let log = directory.path().join("log/journal").join(machine_id);
        symlink(format!("{machine_id}.{INSTANCE}"), log).expect("a link");
        let mut holder = Running::start(
            Command::new("unshare")
                .args(["--mount", "--propagation", "private", "sh", "-c", HOLD])
                .arg(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped()),
        );
        assert_eq!(first_line(holder.0.stdout.take().expect("a pipe")), "ready");
        let mut journald = Self {
            running: None,
            holder,
            client: None,
            directory,
        };
        journald.resume();
        journald
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Ends it. Its socket stays, and nobody listens there.
    pub fn stop(&mut self) {
        self.client = None;
        if let Some(running) = self.running.take() {
            // One that is stopped would not hear of its end.
            running.signal(Signal::CONT);
            running.signal(Signal::TERM);
            eventually("the end of journald", || !is_running(running.pid()));
        }
    }

    /// Starts it, or another one in the place of one that has ended.
    pub fn resume(&mut self) {
        self.stop();
        let runner = self.runner();
        let mut command = Command::new(&runner[0]);
        command
            .args(&runner[1..])
            .args(["/lib/systemd/systemd-journald", INSTANCE])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        self.running = Some(Running::start(&mut command));
        let stdout = self.socket().with_file_name("stdout");
        eventually("journald", || {
            self.client = UnixStream::connect(&stdout).ok();
            self.client.is_some()
        });
    }

    pub fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it runs").signal(signal);
    }

    /// Where it listens, as seen from outside.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("run/systemd/journal/socket")
    }

    /// Has a program run where the machine's journal is this one.
    pub fn runner(&self) -> Vec<String> {
        let pid = self.holder.pid();
        vec!["nsenter".to_owned(), format!("--mount=/proc/{pid}/ns/mnt")]
    }

    /// Has it write what it was sent.
    pub fn sync(&self) {
        let runner = self.runner();
        let mut command = Command::new(&runner[0]);
        command.args(&runner[1..]).args(["journalctl", "--sync"]);
        assert!(command.status().expect("journalctl runs").success());
    }

    /// What journalctl has for matches and options.
    pub fn entries(&self, arguments: &[&str]) -> Vec<Value> {
        if self.client.is_some() {
            self.sync();
        }
        let directory = self.directory.path().join("log/journal");
        let files = fs::read_dir(directory)
            .expect("a directory")
            .find_map(|entry| {
                let path = entry.expect("an entry").path();
                path.to_str()?.ends_with(INSTANCE).then_some(path)
            });
        let output = Command::new("journalctl")
            .args(["--quiet", "--all", "--output=json", "--directory"])
            .arg(files.expect("a directory of journald's"))
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .expect("journalctl runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let entries = text.lines().map(serde_json::from_str);
        entries.collect::<Result<_, _>>().expect("JSON")
    }
}

fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}
