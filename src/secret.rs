//! Passwords and tokens, which are read from a file and never shown.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::file::read_small;

/// Reads the password that is a file's only line. An error does not show any of it.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = read_small(path, 4096)
        .with_context(|| format!("reading the password from {}", path.display()))?;
    // The error of the conversion would show the bytes.
    let mut password = String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("the password in {} is not UTF-8", path.display()))?;
    if password.ends_with('\n') {
        password.pop();
    }
    ensure!(
        !password.is_empty(),
        "the password in {} is empty",
        path.display()
    );
    Ok(password)
}
