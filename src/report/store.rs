//! Reports on disk.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use super::{Report, bounds, read};

/// The directory in the state directory.
const DIRECTORY: &str = "reports";
/// So many reports are kept, the latest ones.
const MAX_REPORTS: usize = 100;

/// The directory of reports, each a file `ID.json`.
///
/// What functions other people's processes run is nobody's business. Files are for their owner and
/// group. A directory that is there keeps its mode and group: packaging makes it for root and the
/// administrators' group, which files inherit by its setgid bit, as the daemon has no right to give
/// files away. One that is made here is for root alone, as nobody has named such a group.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// Opens the directory in a state directory, and makes it if it is not there.
    pub fn open(state_directory: &Path) -> Result<Self> {
        let directory = state_directory.join(DIRECTORY);
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
            made => made,
        }
        .with_context(|| format!("making the directory of reports {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// Writes a report, or replaces that of the same alert: at any time the file is the old one or
    /// the new one. The oldest of more than a hundred are removed.
    pub fn save(&self, report: &Report) -> Result<()> {
        let path = self.path(&report.id)?;
        let saving = || format!("saving {}", path.display());
        let text = serde_json::to_vec(report).with_context(saving)?;
        ensure!(
            text.len() <= bounds::MAX_BYTES,
            "the report of alert {} has {} bytes, which is more than {}",
            report.id,
            text.len(),
            bounds::MAX_BYTES
        );
        self.replace(&path, &text).with_context(saving)?;
        self.forget_oldest()
            .with_context(|| format!("tidying {}", self.directory.display()))
    }

    /// The report of an alert; nothing if there is none.
    pub fn load(&self, id: &str) -> Result<Option<Report>> {
        let path = self.path(id)?;
        if !path.exists() {
            return Ok(None);
        }
        read(&path, bounds::MAX_BYTES as u64).map(Some)
    }

    /// The file of a report. An id that is none never becomes the name of a file.
    fn path(&self, id: &str) -> Result<PathBuf> {
        ensure!(
            is_id(id),
            "{id:?} is no alert's id: it has 12 hexadecimal digits"
        );
        Ok(self.directory.join(format!("{id}.json")))
    }

    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        // Hidden, so that it is no report; there is one writer, whose rests are written over.
        let temporary = self.directory.join(".new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o640);
        let mut file = options.open(&temporary)?;
        // The umask may have taken from it.
        file.set_permissions(Permissions::from_mode(0o640))?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(&self.directory)?.sync_all()
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let mut reports = self.list()?;
        reports.sort();
        let n_over = reports.len().saturating_sub(MAX_REPORTS);
        for (_, path) in &reports[..n_over] {
            match fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Reports, and when they were written.
    fn list(&self) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let mut reports = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let is_report = path
                .extension()
                .is_some_and(|extension| extension == "json")
                && path
                    .file_stem()
                    .and_then(|name| name.to_str())
                    .is_some_and(is_id);
            if !is_report {
                continue;
            }
            match path
                .symlink_metadata()
                .and_then(|metadata| metadata.modified())
            {
                Ok(modified) => reports.push((modified, path)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(reports)
    }
}

/// Whether a text can be the id of an alert.
pub fn is_id(text: &str) -> bool {
    text.len() == 12
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
