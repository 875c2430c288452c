//! A program that runs to be judged, and what is truly the case with it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::redis::Filler;
use super::running::Running;
use super::runtime::{Runtime, Server};

/// A running program. It ends with this, or with the thread that started it.
pub struct Program {
    /// What it is called, by the kernel too.
    pub name: String,
    /// What it is written for.
    pub runtime: Runtime,
    /// What it may keep, in bytes; nothing if it leaks.
    pub bound: Option<u64>,
    /// When it was started.
    pub started: Timestamp,
    /// What was seen of it, in the order of time.
    pub looks: Vec<Look>,
    /// Why it is no program as it was meant to be.
    pub fault: Option<String>,
    begun: Instant,
    running: Running,
    /// What it has said: how many bytes it keeps, a number a line.
    said: PathBuf,
    complaints: PathBuf,
    /// It comes after the program, with whose end it ends.
    filler: Option<Filler>,
}

/// A program at one time.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Since it was started.
    pub secs: f64,
    /// What it keeps, as it says itself.
    pub kept_bytes: u64,
    /// What it has in memory, as the kernel says.
    pub resident_bytes: u64,
}

impl Program {
    /// Starts one in a directory, where the files of its name are its own.
    pub fn start(
        directory: &Path,
        runtime: Runtime,
        server: &Server,
        name: String,
        bound: Option<u64>,
    ) -> Result<Self> {
        // The kernel calls a process as the path that was executed, links or not.
        let link = directory.join(&name);
        symlink(&server.executable, &link).with_context(|| format!("linking {name}"))?;
        let said = directory.join(format!("{name}.said"));
        let complaints = directory.join(format!("{name}.complaints"));
        let making = || format!("making files for {name}");
        let output = File::create(&said).with_context(making)?;
        // If this process is killed, none of its guards runs.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(link);
        command
            .args(&server.arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stderr(File::create(&complaints).with_context(making)?);
        let filler = match runtime {
            Runtime::Redis => {
                command.stdout(Stdio::null());
                Some(Filler::new(&mut command, bound, output)?)
            }
            _ => {
                command.args(bound.map(|bytes| bytes.to_string()));
                command.stdout(output);
                None
            }
        };
        let running = Running::start(&mut command)?;
        Ok(Self {
            filler,
            name,
            runtime,
            bound,
            started: Timestamp::now(),
            looks: Vec::new(),
            fault: None,
            begun: Instant::now(),
            running,
            said,
            complaints,
        })
    }

    /// Looks at it, unless something is wrong with it already.
    pub fn look(&mut self) {
        if self.fault.is_none()
            && let Err(error) = self.try_to_look()
        {
            self.fault = Some(format!("{error:#}"));
        }
    }

    fn try_to_look(&mut self) -> Result<()> {
        let secs = self.begun.elapsed().as_secs_f64();
        if let Some(status) = self.running.child.try_wait().context("looking after it")? {
            let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
            let last = complaints.trim_end().lines().last().unwrap_or_default();
            bail!("ended after {secs:.0} s ({status}) {last}");
        }
        if let Some(filler) = &mut self.filler {
            filler.must_run()?;
        }
        let said = fs::read_to_string(&self.said).context("reading what it says")?;
        let last = said.rsplit('\n').nth(1);
        // It has said nothing yet.
        let Some(kept_bytes) = last.and_then(|line| line.parse().ok()) else {
            return Ok(());
        };
        self.looks.push(Look {
            secs,
            kept_bytes,
            resident_bytes: resident_bytes(self.running.pid())?,
        });
        Ok(())
    }
}

fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    Ok(kib.with_context(|| format!("{path} has no VmRSS"))? << 10)
}
