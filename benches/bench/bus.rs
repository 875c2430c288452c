//! A message bus of our own, in the place of the system's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A running `dbus-daemon`. It ends with this.
pub struct Bus {
    child: Child,
    address: String,
}

impl Bus {
    /// Starts it. An error is, as a rule, that there is no such program.
    pub fn start() -> Result<Self> {
        let mut child = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting dbus-daemon")?;
        let stdout = child.stdout.take().context("dbus-daemon has no output")?;
        let mut bus = Self {
            child,
            address: String::new(),
        };
        BufReader::new(stdout)
            .read_line(&mut bus.address)
            .context("reading from dbus-daemon")?;
        ensure!(
            !bus.address.is_empty(),
            "dbus-daemon does not say its address"
        );
        Ok(bus)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.address.trim()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("dbus-daemon may still run: {error}");
        }
    }
}
