//! The files that a hook's unit reads, `ID.json`.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// So many files are kept, the latest ones. Their unit has long ended when they go.
const MAX_FILES: usize = 200;

/// The directory of these files.
///
/// They say what other users run: they are for root and the daemon's group, which
/// `SupplementaryGroups=memleakd` gives to a unit that runs as somebody else. A directory that is
/// there keeps its mode and group, which files inherit if it has the setgid bit.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes the file of an instance, so that at any time it is the old one or the new one. The
    /// oldest of too many are removed.
    pub(super) fn write(&self, instance: &str, text: &[u8]) -> Result<()> {
        let path = self.0.join(format!("{instance}.json"));
        self.replace(&path, text)
            .with_context(|| format!("writing {}", path.display()))?;
        self.forget_oldest()
            .with_context(|| format!("tidying {}", self.0.display()))
    }

    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&self.0)?;
        // Hidden, so that nobody takes it for one; there is one writer, whose rests are written over.
        let temporary = self.0.join(".new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o640);
        let mut file = options.open(&temporary)?;
        // The umask may have taken from it.
        file.set_permissions(Permissions::from_mode(0o640))?;
        file.write_all(text)?;
        fs::rename(&temporary, path)
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let mut files = self.list()?;
        files.sort();
        let n_over = files.len().saturating_sub(MAX_FILES);
        for (_, path) in &files[..n_over] {
            match fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// The files, and when they were written.
    fn list(&self) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match path.symlink_metadata() {
                Ok(status) => files.push((status.modified()?, path)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn files_are_for_root_and_a_group_and_bounded() {
        let parent = TempDir::new().expect("a directory");
        let path = parent.path().join("memleakd/hook");
        let directory = Directory::new(path.clone());
        for n in 0..MAX_FILES + 5 {
            directory.write(&n.to_string(), b"{}").expect("a file");
        }
        directory.write("204", b"{\"a\":1}").expect("a file");
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("204.json"))), (0o750, 0o640));
        let text = fs::read_to_string(path.join("204.json")).expect("a file");
        assert_eq!(text, "{\"a\":1}");
        assert_eq!(fs::read_dir(&path).expect("files").count(), MAX_FILES);
        assert!(!path.join("4.json").exists() && path.join("5.json").exists());
    }
}
