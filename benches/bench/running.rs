//! Programs that are started to be measured, or to measure others.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(3);

/// A program that ends with this.
pub struct Running {
    pub child: Child,
    name: String,
}

impl Running {
    /// Starts it. An error is, as a rule, that there is no such program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Self { child, name })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        let status = self.child.try_wait();
        Ok(status
            .with_context(|| format!("looking after {}", self.name))?
            .is_some())
    }

    fn end(&mut self) -> Result<()> {
        // Some end at the end of their input already.
        drop(self.child.stdin.take());
        if self.has_ended()? {
            return Ok(());
        }
        // Tracers take their probes out at the first one, some programs need the second.
        for signal in [Signal::INT, Signal::TERM] {
            kill_process(Pid::from_child(&self.child), signal)?;
            let until = Instant::now() + PATIENCE;
            while Instant::now() < until {
                if self.has_ended()? {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{} may still run: {error:#}", self.name);
        }
    }
}
