//! The system bus, and polkit behind it.

use super::{Finding, Machine};
use crate::bus::NAME;

const POLICY: &str = "/usr/share/dbus-1/system.d/org.memleakd.Memleakd1.conf";
const ACTIVATION: &str = "/usr/share/dbus-1/system-services/org.memleakd.Memleakd1.service";
const ACTIONS: &str = "/usr/share/polkit-1/actions/org.memleakd.Memleakd1.policy";

/// Whether memleakd can be asked, and by whom.
pub fn bus(machine: &Machine) -> Vec<Finding> {
    let is_switched_off = machine
        .config
        .as_ref()
        .is_ok_and(|config| !config.dbus.enabled);
    let answers = match &machine.asked.answers {
        Ok(answers) => answers,
        Err(error) => {
            let found = format!("there is no system bus to ask: {error}");
            return vec![match is_switched_off {
                true => Finding::note("bus", found),
                false => Finding::wrong("bus", found).advise(
                    "start dbus; alerts get to the journal without it, but memleakctl does not work",
                ),
            }];
        }
    };
    let mut findings = Vec::new();
    findings.push(match answers.owner {
        Some(pid) => Finding::ok("bus", format!("{NAME} is process {pid}")),
        None if is_switched_off => Finding::note("bus", "switched off by dbus.enabled = false")
            .advise("\"systemctl reload memleakd\" works, all else of memleakctl does not"),
        None if machine.asked.daemon().is_none() => {
            Finding::note("bus", "it is there; memleakd is not, as it does not run")
        }
        None => {
            let advice = match machine.path(POLICY).exists() {
                true => "\"journalctl -u memleakd\" says why it has not taken it",
                false => "install the package again: without its policy nobody may have the name",
            };
            Finding::wrong("bus", format!("nobody has the name {NAME}")).advise(advice)
        }
    });
    if !machine.path(POLICY).exists() {
        let found = format!("there is no {POLICY}: nobody may ask memleakd");
        findings.push(Finding::wrong("bus", found).advise("install the package again"));
    }
    if !answers.is_activatable {
        let found = match machine.path(ACTIVATION).exists() {
            true => "the bus does not know yet how to start memleakd",
            false => "the bus does not know how to start memleakd",
        };
        findings.push(Finding::note("bus", found).advise(format!(
            "\"systemctl reload dbus\" has it read {ACTIVATION}"
        )));
    }
    let has_actions = machine.path(ACTIONS).exists();
    findings.push(match (answers.has_polkit, has_actions) {
        (true, true) => Finding::ok("polkit", "decides what others than root may do"),
        (false, _) => Finding::note("polkit", "it is not there: only root may manage alerts")
            .advise("install polkit (polkitd), if others are to"),
        (true, false) => Finding::wrong("polkit", format!("there is no {ACTIONS}"))
            .advise("install the package again"),
    });
    findings
}
