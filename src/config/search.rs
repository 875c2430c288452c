//! Where configuration is looked for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::load::{load, unreadable};
use super::{Config, Fault};

/// Where configuration is looked for: `/` in the field, a directory of a test otherwise.
#[derive(Debug, Clone)]
pub struct Search {
    /// What `/usr/lib/memleakd`, `/run/memleakd` and `/etc/memleakd` are relative to.
    pub root: PathBuf,
}

/// Directories from the weakest to the strongest.
const DIRECTORIES: [&str; 3] = ["usr/lib/memleakd", "run/memleakd", "etc/memleakd"];

impl Search {
    /// Reads the main files, then the drop-ins in the order of their names, the later one winning.
    ///
    /// A drop-in hides those of the same name in weaker directories, so that a link to `/dev/null`
    /// masks them. No file at all is no fault, but one that is there and cannot be read is.
    pub fn load(&self) -> Result<Config, Fault> {
        load(&self.files()?)
    }

    /// The files that are read, in this order.
    pub fn files(&self) -> Result<Vec<PathBuf>, Fault> {
        let mut paths = vec![
            self.root.join("usr/lib/memleakd/memleakd.toml"),
            self.root.join("etc/memleakd/memleakd.toml"),
        ];
        paths.retain(|path| !is_missing(path));
        let mut drop_ins = BTreeMap::new();
        for directory in DIRECTORIES {
            let directory = self.root.join(directory).join("memleakd.toml.d");
            for path in list(&directory).map_err(|error| unreadable(&directory, &error))? {
                drop_ins.insert(path.file_name().map(ToOwned::to_owned), path);
            }
        }
        paths.extend(drop_ins.into_values());
        Ok(paths)
    }
}

/// Whether there is nothing of that name, not even a link that leads nowhere.
fn is_missing(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// `*.toml` of a directory, hidden ones left out; a directory that is not there is empty.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    Ok(paths)
}
