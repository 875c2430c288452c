//! Who has been told of which incident, in which thread.
//!
//! What a route matches may change while an alert stands, as the fastest process of a unit or the
//! configuration does; and that it is over is to reach whoever was told of it. So this is kept, in a
//! file of the state directory. Without it mails go where the routes say, which is nearly always the
//! same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::thread::{Thread, incident};
use crate::alert::{Alert, Change};
use crate::file::{read_small, replace_durably};

/// So many incidents are remembered, the last ones. There are not more open alerts.
const MAX_INCIDENTS: usize = 1000;

/// The largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What is kept of all incidents that somebody was told of.
#[derive(Debug, Default)]
pub struct Told {
    path: Option<PathBuf>,
    incidents: BTreeMap<String, Incident>,
}

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Incident {
    #[serde(flatten)]
    pub thread: Thread,
    /// Who was told.
    pub to: BTreeSet<String>,
    /// What they were told first, and when that had happened.
    pub first: (Change, Timestamp),
    /// When something was last said.
    last: Timestamp,
    /// Whether it is over. It is kept nevertheless, in case that this has to be said again.
    over: bool,
}

impl Told {
    /// Reads what is known. What cannot be read is said, and forgotten.
    pub fn open(path: PathBuf) -> Self {
        let incidents = match read(&path) {
            Ok(incidents) => incidents,
            Err(error) => {
                let path = path.display();
                warn!("{path} cannot be read: {error}; mails go where the routes say, continuing");
                BTreeMap::new()
            }
        };
        Self {
            path: Some(path),
            incidents,
        }
    }

    /// What is known of an alert's incident.
    pub(super) fn of(&self, alert: &Alert) -> Option<&Incident> {
        self.incidents.get(&incident(alert))
    }

    /// Takes note that these were told of a change.
    pub(super) fn note(&mut self, alert: &Alert, to: &[String]) {
        let key = incident(alert);
        let known = self.incidents.entry(key).or_insert_with(|| Incident {
            thread: Thread::of(alert),
            to: BTreeSet::new(),
            first: (alert.change, alert.time),
            last: alert.time,
            over: false,
        });
        known.to.extend(to.iter().cloned());
        known.last = known.last.max(alert.time);
        known.over |= alert.change == Change::Cleared;
        while self.incidents.len() > MAX_INCIDENTS {
            // What is over goes first, and of equals the oldest.
            let oldest = self
                .incidents
                .iter()
                .min_by_key(|(_, incident)| (!incident.over, incident.last));
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.incidents.remove(&oldest);
        }
    }

    /// Puts it on the disk.
    pub fn save(&self) -> Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let saving = || format!("saving {}", path.display());
        let text = serde_json::to_vec(&self.incidents).with_context(saving)?;
        // Who is responsible for what is nobody else's business.
        replace_durably(path, &text, 0o600).with_context(saving)
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Incident>> {
    match read_small(path, MAX_FILE_BYTES) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::mail::fixture::leak;

    fn numbered(number: usize, change: Change) -> Alert {
        let time = Timestamp::from_second(number as i64).expect("is a time");
        Alert {
            id: format!("{number:012x}"),
            raised: time,
            time,
            change,
            ..leak()
        }
    }

    #[test]
    fn it_outlives_its_program_and_what_is_broken_does_no_harm() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("told.json");
        let mut told = Told::open(path.clone());
        told.note(&leak(), &["b@x".to_owned()]);
        told.note(&leak(), &["a@x".to_owned()]);
        told.save().expect("saves");
        let again = Told::open(path.clone());
        assert_eq!(again.incidents, told.incidents);
        let incident = again.of(&leak()).expect("is known");
        assert!(incident.to.iter().eq(["a@x", "b@x"]) && !incident.over);
        assert_eq!(incident.thread, Thread::of(&leak()));
        fs::write(&path, "{").expect("writes");
        assert!(Told::open(path).of(&leak()).is_none());
    }

    #[test]
    fn it_is_bounded_and_forgets_first_what_is_over() {
        let mut told = Told::default();
        let to = ["a@x".to_owned()];
        for number in 0..MAX_INCIDENTS {
            told.note(&numbered(number, Change::Raised), &to);
        }
        told.note(&numbered(700, Change::Cleared), &to);
        for number in MAX_INCIDENTS..MAX_INCIDENTS + 2 {
            told.note(&numbered(number, Change::Raised), &to);
        }
        assert_eq!(told.incidents.len(), MAX_INCIDENTS);
        for (number, expected) in [(700, false), (0, false), (1, true), (1001, true)] {
            let known = told.of(&numbered(number, Change::Reminded)).is_some();
            assert_eq!(known, expected, "{number}");
        }
    }
}
