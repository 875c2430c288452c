//! What survives a restart, in files that are replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::alert::{Book, Outbox};
use crate::curve;
use crate::past::Past;
use crate::program::state_directory;

/// The files' format; one that is newer is set aside.
const VERSION: u32 = 1;
const ALERTS: &str = "alerts.json";
const PAST: &str = "past.json";
const CURVES: &str = "curves.json";

/// Open alerts, and changes that are yet to be delivered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    boot_id: String,
    pub book: Book,
    pub outbox: Outbox,
}

/// What programs did before, as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<P> {
    version: u32,
    past: P,
}

/// The curves of processes, as they are on disk.
#[derive(Debug, Serialize, Deserialize)]
struct KeptCurves {
    version: u32,
    curves: Vec<curve::Kept>,
}

/// What every file has.
#[derive(Debug, Deserialize)]
struct Header {
    version: u32,
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
                    "{} cannot be written ({error}): open alerts, curves and what is learnt of programs will be forgotten at the next restart",
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

    /// What tells this boot of the machine from others.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Where sinks may keep what is theirs.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// What the last run left, and whether that was in this boot. A file that cannot be read is
    /// set aside and said.
    pub fn load(&self) -> (State, bool) {
        match self.read::<State>(ALERTS, "starting without open alerts") {
            Some(state) => {
                let same_boot = state.boot_id == self.boot_id;
                (state, same_boot)
            }
            None => (State::default(), true),
        }
    }

    /// What was learnt of programs. A file that cannot be read is set aside and said.
    pub fn load_past(&self) -> Past {
        let kept = self.read::<Kept<Past>>(PAST, "starting without what was learnt of programs");
        kept.map(|kept| kept.past).unwrap_or_default()
    }

    /// The curves of processes. A file that cannot be read is set aside and said.
    pub fn load_curves(&self) -> Vec<curve::Kept> {
        let kept = self.read::<KeptCurves>(CURVES, "starting without the curves of processes");
        kept.map(|kept| kept.curves).unwrap_or_default()
    }

    /// Replaces the file, so that at any time it is the old one or the new one.
    pub fn save(&self, state: &State) -> Result<()> {
        let state = State {
            version: VERSION,
            boot_id: self.boot_id.clone(),
            ..state.clone()
        };
        self.write(ALERTS, &state)
    }

    /// Replaces the file with what was learnt of programs.
    pub fn save_past(&self, past: &Past) -> Result<()> {
        let version = VERSION;
        self.write(PAST, &Kept { version, past })
    }

    /// Replaces the file with the curves of processes.
    pub fn save_curves(&self, curves: Vec<curve::Kept>) -> Result<()> {
        let version = VERSION;
        self.write(CURVES, &KeptCurves { version, curves })
    }

    /// The same on a thread of its own, as there may be many; nothing if there is no directory.
    pub fn save_curves_apart(
        &self,
        curves: Vec<curve::Kept>,
    ) -> io::Result<Option<JoinHandle<Result<()>>>> {
        let Some(directory) = self.directory.clone() else {
            return Ok(None);
        };
        let version = VERSION;
        let save = move || write(&directory, CURVES, &KeptCurves { version, curves });
        let thread = thread::Builder::new().name("curves".to_owned());
        thread.spawn(save).map(Some)
    }

    fn read<T: DeserializeOwned>(&self, file: &str, without: &str) -> Option<T> {
        let path = self.directory.as_ref()?.join(file);
        match read(&path) {
            Ok(content) => content,
            Err(error) => {
                let aside = path.with_extension("json.unreadable");
                warn!("{error:#}; it is kept as {}, {without}", aside.display());
                if let Err(error) = fs::rename(&path, &aside) {
                    warn!("{} cannot be renamed: {error}, ignoring", path.display());
                }
                None
            }
        }
    }

    fn write(&self, file: &str, content: &impl Serialize) -> Result<()> {
        match &self.directory {
            Some(directory) => write(directory, file, content),
            None => Ok(()),
        }
    }
}

fn write(directory: &Path, file: &str, content: &impl Serialize) -> Result<()> {
    let saving = || format!("saving {}", directory.join(file).display());
    replace(directory, file, content).with_context(saving)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let reading = || format!("reading {}", path.display());
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(reading),
    };
    let header: Header = serde_json::from_slice(&text).with_context(reading)?;
    if header.version != VERSION {
        bail!(
            "{} has format {}, this version of memleakd knows format {VERSION}",
            path.display(),
            header.version
        );
    }
    serde_json::from_slice(&text)
        .map(Some)
        .with_context(reading)
}

fn replace(directory: &Path, file: &str, content: &impl Serialize) -> io::Result<()> {
    let temporary = directory.join(format!(".{file}.new"));
    let mut text = BufWriter::new(create(&temporary)?);
    serde_json::to_writer(&mut text, content)?;
    text.flush()?;
    text.get_ref().sync_all()?;
    fs::rename(&temporary, directory.join(file))?;
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
