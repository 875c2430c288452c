use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Group, Incident, Known, Shown};

const FILE: &str = "notified.json";
/// The file's format; another one is not read.
const VERSION: u32 = 1;
/// Room for more incidents than memleakd has.
const MAX_BYTES: u64 = 1 << 20;

/// What has been shown, in a file of the user's.
#[derive(Debug)]
pub(super) struct Memory {
    /// Nowhere if there is no place for it.
    directory: Option<PathBuf>,
    has_failed: bool,
}

/// What the file has.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    screen: String,
    incidents: Vec<Entry>,
    group: Option<Group>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    incident: Incident,
    #[serde(flatten)]
    known: Known,
}

impl Memory {
    /// The memory of this user: `$XDG_STATE_HOME/memleakd`, by default `~/.local/state/memleakd`.
    pub fn of_user() -> Self {
        let named = |name: &str| {
            let path = PathBuf::from(env::var_os(name)?);
            // The specification has relative ones ignored.
            path.is_absolute().then_some(path)
        };
        let home = || Some(named("HOME")?.join(".local/state"));
        let directory = named("XDG_STATE_HOME").or_else(home);
        if directory.is_none() {
            warn!("HOME is not set: what has been shown will be shown again at the next login");
        }
        Self {
            directory: directory.map(|directory| directory.join("memleakd")),
            has_failed: false,
        }
    }

    /// What had been shown, and on which screen. A file that cannot be read is said and ignored.
    pub fn load(&self) -> (Shown, String) {
        let kept = match &self.directory {
            Some(directory) => read(&directory.join(FILE)).unwrap_or_else(|error| {
                warn!("{error:#}: what has been shown may be shown again");
                Kept::default()
            }),
            None => Kept::default(),
        };
        let incidents = kept.incidents.into_iter();
        let known = incidents.map(|entry| (entry.incident, entry.known));
        let shown = Shown {
            known: known.collect(),
            group: kept.group,
        };
        (shown, kept.screen)
    }

    /// Remembers what has been shown, on which screen. That this fails is said once.
    pub fn save(&mut self, shown: &Shown, screen: &str) {
        let Some(directory) = &self.directory else {
            return;
        };
        let entry = |(incident, known): (&Incident, &Known)| Entry {
            incident: incident.clone(),
            known: known.clone(),
        };
        let kept = Kept {
            version: VERSION,
            screen: screen.to_owned(),
            incidents: shown.known.iter().map(entry).collect(),
            group: shown.group.clone(),
        };
        match replace(directory, &kept) {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                if !self.has_failed {
                    warn!("{error:#}: what has been shown will be shown again at the next login");
                }
                self.has_failed = true;
            }
        }
    }
}

fn read(path: &Path) -> Result<Kept> {
    let reading = || format!("reading {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error).with_context(reading),
    };
    let mut text = Vec::new();
    let limited = &mut file.take(MAX_BYTES + 1);
    limited.read_to_end(&mut text).with_context(reading)?;
    if text.len() as u64 > MAX_BYTES {
        bail!("{} has more than {MAX_BYTES} bytes", path.display());
    }
    let kept: Kept = serde_json::from_slice(&text).with_context(reading)?;
    if kept.version != VERSION {
        bail!(
            "{} has format {}, this version of memleakd-notify knows format {VERSION}",
            path.display(),
            kept.version
        );
    }
    Ok(kept)
}

fn replace(directory: &Path, kept: &Kept) -> Result<()> {
    let path = directory.join(FILE);
    let write = || {
        // The specification's mode: what a user runs is nobody else's business.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let temporary = directory.join(format!(".{FILE}.new"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;
    use crate::notify::{Call, reconcile};

    fn memory(directory: &Path) -> Memory {
        Memory {
            directory: Some(directory.join("state/memleakd")),
            has_failed: false,
        }
    }

    #[test]
    fn what_is_remembered_comes_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut memory = memory(directory.path());
        assert_eq!(memory.load(), (Shown::default(), String::new()));
        let mut shown = Shown::default();
        for n in 0..1000 {
            let mut alert = alert();
            alert.id = format!("{n:012x}");
            let mut steps = reconcile(&Shown::default(), &[alert.clone()], alert.time);
            assert!(matches!(steps[0].call, Call::Show { .. }));
            shown.done(steps.remove(0), Some(n));
        }
        memory.save(&shown, "a screen");
        assert!(!memory.has_failed);
        assert_eq!(memory.load(), (shown, "a screen".to_owned()));
        let mut names = fs::read_dir(directory.path().join("state/memleakd")).expect("a directory");
        assert_eq!(
            names.next().expect("a file").expect("a file").file_name(),
            FILE
        );
        assert!(names.next().is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_memory() {
        let directory = tempfile::tempdir().expect("a directory");
        let memory = memory(directory.path());
        let path = directory.path().join("state/memleakd");
        fs::create_dir_all(&path).expect("a directory");
        let long = format!("{{\"version\":1,{}", " ".repeat(MAX_BYTES as usize));
        for text in [
            "",
            "{}",
            "[]",
            "{\"version\":2,\"screen\":\"\",\"incidents\":[]}",
            &long,
        ] {
            fs::write(path.join(FILE), text).expect("a file");
            let short = &text[..text.len().min(40)];
            assert!(read(&path.join(FILE)).is_err(), "{short}");
            assert_eq!(memory.load(), (Shown::default(), String::new()), "{short}");
        }
    }
}
