//! What survives a restart, in one file that is replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::alert::{Book, Outbox};
use crate::program::state_directory;

/// The file's format; one that is newer is set aside.
const VERSION: u32 = 1;
const FILE: &str = "alerts.json";

/// Open alerts, and changes that are yet to be delivered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    boot_id: String,
    pub book: Book,
    pub outbox: Outbox,
}

/// Where the state is kept; nowhere if the directory cannot be had.
#[derive(Debug)]
pub(super) struct Store {
    directory: Option<PathBuf>,
    boot_id: String,
    /// Held as long as the daemon runs.
    _lock: Option<File>,
}

impl Store {
    /// Takes `$STATE_DIRECTORY`, or `/var/lib/memleakd`. That another daemon has it is an error.
    pub fn open() -> Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned();
        let directory = state_directory();
        let lock = match make_directory(&directory).and_then(|()| create(&directory.join(".lock")))
        {
            Ok(lock) => lock,
            Err(error) => {
                warn!(
                    "{} cannot be written ({error}): open alerts will be forgotten at the next restart",
                    directory.display()
                );
                return Ok(Self {
                    directory: None,
                    boot_id,
                    _lock: None,
                });
            }
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!(
                "another memleakd runs with the state directory {}: stop it first, or set STATE_DIRECTORY",
                directory.display()
            );
        }
        Ok(Self {
            directory: Some(directory),
            boot_id,
            _lock: Some(lock),
        })
    }

    /// Where sinks may keep what is theirs.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// What the last run left, and whether that was in this boot. A file that cannot be read is
    /// set aside and said.
    pub fn load(&self) -> (State, bool) {
        let Some(path) = self
            .directory
            .as_ref()
            .map(|directory| directory.join(FILE))
        else {
            return (State::default(), true);
        };
        let state = match read(&path) {
            Ok(Some(state)) => state,
            Ok(None) => return (State::default(), true),
            Err(error) => {
                let aside = path.with_extension("json.unreadable");
                warn!(
                    "{error:#}; it is kept as {}, starting without open alerts",
                    aside.display()
                );
                if let Err(error) = fs::rename(&path, &aside) {
                    warn!("{} cannot be renamed: {error}, ignoring", path.display());
                }
                return (State::default(), true);
            }
        };
        let same_boot = state.boot_id == self.boot_id;
        (state, same_boot)
    }

    /// Replaces the file, so that at any time it is the old one or the new one.
    pub fn save(&self, state: &State) -> Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let path = directory.join(FILE);
        let state = State {
            version: VERSION,
            boot_id: self.boot_id.clone(),
            ..state.clone()
        };
        let text = serde_json::to_vec(&state).context("writing the state as JSON")?;
        replace(directory, &path, &text).with_context(|| format!("saving {}", path.display()))
    }
}

fn read(path: &Path) -> Result<Option<State>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let state: State =
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
    if state.version != VERSION {
        bail!(
            "{} has format {}, this version of memleakd knows format {VERSION}",
            path.display(),
            state.version
        );
    }
    Ok(Some(state))
}

fn replace(directory: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = directory.join(".alerts.json.new");
    let mut file = create(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

/// Only the group that takes mails out of the spool may look in.
fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(path)
}

/// What processes other users run is nobody's business.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)
}
