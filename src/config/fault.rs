use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::sample::printable;

/// What is wrong with a configuration: where, which key, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, unless the fault is in no file.
    pub file: Option<PathBuf>,
    /// The line in it, from 1, where it can be told.
    pub line: Option<usize>,
    /// The key, as `rule.default.growth`; empty where a file cannot be read as TOML at all.
    pub key: String,
    /// One phrase.
    pub message: String,
}

/// One line, whatever is in the file and its name.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(&printable(file.as_os_str().as_bytes()))?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&printable(self.message.as_bytes()))
    }
}

impl std::error::Error for Fault {}
