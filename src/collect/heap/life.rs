//! Whether a process still is what it was when its measuring began.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// An executable, and where the stack began when it was started: at each start elsewhere.
pub(super) type Program = (PathBuf, Option<u64>);

/// What has become of a process since its measuring began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs the same program.
    Same,
    /// It runs another one, which owes nothing of what the first one did.
    Replaced,
    Ended,
}

/// What has become of a process that ran a program, by what is found in its place: that a file of
/// its own is missing means that it has ended.
pub(super) fn life(
    program: &Program,
    ticks: u64,
    found: io::Result<(Program, u64)>,
) -> Result<Life> {
    let (exe, stack_start) = program;
    match found {
        Ok((_, now)) if now != ticks => Ok(Life::Ended),
        Ok(((now, start), _)) if undeleted(&now) == undeleted(exe) && start == *stack_start => {
            Ok(Life::Same)
        }
        Ok(_) => Ok(Life::Replaced),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Life::Ended),
        Err(error) => Err(error).context("looking whether the process still runs"),
    }
}

/// A program stays the same if its file is deleted or replaced, as by an upgrade.
fn undeleted(exe: &Path) -> &[u8] {
    let path = exe.as_os_str().as_bytes();
    path.strip_suffix(b" (deleted)").unwrap_or(path)
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "it runs the same program",
            Self::Replaced => "it runs another program now",
            Self::Ended => "the process has ended",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::{NotFound, PermissionDenied};

    use super::*;

    #[test]
    fn a_process_stays_changes_or_ends() {
        let program = |exe: &str, start| (PathBuf::from(exe), Some(start));
        let found = |exe: &str, ticks| Ok((program(exe, 9), ticks));
        for (found, expected) in [
            (found("/bin/a", 7), Some(Life::Same)),
            (found("/bin/a (deleted)", 7), Some(Life::Same)),
            (found("/bin/b", 7), Some(Life::Replaced)),
            (Ok((program("/bin/a", 10), 7)), Some(Life::Replaced)),
            // Another process with that number.
            (found("/bin/a", 8), Some(Life::Ended)),
            (found("/bin/b", 8), Some(Life::Ended)),
            (Err(NotFound.into()), Some(Life::Ended)),
            // That it may not be looked says nothing.
            (Err(PermissionDenied.into()), None),
        ] {
            let text = format!("{found:?}");
            let life = life(&program("/bin/a", 9), 7, found);
            assert_eq!(life.ok(), expected, "{text}");
        }
    }
}
