//! packaging/files, and what is in a directory that was installed from it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Which packages are meant: some files are elsewhere in the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Deb,
    Rpm,
}

/// A line of the list.
#[derive(Debug)]
pub struct File {
    pub package: String,
    pub mode: u32,
    pub path: PathBuf,
    /// From the top of the tree; none for programs, which are made, and for directories.
    pub source: Option<PathBuf>,
    pub is_config: bool,
    only: Option<Kind>,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }
}

impl File {
    pub fn is_for(&self, kind: Kind) -> bool {
        self.only.is_none_or(|only| only == kind)
    }
}

/// The whole list.
pub fn listed() -> Vec<File> {
    let text = super::read("packaging/files");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(parse).collect()
}

/// What is below a root, by the path from there, with its mode.
pub fn installed(root: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    for path in walk(root) {
        let metadata = fs::symlink_metadata(&path).expect("a file");
        let path = Path::new("/").join(path.strip_prefix(root).expect("a path below it"));
        found.insert(path, metadata.permissions().mode() & 0o7777);
    }
    found
}

/// Every file and directory below one.
pub fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

fn parse(line: &str) -> File {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (package, mode, path, source, mark) = match words[..] {
        [package, mode, path, source] => (package, mode, path, source, ""),
        [package, mode, path, source, mark] => (package, mode, path, source, mark),
        _ => panic!("packaging/files: four or five words are a line: {line}"),
    };
    File {
        package: package.to_owned(),
        mode: u32::from_str_radix(mode, 8).expect(line),
        path: PathBuf::from(path),
        source: match source {
            "program" | "directory" => None,
            "packaging" => Some(PathBuf::from(format!("packaging{path}"))),
            elsewhere => Some(PathBuf::from(elsewhere)),
        },
        is_config: mark == "config",
        only: match mark {
            "" | "config" => None,
            "deb" => Some(Kind::Deb),
            "rpm" => Some(Kind::Rpm),
            _ => panic!("packaging/files: no mark is called so: {line}"),
        },
    }
}
