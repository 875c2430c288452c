//! The root directories that machines boot from, made once by `scripts/vm/root.sh`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The root of a machine of that name, which is a Debian suite's.
pub fn of(suite: &str) -> PathBuf {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/vm/root.sh"))
        .arg(suite)
        .stderr(Stdio::inherit())
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "there is no root of {suite}");
    let path = String::from_utf8(output.stdout).expect("a path in UTF-8");
    PathBuf::from(path.trim_end())
}
