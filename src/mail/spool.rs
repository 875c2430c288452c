//! The directory that the daemon writes and `memleakd-mail` empties.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::read_small;

/// So many messages may wait; one more is refused.
pub const MAX_WAITING: usize = 1000;

/// So many parked messages are kept, the newest ones.
pub const MAX_REJECTED: usize = 100;

/// The longest message, in bytes.
pub const MAX_MESSAGE_BYTES: u64 = 1 << 20;

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
        make_directory(&path)
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
        let temporary = self.path.join(format!(".{name}.{}", process::id()));
        let written = write_new(&temporary, message).and_then(|()| fs::rename(&temporary, &target));
        if written.is_err() {
            // What was written is of no use, and if it cannot be removed now it is swept up later.
            fs::remove_file(&temporary).ok();
        }
        written
            .and_then(|()| sync(&self.path))
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
        let mut temporary = path.clone().into_os_string();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        write_new(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| sync(&self.path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// Puts a message that cannot be sent into `rejected/`, where the newest 100 are kept.
    pub fn park(&self, message: &Waiting) -> Result<()> {
        let rejected = self.rejected();
        let parked = rejected.join(message.name());
        make_directory(&rejected)
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
        forget_oldest(&rejected).with_context(|| format!("tidying {}", rejected.display()))
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

/// For the owner and the group. The mode is set apart because the umask may take from the one
/// that is asked for.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o770)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a file that is not there yet and waits until it is on the disk.
///
/// The directory may belong to a less trusted user, so what has the name already, link or file,
/// is removed and never written through.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    unless_gone(fs::remove_file(path))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o640))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until renames and removals in a directory are on the disk.
fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems do not know this for directories, and then need it not.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        synced => synced,
    }
}

/// The plain files of a directory with their times; links and directories are left out.
fn list(directory: &Path) -> io::Result<Vec<Waiting>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => {
                files.push(Waiting {
                    modified: metadata.modified()?,
                    path: entry.path(),
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn is_message(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "eml")
}

fn forget_oldest(rejected: &Path) -> io::Result<()> {
    let mut parked = list(rejected)?;
    parked.sort();
    let n_over = parked.len().saturating_sub(MAX_REJECTED);
    parked[..n_over]
        .iter()
        .try_for_each(|message| unless_gone(fs::remove_file(&message.path)))
}

/// That somebody else was faster is no failure.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
