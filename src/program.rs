//! What the programs have in common: how they end, and where their files are.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Error, Result};

/// The end of a program: an error is told once, in one line, with its causes.
pub fn end(program: &str, result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The end of a program that has found out whether something is well.
pub fn verdict(program: &str, is_well: Result<bool>) -> ExitCode {
    match is_well {
        Ok(false) => ExitCode::FAILURE,
        is_well => end(program, is_well.map(drop)),
    }
}

/// The directory that the service manager made for our state (`$STATE_DIRECTORY`, of which the
/// first is ours if there are several), or where it would be.
pub fn state_directory() -> PathBuf {
    directory("STATE_DIRECTORY").unwrap_or_else(|| PathBuf::from("/var/lib/memleakd"))
}

/// The directory for what need not outlive the boot: `$RUNTIME_DIRECTORY`, or where it would be.
pub fn runtime_directory() -> PathBuf {
    directory("RUNTIME_DIRECTORY").unwrap_or_else(|| PathBuf::from("/run/memleakd"))
}

/// The first of the directories that a variable names.
fn directory(variable: &str) -> Option<PathBuf> {
    let named = env::var_os(variable)?;
    let first = env::split_paths(&named).next();
    first.filter(|path| !path.as_os_str().is_empty())
}

/// Whoever read the output has had enough: no error of ours.
fn is_broken_pipe(error: &Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(broken))
}
