//! What the programs have in common: how they end, and where their state is.

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

/// The directory that the service manager made for our state (`$STATE_DIRECTORY`, of which the
/// first is ours if there are several), or where it would be.
pub fn state_directory() -> PathBuf {
    let named = env::var_os("STATE_DIRECTORY").unwrap_or_default();
    let first = env::split_paths(&named).next();
    let is_named = |path: &PathBuf| !path.as_os_str().is_empty();
    first
        .filter(is_named)
        .unwrap_or_else(|| PathBuf::from("/var/lib/memleakd"))
}

/// Whoever read the output has had enough: no error of ours.
fn is_broken_pipe(error: &Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(broken))
}
