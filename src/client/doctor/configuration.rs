//! The configuration: whether it can be read, and what it is made of.

use super::{Finding, Machine};
use crate::config::Search;
use crate::daemon::OLD_CONFIGURATION;

/// Whether it is valid, and which files it is of.
pub fn configuration(machine: &Machine) -> Vec<Finding> {
    let search = Search {
        root: machine.root.clone(),
    };
    let mut findings = Vec::new();
    let files = match search.files() {
        Ok(files) => files,
        Err(fault) => return vec![wrong(&fault.to_string())],
    };
    match &machine.config {
        Err(fault) => findings.push(wrong(fault)),
        Ok(_) if files.is_empty() => {
            findings.push(Finding::ok(
                "configuration",
                "none, so that all is at its default",
            ));
        }
        Ok(_) => {
            let files: Vec<_> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            findings.push(Finding::ok("configuration", files.join(", ")));
        }
    }
    let is_old = machine
        .asked
        .unit("memleakd.service")
        .is_some_and(|unit| unit.status_text.contains(OLD_CONFIGURATION));
    if is_old && machine.config.is_ok() {
        findings.push(
            Finding::wrong(
                "configuration",
                "the daemon has refused it before, and goes by an older one",
            )
            .advise("\"systemctl reload memleakd\", as it is valid now"),
        );
    }
    findings
}

fn wrong(fault: &str) -> Finding {
    Finding::wrong("configuration", fault)
        .advise("mend it, then \"memleakctl check\" and \"systemctl reload memleakd\"")
}
