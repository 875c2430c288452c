//! A host made of files in a directory that vanishes with its test.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Host;

/// Files put together one after the other.
#[derive(Debug)]
pub(super) struct Tree {
    directory: TempDir,
}

/// The host that they make, and the directory, kept for as long.
#[derive(Debug)]
pub(super) struct TreeHost {
    host: Host,
    _directory: TempDir,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            directory: TempDir::new().expect("a directory for temporary files"),
        }
    }

    /// A file with these contents. The path is relative to the root.
    pub(super) fn file(self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Self {
        fs::write(self.make_room(path.as_ref()), contents).expect("room for a file");
        self
    }

    /// A symbolic link to anything. The path is relative to the root.
    pub(super) fn link(self, path: impl AsRef<Path>, target: &str) -> Self {
        symlink(target, self.make_room(path.as_ref())).expect("room for a link");
        self
    }

    /// A process of which nothing but its name and start time is known.
    pub(super) fn process(self, pid: u32, comm: &str, start_time_ticks: u64) -> Self {
        let stat = format!(
            "{pid} ({comm}) S 1 7 7 0 -1 4194560 120 0 0 0 1 2 0 0 20 0 1 0 {start_time_ticks} 8192000 1024 \
             18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        self.file(format!("proc/{pid}/stat"), stat)
    }

    pub(super) fn host(self) -> TreeHost {
        TreeHost {
            host: Host::new(self.directory.path()),
            _directory: self.directory,
        }
    }

    fn make_room(&self, path: &Path) -> PathBuf {
        let path = self.directory.path().join(path);
        let parent = path.parent().expect("the path is below the root");
        fs::create_dir_all(parent).expect("room for a directory");
        path
    }
}

impl Deref for TreeHost {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}
