use std::env;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tracing::info;

const FILE: &str = "memleakd-notify.lock";

/// Waits until no other session of this user has an agent, and returns what has to be held as long
/// as this one runs. The kernel lets go of it however the program ends.
pub(super) fn take() -> Result<File> {
    let directory = env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
    if directory.is_empty() {
        bail!("XDG_RUNTIME_DIR is not set: start this program in a session of a user's");
    }
    let path = PathBuf::from(directory).join(FILE);
    let locking = || format!("locking {}", path.display());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).with_context(locking)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(file),
        Err(Errno::WOULDBLOCK) => {
            info!("another session of this user is told, waiting for its end")
        }
        Err(error) => return Err(error).with_context(locking),
    }
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).with_context(locking),
        }
    }
}
