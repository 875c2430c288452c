//! Alerts as journal entries, by journald's native protocol.
//!
//! Protocol: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. tracing-journald carries the daemon's
//! log lines, but not these: its fields are fixed at compile time and it drops errors. An entry that
//! journald may have been given by a daemon that was killed is asked after before it is sent again.

mod archive;
mod entry;
mod socket;

pub use entry::message_id;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::{Delivery, Sink};
use crate::alert::Alert;
use crate::collect::Host;
use crate::config;
use archive::Archive;
use entry::Object;

/// What is there from the boot on if systemd is the service manager, as sd_booted(3) has it.
const BOOTED: &str = "/run/systemd/system";

/// The journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    host: Host,
    /// Changes from before this are of an earlier run.
    started: Timestamp,
    /// Where to ask whether such a change has arrived; nothing once one has not, as those that
    /// follow it have not either.
    archive: Option<Archive>,
}

impl Journal {
    /// Sends to the socket at `path`, which may come and go.
    pub fn new(path: PathBuf) -> Self {
        // What listens elsewhere is not the journal that journalctl reads.
        let is_usual = path == config::Journal::default().socket;
        Self {
            path,
            host: Host::new("/"),
            started: Timestamp::now(),
            archive: is_usual.then(Archive::default),
        }
    }

    /// Whether there is a journal at `path`, or there will be again: journald may be away for a
    /// moment, or not yet there.
    pub fn is_expected(path: &Path) -> bool {
        let directory = path.parent();
        let is_usual = path == config::Journal::default().socket;
        path.exists()
            || directory.is_some_and(Path::is_dir)
            || (is_usual && Path::new(BOOTED).is_dir())
    }

    /// Whether a change that an earlier run has left is in the journal already. That run was killed
    /// before it could note what had arrived.
    fn has(&mut self, change: &Alert, sequence: u64) -> Result<bool> {
        let Some(archive) = self.archive.as_ref().filter(|_| change.time < self.started) else {
            return Ok(false);
        };
        let has = archive.has(change, sequence)?;
        if !has {
            self.archive = None;
        }
        Ok(has)
    }
}

impl Sink for Journal {
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        for change in &delivery.changes {
            if self.has(change, delivery.sequence)? {
                tracing::debug!("change {} is in the journal already", delivery.sequence);
                continue;
            }
            let entry = entry::entry(change, delivery.sequence, Object::of(change, &self.host))?;
            socket::send(&self.path, &entry).with_context(|| {
                format!("sending an alert to the journal at {}", self.path.display())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_journal_that_is_away_is_expected_where_its_directory_is() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("journal/socket");
        assert!(!Journal::is_expected(&path));
        fs::create_dir(directory.path().join("journal")).expect("a directory");
        assert!(Journal::is_expected(&path));
        fs::write(&path, "").expect("a file");
        assert!(Journal::is_expected(&path));
    }
}
