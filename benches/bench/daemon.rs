//! The daemon as it is shipped, run on the side and looked at from outside.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::bus::Bus;
use crate::measure::cpu_secs_of;

/// A running `memleakd` that watches this machine, but tells nobody. It ends with this.
pub struct Daemon {
    child: Child,
    /// Its configuration, state and log.
    directory: TempDir,
}

/// What a process takes of the machine's memory, in bytes.
pub struct Memory {
    /// All of its pages that are in memory.
    pub rss: u64,
    /// The same, each page shared out among those that use it.
    pub pss: u64,
    /// Of that, what is its own.
    pub pss_anon: u64,
    /// Of that, what is of its program and libraries.
    pub pss_file: u64,
}

impl Daemon {
    /// Starts it with a scan interval such as `5s`, and on a bus if it is given one.
    pub fn start(interval: &str, bus: Option<&Bus>) -> Result<Self> {
        let directory =
            TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).context("making a directory")?;
        let config = directory.path().join("memleakd.toml");
        let on_bus = bus.is_some();
        let text = format!(
            "scan.interval = \"{interval}\"\njournal.enabled = false\ndbus.enabled = {on_bus}\n"
        );
        fs::write(&config, text).context("writing a configuration")?;
        let log = File::create(directory.path().join("log")).context("making a log")?;
        let child = Command::new(env!("CARGO_BIN_EXE_memleakd"))
            .arg("--config")
            .arg(&config)
            .env("STATE_DIRECTORY", directory.path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.map_or("", Bus::address))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting memleakd")?;
        Ok(Self { child, directory })
    }

    /// CPU time of all its threads so far, in seconds.
    pub fn cpu_secs(&mut self) -> Result<f64> {
        self.must_run()?;
        cpu_secs_of(self.child.id())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it takes of the memory.
    pub fn memory(&mut self) -> Result<Memory> {
        self.must_run()?;
        Memory::of(self.child.id())
    }

    fn must_run(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("looking after memleakd")? {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            bail!("memleakd has ended ({status}) and said: {}", log.trim());
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let until = Instant::now() + Duration::from_secs(5);
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "it does not end when told to");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Memory {
    /// What a process takes.
    pub fn of(pid: u32) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let bytes = |key: &str| {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
            kib.map(|kib| kib << 10)
                .with_context(|| format!("{} has no {key}", path.display()))
        };
        Ok(Self {
            rss: bytes("Rss")?,
            pss: bytes("Pss")?,
            pss_anon: bytes("Pss_Anon")?,
            pss_file: bytes("Pss_File")?,
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = self.end().or_else(|error| {
            eprintln!("memleakd is killed: {error:#}");
            self.child.kill().and_then(|()| self.child.wait()).map(drop)
        });
        if let Err(error) = ended {
            eprintln!("memleakd may still run: {error}");
        }
    }
}
