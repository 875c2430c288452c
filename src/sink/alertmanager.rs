use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tracing::warn;

use super::{Delivery, Sink};
use crate::alert::Alert;
use crate::alertmanager::{Hold, Incident, Incidents};

/// Alerts as files that say how they stand, which `memleakd-alertmanager` tells Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    incidents: Incidents,
    /// Taken when the files are as the daemon knows them.
    hold: Option<Hold>,
    /// What the book has when the sink begins, until the files say the same.
    standing: Option<Standing>,
}

/// Open alerts.
#[derive(Debug, Clone)]
pub struct Standing {
    /// All of them.
    pub all: Vec<Alert>,
    /// Those that people have been told of: their end will be told as well.
    pub told: Vec<Alert>,
}

impl Alertmanager {
    /// Keeps files below the state directory. What they say of alerts that do not stand, as after
    /// the state was lost, is put right; so are alerts that stand and have none, as those that are
    /// older than the setting.
    pub fn new(state_directory: Option<&Path>, standing: Standing) -> Result<Self> {
        let state_directory =
            state_directory.context("there is no state directory to keep alerts in")?;
        Ok(Self {
            incidents: Incidents::open(directory(state_directory))?,
            hold: None,
            standing: Some(standing),
        })
    }

    /// Removes the files of an earlier run, as nobody is to be told of alerts any more: they end in
    /// Alertmanager by themselves.
    pub fn forget(state_directory: &Path) {
        let directory = directory(state_directory);
        if !directory.exists() {
            return;
        }
        if let Err(error) = Incidents::open(directory).and_then(|incidents| incidents.forget()) {
            warn!("{error:#}, continuing");
        }
    }

    fn put(&self, change: &Alert) -> Result<()> {
        let name = Incident::after(None, change).name();
        let before = self.incidents.find(&name);
        self.incidents.put(&Incident::after(before, change))
    }

    fn reconcile(&self, standing: &Standing) -> Result<()> {
        let name = |alert: &Alert| Incident::after(None, alert).name();
        let names: HashSet<_> = standing.all.iter().map(name).collect();
        for (_, path) in self.incidents.list()? {
            // One that cannot be read is put aside by the other program.
            let Ok(Some(incident)) = self.incidents.read(&path) else {
                continue;
            };
            if !incident.is_over() && !names.contains(&incident.name()) {
                self.incidents.put(&incident.ended(Timestamp::now()))?;
            }
        }
        let is_muted =
            |alert: &Alert| alert.silenced_until.is_some() || alert.inhibited_by.is_some();
        let missing =
            |alert: &&Alert| !is_muted(alert) && self.incidents.find(&name(alert)).is_none();
        let mut missing = standing.told.iter().filter(missing);
        missing.try_for_each(|alert| self.put(alert))
    }
}

impl Sink for Alertmanager {
    /// A change that is tried again makes the same file.
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        delivery
            .changes
            .iter()
            .try_for_each(|change| self.put(change))
    }

    fn tend(&mut self) -> Option<Result<()>> {
        if let Some(standing) = &self.standing {
            if let Err(error) = self.reconcile(standing) {
                return Some(Err(error));
            }
            self.standing = None;
        }
        match self.hold {
            Some(_) => None,
            None => Some(self.incidents.hold().map(|hold| self.hold = Some(hold))),
        }
    }
}

fn directory(state_directory: &Path) -> PathBuf {
    state_directory.join("alertmanager")
}
