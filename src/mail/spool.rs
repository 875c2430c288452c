//! The directory that the daemon writes and `memleakd-mail` empties.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::file::{
    self, forget_oldest, make_shared_directory, read_small, replace_durably, sync, unless_gone,
};

/// So many messages may wait; one more is refused.
pub const MAX_WAITING: usize = 1000;

/// So many parked messages are kept, the newest ones.
pub const MAX_REJECTED: usize = 100;

/// The longest message, in bytes.
pub const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// For the owner and the group.
const MODE: u32 = 0o640;

/// A temporary file this old was left behind by a program that did not live to rename it.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// A directory of finished messages, each a file `NAME.eml`.
///
/// A message is there whole or not at all: it is written under a name that begins with a dot
/// and then renamed. Who may enter the directory may read what is in it.
#[derive(Debug, Clone)]
pub struct Spool {
    path: PathBuf,
}

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// When it was written.
    pub modified: SystemTime,
    /// Its file.
    pub path: PathBuf,
}

/// The right to send what is in a spool, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

impl Spool {
    /// Opens a spool, and makes the directory if it is not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        make_shared_directory(&path)
            .with_context(|| format!("making the mail spool {}", path.display()))?;
        let spool = Self { path };
        spool
            .sweep()
            .with_context(|| format!("reading the mail spool {}", spool.path.display()))?;
        Ok(spool)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a message, or replaces the one of the same name.
    ///
    /// When this returns, the message is on the disk. The name is that of a file, without
    /// `.eml`; see [`super::Letter::name`]. A spool that is full refuses it.
    pub fn put(&self, name: &str, message: &[u8]) -> Result<()> {
        let plain = |c: char| c != '/' && !c.is_control();
        ensure!(
            !name.is_empty()
                && name.len() <= 200
                && !name.starts_with('.')
                && name.chars().all(plain),
            "{name:?} cannot be the name of a message: it is to be a file name of at most 200 bytes without a leading dot"
        );
        ensure!(
            message.len() as u64 <= MAX_MESSAGE_BYTES,
            "message {name} has {} bytes, which is more than {MAX_MESSAGE_BYTES}",
            message.len()
        );
        let target = self.path.join(format!("{name}.eml"));
        if !target.exists() && self.waiting()?.len() >= MAX_WAITING {
            bail!(
                "the mail spool {} is full: {MAX_WAITING} messages are waiting",
                self.path.display()
            );
        }
        replace_durably(&target, message, MODE)
            .with_context(|| format!("writing {}", target.display()))
    }

    /// What waits to be sent, oldest first.
    pub fn waiting(&self) -> Result<Vec<Waiting>> {
        let mut waiting =
            list(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        waiting.retain(|message| is_message(&message.path));
        waiting.sort();
        Ok(waiting)
    }

    /// The text of a message. One that was removed meanwhile is none.
    pub fn read(&self, message: &Waiting) -> io::Result<Option<Vec<u8>>> {
        match read_small(&message.path, MAX_MESSAGE_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Forgets a message that was sent.
    pub fn remove(&self, message: &Waiting) -> Result<()> {
        unless_gone(fs::remove_file(&message.path))
            .and_then(|()| unless_gone(fs::remove_file(progress_path(message))))
            .and_then(|()| sync(&self.path))
            .with_context(|| format!("removing {}", message.path.display()))
    }

    /// What was noted of how far a message has come; nothing is what it begins with.
    pub(super) fn progress(&self, message: &Waiting) -> Vec<u8> {
        // What cannot be read is as good as not there.
        read_small(&progress_path(message), MAX_MESSAGE_BYTES).unwrap_or_default()
    }

    /// Notes how far a message has come. When this returns, it is on the disk.
    pub(super) fn note_progress(&self, message: &Waiting, text: &[u8]) -> Result<()> {
        let path = progress_path(message);
        replace_durably(&path, text, 0o640).with_context(|| format!("writing {}", path.display()))
    }

    /// Puts a message that cannot be sent into `rejected/`, where the newest 100 are kept.
    pub fn park(&self, message: &Waiting) -> Result<()> {
        let rejected = self.rejected();
        let parked = rejected.join(message.name());
        make_shared_directory(&rejected)
            .and_then(|()| unless_gone(fs::rename(&message.path, &parked)))
            .and_then(|()| unless_gone(fs::remove_file(progress_path(message))))
            .and_then(|()| sync(&rejected))
            .and_then(|()| sync(&self.path))
            .with_context(|| {
                format!(
                    "moving {} into {}",
                    message.path.display(),
                    rejected.display()
                )
            })?;
        forget_oldest(&rejected, MAX_REJECTED)
            .with_context(|| format!("tidying {}", rejected.display()))
    }

    /// Where parked messages are.
    pub fn rejected(&self) -> PathBuf {
        self.path.join("rejected")
    }

    /// Waits until no other program sends from this spool, and keeps them from it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.path.join(".lock");
        // Read only: whoever came first owns the file, the others still have to lock it.
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644))
            .with_context(|| format!("opening {}", path.display()))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(Lock { _file: file })
    }

    /// Removes temporary files that nobody will finish, and notes of messages that are gone.
    fn sweep(&self) -> io::Result<()> {
        let now = SystemTime::now();
        let files = list(&self.path)?;
        let needed: Vec<_> = files.iter().map(progress_path).collect();
        for file in &files {
            let hidden = file.name().as_encoded_bytes().starts_with(b".");
            let is_needed = file.name() == ".lock" || needed.contains(&file.path);
            if hidden
                && !is_needed
                && now
                    .duration_since(file.modified)
                    .is_ok_and(|age| age > LEFT_BEHIND)
            {
                unless_gone(fs::remove_file(&file.path))?;
            }
        }
        Ok(())
    }
}

impl Waiting {
    /// The name of its file.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// How long it has been waiting; one from the future not at all.
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.modified).unwrap_or_default()
    }
}

/// Where is noted how far a message has come: hidden, so that it is no message.
fn progress_path(message: &Waiting) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(message.name());
    name.push(".settled");
    message.path.with_file_name(name)
}

fn list(directory: &Path) -> io::Result<Vec<Waiting>> {
    let files = file::list(directory)?.into_iter();
    Ok(files
        .map(|(modified, path)| Waiting { modified, path })
        .collect())
}

fn is_message(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "eml")
}
