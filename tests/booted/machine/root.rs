//! What machines boot from, made once by the scripts in `scripts/vm`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of a machine of that name, which is a Debian suite's.
pub fn of(suite: &str) -> PathBuf {
    made("root.sh", &[suite])
}

/// The path that a script says it has made, or had made before.
pub fn made(script: &str, arguments: &[&str]) -> PathBuf {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/vm");
    let output = Command::new(scripts.join(script))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "{script} could not make {arguments:?}"
    );
    let path = String::from_utf8(output.stdout).expect("a path in UTF-8");
    PathBuf::from(path.trim_end())
}
