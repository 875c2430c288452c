//! The journal, and what explains its entries.

use std::fs;
use std::path::Path;

use super::{Finding, Machine};
use crate::alert::Change;
use crate::sink::message_id;

const CATALOG: &str = "/usr/lib/systemd/catalog/memleakd.catalog";
const DATABASE: &str = "/var/lib/systemd/catalog/database";
/// The database of all programs of a machine has some hundred KiB.
const MAX_DATABASE: u64 = 64 << 20;

/// Whether alerts get there, stay there, and are explained.
pub fn journal(machine: &Machine) -> Vec<Finding> {
    let settings = machine.config.as_ref().map(|config| config.journal.clone());
    let settings = settings.unwrap_or_default();
    if !settings.enabled {
        return vec![Finding::note(
            "journal",
            "switched off by journal.enabled = false",
        )];
    }
    let socket = settings.socket.display();
    if !machine.path(&settings.socket).exists() {
        return vec![Finding::wrong("journal", format!("there is no {socket}"))
            .advise("start systemd-journald, or set journal.enabled = false: alerts go to standard error")];
    }
    let mut findings = Vec::new();
    // By default, journald keeps entries where this directory is.
    findings.push(match machine.path("/var/log/journal").is_dir() {
        true => Finding::ok("journal", "alerts are kept over a restart of the machine"),
        false => Finding::note("journal", "it is lost with a restart of the machine")
            .advise("\"mkdir /var/log/journal\" and \"systemctl restart systemd-journald\", or Storage= in journald.conf"),
    });
    findings.push(
        match (
            machine.path(CATALOG).exists(),
            is_compiled(&machine.path(DATABASE)),
        ) {
            (false, _) => Finding::note(
                "catalog",
                format!("there is no {CATALOG}: journalctl -x explains nothing"),
            )
            .advise("install the package again"),
            (true, false) => Finding::note("catalog", "journalctl -x does not know it yet")
                .advise("\"journalctl --update-catalog\""),
            (true, true) => Finding::ok("catalog", "journalctl -x explains alerts"),
        },
    );
    findings
}

/// Whether our entries are among those that were compiled: their ids are there as bytes.
fn is_compiled(database: &Path) -> bool {
    let id = u128::from_str_radix(message_id(Change::Raised), 16).unwrap_or_default();
    let is_small = fs::metadata(database).is_ok_and(|file| file.len() <= MAX_DATABASE);
    let bytes = is_small.then(|| fs::read(database).ok()).flatten();
    let id = id.to_be_bytes();
    bytes.is_some_and(|bytes| bytes.windows(id.len()).any(|window| window == id))
}
