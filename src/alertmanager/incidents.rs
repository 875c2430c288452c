//! The directory that the daemon writes and `memleakd-alertmanager` reads and tidies.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::Incident;
use crate::file::{
    forget_oldest, list, make_shared_directory, read_small, replace_durably, sync, unless_gone,
};

/// So many incidents are kept; one more is refused. The daemon has no more open alerts.
pub const MAX_INCIDENTS: usize = 1000;

/// So many refused ones are kept, the newest.
const MAX_REJECTED: usize = 100;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// For the owner and the group.
const MODE: u32 = 0o640;

/// What is held by the daemon as long as it keeps the files true.
const LOCK: &str = ".lock";

/// A directory of incidents, each a file `ID.TIME.json`.
///
/// A file is there whole or not at all, and who may enter the directory may read it.
#[derive(Debug, Clone)]
pub struct Incidents {
    path: PathBuf,
}

/// The claim to keep the files true, until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _file: OwnedFd,
}

impl Incidents {
    /// Opens the directory, and makes it if it is not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let incidents = Self { path };
        // Both at once: what the other program made would belong to its user alone.
        make_shared_directory(&incidents.path)
            .and_then(|()| make_shared_directory(&incidents.rejected()))
            .with_context(|| format!("making {}", incidents.path.display()))?;
        Ok(incidents)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an incident, or replaces it. When this returns, it is on the disk.
    pub fn put(&self, incident: &Incident) -> Result<()> {
        let target = self.file(&incident.name());
        if !target.exists() && self.list()?.len() >= MAX_INCIDENTS {
            bail!(
                "{} is full: {MAX_INCIDENTS} alerts are waiting for Alertmanager",
                self.path.display()
            );
        }
        let writing = || format!("writing {}", target.display());
        let text = serde_json::to_vec(incident).with_context(writing)?;
        replace_durably(&target, &text, MODE).with_context(writing)
    }

    /// The incident of a name, if there is one. A file that is none is as good as none.
    pub fn find(&self, name: &str) -> Option<Incident> {
        self.read(&self.file(name)).ok().flatten()
    }

    /// The files of incidents, the oldest first, with the times when they were written.
    pub fn list(&self) -> Result<Vec<(SystemTime, PathBuf)>> {
        let mut files =
            list(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        files.retain(|(_, path)| is_incident(path));
        files.sort();
        Ok(files)
    }

    /// Reads a file. `None`: it is gone. One that is no incident is an error of the kind
    /// `InvalidData`.
    pub fn read(&self, path: &Path) -> io::Result<Option<Incident>> {
        let spoiled = |why: String| io::Error::new(ErrorKind::InvalidData, why);
        let text = match read_small(path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                return Err(spoiled(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| spoiled(error.to_string()))
    }

    /// Removes a file.
    pub fn remove(&self, path: &Path) -> Result<()> {
        unless_gone(fs::remove_file(path))
            .and_then(|()| sync(&self.path))
            .with_context(|| format!("removing {}", path.display()))
    }

    /// Removes all incidents, as nobody is to be told of them any more.
    pub fn forget(&self) -> Result<()> {
        self.list()?
            .iter()
            .try_for_each(|(_, path)| self.remove(path))
    }

    /// Puts a file that nobody takes into `rejected/`, where the newest 100 are kept.
    pub fn park(&self, path: &Path) -> Result<()> {
        let rejected = self.rejected();
        let parked = rejected.join(path.file_name().unwrap_or_default());
        unless_gone(fs::rename(path, &parked))
            .and_then(|()| sync(&rejected))
            .and_then(|()| sync(&self.path))
            .and_then(|()| forget_oldest(&rejected, MAX_REJECTED))
            .with_context(|| format!("moving {} into {}", path.display(), rejected.display()))
    }

    /// Where refused ones are.
    pub fn rejected(&self) -> PathBuf {
        self.path.join("rejected")
    }

    /// Says that the files are kept true from now on. A reader that looks in this very moment
    /// makes it fail.
    pub fn hold(&self) -> Result<Hold> {
        let lock = || {
            // The umask may take from the mode, but not what the group needs.
            let file = self.open_lock(OFlags::CREATE)?;
            flock(&file, FlockOperation::NonBlockingLockShared)?;
            Ok::<_, Errno>(Hold { _file: file })
        };
        lock().with_context(|| format!("locking {}", self.path.join(LOCK).display()))
    }

    /// Whether somebody keeps the files true. The kernel lets go of the claim of whoever dies.
    pub fn are_true(&self) -> Result<bool> {
        let is_free = || match self.open_lock(OFlags::empty()) {
            Ok(file) => match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => Ok(false),
                locked => locked.map(|()| true),
            },
            Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(error),
        };
        let path = self.path.join(LOCK);
        let is_free = is_free().with_context(|| format!("locking {}", path.display()))?;
        Ok(!is_free)
    }

    /// Read only is enough to lock it, whoever owns it.
    fn open_lock(&self, more: OFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | more;
        rustix::fs::open(self.path.join(LOCK), flags, Mode::from_raw_mode(0o644))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.json"))
    }
}

fn is_incident(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden
        && path
            .extension()
            .is_some_and(|extension| extension == "json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::leak;

    #[test]
    fn files_are_true_as_long_as_somebody_holds_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let incidents = Incidents::open(directory.path().join("alertmanager")).expect("opens");
        let are_true = || incidents.are_true().expect("asks");
        assert!(!are_true());
        let first = incidents.hold().expect("holds");
        let second = incidents.hold().expect("two may");
        assert!(are_true() && are_true());
        drop(first);
        assert!(are_true());
        drop(second);
        assert!(!are_true());
    }

    #[test]
    fn it_is_bounded_and_spoiled_files_are_no_incidents() {
        let directory = tempfile::tempdir().expect("a directory");
        let incidents = Incidents::open(directory.path()).expect("opens");
        for (name, text) in [
            ("broken.1.json", &b"{"[..]),
            ("large.1.json", &[b' '; (1 << 20) + 1][..]),
        ] {
            fs::write(directory.path().join(name), text).expect("writes");
            assert_eq!(incidents.find(name.trim_end_matches(".json")), None);
            let path = directory.path().join(name);
            let error = incidents.read(&path).expect_err("it is none");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            incidents.park(&path).expect("parks");
            assert!(incidents.rejected().join(name).exists());
        }
        for n in 0..MAX_INCIDENTS {
            fs::write(directory.path().join(format!("{n}.json")), "").expect("writes");
        }
        let incident = Incident::after(None, &leak());
        let error = incidents.put(&incident).expect_err("it is full");
        assert!(error.to_string().contains("is full"), "{error}");
        incidents.forget().expect("forgets");
        incidents.put(&incident).expect("puts");
        assert_eq!(incidents.find(&incident.name()), Some(incident));
    }
}
