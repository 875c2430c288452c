//! Whether the journal has an entry: asked of journalctl, which knows its files.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::alert::Alert;

/// Not looked for elsewhere: what root runs is where the system has it.
const JOURNALCTL: &str = "/usr/bin/journalctl";
/// journalctl may take so long, each time.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether it has ended.
const STEP: Duration = Duration::from_millis(5);

/// What journald has written.
#[derive(Debug)]
pub(super) struct Archive {
    journalctl: PathBuf,
}

impl Default for Archive {
    fn default() -> Self {
        Self::read_by(PathBuf::from(JOURNALCTL))
    }
}

impl Archive {
    /// What this program prints of it.
    pub(super) fn read_by(journalctl: PathBuf) -> Self {
        Self { journalctl }
    }

    /// Whether a change is there. A machine without journalctl has nothing to be asked: no.
    pub(super) fn has(&self, change: &Alert, sequence: u64) -> Result<bool> {
        if !self.journalctl.exists() {
            return Ok(false);
        }
        // What was sent may still wait in the socket. One that is not told to whom it may listen
        // fails, and tells what it has all the same.
        self.output(&["--sync".to_owned()])?;
        let arguments = [
            "--quiet".to_owned(),
            "--no-pager".to_owned(),
            "--lines=1".to_owned(),
            "--output=cat".to_owned(),
            "--output-fields=MEMLEAKD_SEQUENCE".to_owned(),
            format!("MEMLEAKD_SEQUENCE={sequence}"),
            format!("MEMLEAKD_ID={}", change.id),
            format!("MEMLEAKD_TIME={}", change.time),
        ];
        Ok(!self.output(&arguments)?.trim_ascii().is_empty())
    }

    /// What journalctl prints: a line at the most.
    fn output(&self, arguments: &[String]) -> Result<Vec<u8>> {
        let mut child = Command::new(&self.journalctl)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("asking journalctl what has arrived")?;
        if !ends(&mut child).context("waiting for journalctl")? {
            child.kill().context("ending journalctl")?;
            child.wait().context("ending journalctl")?;
            bail!("journalctl does not say what has arrived");
        }
        let mut text = Vec::new();
        if let Some(output) = child.stdout.take() {
            output
                .take(1 << 10)
                .read_to_end(&mut text)
                .context("reading what journalctl says")?;
        }
        Ok(text)
    }
}

fn ends(child: &mut Child) -> std::io::Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        thread::sleep(STEP);
    }
}
