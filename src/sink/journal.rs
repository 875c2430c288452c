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
use tracing::{debug, warn};

use super::{Delivery, Sink};
use crate::alert::Alert;
use crate::collect::Host;
use crate::config;
use archive::Archive;
use entry::Object;

/// What is there from the boot on if systemd is the service manager, as sd_booted(3) has it.
const BOOTED: &str = "/run/systemd/system";

/// Asking what has arrived may fail so often: then it is sent, as twice is better than never.
const MAX_UNANSWERED: u32 = 3;

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
    unanswered: u32,
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
            unanswered: 0,
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
        let has = match archive.has(change, sequence) {
            Err(error) if self.unanswered + 1 < MAX_UNANSWERED => {
                self.unanswered += 1;
                return Err(error);
            }
            Err(error) => {
                warn!("an alert of before the start may be in the journal twice: {error:#}");
                false
            }
            Ok(has) => has,
        };
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
                debug!("change {} is in the journal already", delivery.sequence);
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
    use std::os::unix::net::UnixDatagram;

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

    #[test]
    fn a_journal_that_does_not_say_what_it_has_is_told_in_the_end() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("socket");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let no_program = directory.path().join("journalctl");
        fs::write(&no_program, "").expect("a file");
        let mut journal = Journal::new(path);
        journal.archive = Some(Archive::read_by(no_program));
        let delivery = Delivery {
            sequence: 7,
            changes: vec![Alert {
                time: Timestamp::UNIX_EPOCH,
                ..Alert::test(Timestamp::now(), "host")
            }],
        };
        for _ in 1..MAX_UNANSWERED {
            let error = journal.send(&delivery).expect_err("it is to be asked");
            assert!(format!("{error:#}").contains("asking journalctl"));
        }
        journal.send(&delivery).expect("it is sent");
        let mut entry = vec![0; 1 << 16];
        let length = socket.recv(&mut entry).expect("an entry");
        let entry = String::from_utf8_lossy(&entry[..length]);
        assert!(entry.contains("MEMLEAKD_SEQUENCE=7\n"), "{entry}");
    }
}
