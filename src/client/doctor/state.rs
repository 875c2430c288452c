//! Where memleakd keeps what is to survive a restart.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use rustix::fs::statvfs;

use super::{Finding, Machine};
use crate::quantity::Bytes;

const DIRECTORY: &str = "/var/lib/memleakd";
/// The state, 100 reports of 1 MiB and 1000 mails fit into less by far in practice.
const ENOUGH: Bytes = Bytes(64 << 20);

/// Whether the directory is there, is root's own, and has room.
pub fn state(machine: &Machine) -> Vec<Finding> {
    let path = machine.path(DIRECTORY);
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return vec![match machine.asked.daemon() {
                Some(_) => Finding::note("state", format!("there is no {DIRECTORY}"))
                    .advise("run memleakd by its unit, or set STATE_DIRECTORY"),
                None => Finding::note(
                    "state",
                    format!("there is no {DIRECTORY} yet: the first start makes it"),
                ),
            }];
        }
        Err(error) => return vec![Finding::wrong("state", format!("{DIRECTORY}: {error}"))],
    };
    let mut findings = Vec::new();
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_dir() {
        return vec![
            Finding::wrong("state", format!("{DIRECTORY} is no directory"))
                .advise("move it away, and restart memleakd"),
        ];
    }
    if mode & 0o022 != 0 || metadata.uid() != 0 {
        let found = format!(
            "{DIRECTORY} is of user {} with mode {mode:o}: others can change what is in it",
            metadata.uid()
        );
        let advice = format!("\"chown root:memleakd {DIRECTORY}\" and \"chmod 751 {DIRECTORY}\"");
        findings.push(Finding::wrong("state", found).advise(advice));
    }
    match statvfs(&path) {
        Ok(stat) => {
            let free = Bytes(stat.f_bavail.saturating_mul(stat.f_frsize));
            let found = format!("{DIRECTORY}, {free} free");
            findings.push(match free.0 < ENOUGH.0 {
                false => Finding::ok("state", found),
                true => Finding::wrong("state", found).advise(format!(
                    "make room: memleakd wants {ENOUGH} for its state, reports and mails"
                )),
            });
        }
        Err(error) => findings.push(Finding::wrong("state", format!("{DIRECTORY}: {error}"))),
    }
    // What could not be read at a start is kept beside.
    let unreadable = [
        "alerts.json.unreadable",
        "past.json.unreadable",
        "curves.json.unreadable",
    ];
    let unreadable: Vec<_> = unreadable
        .into_iter()
        .filter(|file| path.join(file).exists())
        .collect();
    if !unreadable.is_empty() {
        let found = format!(
            "an earlier state could not be read: {}",
            unreadable.join(", ")
        );
        findings
            .push(Finding::note("state", found).advise("look into it if you like, and remove it"));
    }
    findings
}
