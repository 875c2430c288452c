//! Alerts that start a unit of the administrator's, as `OnFailure=` does: no command is ever built
//! of what an alert says.
//!
//! The alert is written into a file whose name the unit knows, as its instance is the alert's id.
//! Then systemd is asked to start the unit, and the next change waits until it has ended.

mod directory;
mod systemd;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tracing::{info, warn};

use super::{Delivery, Sink, TEST_SEQUENCE};
use crate::alert::Alert;
use directory::Directory;
use systemd::{Stage, Systemd};

/// A unit may run so long, for one change.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has ended, at first and after a while.
const STEPS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// Starts a unit for each change.
#[derive(Debug)]
pub struct Hook {
    template: String,
    directory: Directory,
    systemd: Systemd,
    /// Of the delivery of this number, so many changes have been dealt with: it is being tried
    /// again from there.
    done: (u64, usize),
    /// What the unit of the last change did not do well is not said again of the next.
    is_unwell: bool,
}

/// What became of a unit for one change.
enum Outcome {
    Well,
    Unwell(String),
}

/// What is in the file: the alert's fields, and the number that tells a repetition.
#[derive(Serialize)]
struct Told<'a> {
    sequence: u64,
    #[serde(flatten)]
    alert: &'a Alert,
}

impl Hook {
    /// Starts instances of a template such as `page@.service`, whose files are below a runtime
    /// directory.
    pub fn new(template: String, runtime_directory: PathBuf) -> Self {
        Self {
            template,
            directory: Directory::new(runtime_directory.join("hook")),
            systemd: Systemd::default(),
            done: (TEST_SEQUENCE, 0),
            is_unwell: false,
        }
    }

    /// An error is one of starting the unit, which is tried again. What the unit does is its own
    /// affair, as is whether it is tried again: that is what `Restart=` is for.
    fn start(&mut self, sequence: u64, alert: &Alert) -> Result<Outcome> {
        let instance = systemd::escaped(&alert.id);
        let unit = self.template.replacen('@', &format!("@{instance}"), 1);
        // It may run still for the change before this one, and read its file.
        if self.wait(&unit)? == Stage::Running {
            return Ok(Outcome::Unwell(format!(
                "{unit} still runs after {} s, and was not started for this: {}",
                PATIENCE.as_secs(),
                alert.message
            )));
        }
        let told = serde_json::to_vec(&Told { sequence, alert }).context("writing an alert")?;
        self.directory.write(&instance, &told)?;
        self.systemd.start(&unit)?;
        Ok(match self.wait(&unit)? {
            Stage::Ended => Outcome::Well,
            Stage::Failed => {
                Outcome::Unwell(format!("{unit} failed, see: systemctl status {unit}"))
            }
            Stage::Running => Outcome::Unwell(format!(
                "{unit} still runs after {} s: it is to be of Type=oneshot and to end soon",
                PATIENCE.as_secs()
            )),
        })
    }

    /// What a unit has come to, at the latest after [`PATIENCE`].
    fn wait(&mut self, unit: &str) -> Result<Stage> {
        let began = Instant::now();
        loop {
            let stage = self.systemd.stage(unit)?;
            if stage != Stage::Running || began.elapsed() >= PATIENCE {
                return Ok(stage);
            }
            let is_long = began.elapsed() >= Duration::from_secs(1);
            thread::sleep(STEPS[usize::from(is_long)]);
        }
    }

    /// What is not well is said once, until a unit ends well again.
    fn note(&mut self, outcome: Outcome) {
        let is_well = matches!(outcome, Outcome::Well);
        let was_well = !std::mem::replace(&mut self.is_unwell, !is_well);
        match outcome {
            Outcome::Unwell(what) if was_well => warn!("hook: {what}"),
            Outcome::Unwell(what) => tracing::debug!("hook: {what}"),
            Outcome::Well if !was_well => info!("hook: units end well again"),
            Outcome::Well => {}
        }
    }
}

impl Sink for Hook {
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        if self.done.0 != delivery.sequence {
            self.done = (delivery.sequence, 0);
        }
        for change in delivery.changes.iter().skip(self.done.1) {
            let outcome = self.start(delivery.sequence, change)?;
            if let (Outcome::Unwell(what), TEST_SEQUENCE) = (&outcome, delivery.sequence) {
                bail!("{what}");
            }
            self.note(outcome);
            self.done.1 += 1;
        }
        // Tests all have the same number.
        self.done = (TEST_SEQUENCE, 0);
        Ok(())
    }
}
