//! Processes that do nothing, for the scan to read.

use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::interrupt;
use crate::machine::Machine;
use crate::table::{Table, grouped};

/// Processes that are given back where a limit is met.
const SPARE_PROCESSES: usize = 50;

/// Sleeping children, each a program with an address space of its own.
///
/// They live as long as their standard input, a pipe whose other end is held here and nowhere
/// else: they end with this, and also if the bench is killed.
pub struct Sleepers {
    program: PathBuf,
    stdin: PipeReader,
    /// Dropped first of all, which is what ends them.
    life: Option<PipeWriter>,
    children: Vec<Child>,
}

impl Sleepers {
    /// None yet; compiles the program.
    pub fn new() -> Result<Self> {
        let (stdin, life) = io::pipe().context("making a pipe")?;
        Ok(Self {
            program: compile()?,
            stdin,
            life: Some(life),
            children: Vec::new(),
        })
    }

    /// Starts as many as are missing, or as the machine bears, and says so if that is fewer.
    /// Returns how many there are.
    pub fn grow_to(&mut self, n: usize, machine: &Machine, table: &mut Table) -> Result<usize> {
        let room = self.children.len() + machine.room()?;
        let mut refusal = "its process numbers and memory are needed by others".to_owned();
        while self.children.len() < n.min(room) {
            interrupt::check()?;
            let child = Command::new(&self.program)
                .stdin(Stdio::from(self.stdin.try_clone()?))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            match child {
                Ok(child) => self.children.push(child),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    refusal = format!("{error}, see ulimit -u and pids.max of the control group");
                    self.give_back()?;
                    break;
                }
                Err(error) => return Err(error).context("starting a sleeping process"),
            }
        }
        let n_children = self.children.len();
        ensure!(
            n_children > 0,
            "this machine bears no further process: {refusal}"
        );
        if n_children < n {
            table.note(format!(
                "{} processes more were wanted, this machine bears {}: {refusal}",
                grouped(n),
                grouped(n_children)
            ));
        }
        Ok(n_children)
    }

    /// Where the last process was one too many, others are wanted too: the daemon for one.
    fn give_back(&mut self) -> Result<()> {
        let n_kept = self.children.len().saturating_sub(SPARE_PROCESSES);
        for mut child in self.children.drain(n_kept..) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        drop(self.life.take());
        for child in &mut self.children {
            if let Err(error) = child.wait() {
                eprintln!("a sleeping process cannot be waited for: {error}");
            }
        }
    }
}

fn compile() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sleeper.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sleeper");
    let status = Command::new("cc")
        .args(["-O2", "-static", "-o"])
        .args([&program, &source])
        .status()
        .context("starting the C compiler cc")?;
    ensure!(
        status.success(),
        "{} does not compile with cc -static",
        source.display()
    );
    Ok(program)
}
