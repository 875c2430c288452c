//! What else tells of alerts: a unit, a file of figures, the desktop.

use std::fs;
use std::time::SystemTime;

use super::{Finding, Machine};
use crate::config::Config;
use crate::quantity::Span;

/// Where units are, as systemd looks for them.
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];
const AGENT: &str = "memleakd-notify.service";
/// A file of figures that is older than so many scans is not renewed.
const MISSED_SCANS: f64 = 3.0;

/// The hook, the metrics, the desktop.
pub fn outlets(machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(config) = &machine.config {
        findings.push(hook(machine, &config.hook.unit));
        findings.push(metrics(machine, config));
    }
    findings.push(desktop(machine));
    findings
}

fn hook(machine: &Machine, unit: &str) -> Finding {
    if unit.is_empty() {
        return Finding::note("hook", "no unit is started for alerts");
    }
    let known = machine.asked.unit(unit).map(|unit| unit.load == "loaded");
    let is_file = || {
        UNITS
            .iter()
            .any(|directory| machine.path(directory).join(unit).exists())
    };
    match known.unwrap_or_else(is_file) {
        true => Finding::ok("hook", format!("{unit} is started for each change"))
            .advise("memleakctl test hook"),
        false => Finding::wrong("hook", format!("there is no unit {unit}"))
            .advise("make one, such as /etc/systemd/system/page@.service, or change hook.unit"),
    }
}

fn metrics(machine: &Machine, config: &Config) -> Finding {
    let file = &config.metrics.file;
    if file.as_os_str().is_empty() {
        return Finding::note("metrics", "no file is written for Prometheus");
    }
    let shown = file.display();
    let written = fs::metadata(machine.path(file)).and_then(|file| file.modified());
    let written = match written {
        Ok(written) => written,
        Err(_) if machine.asked.daemon().is_none() => {
            return Finding::note("metrics", format!("{shown} is there while memleakd runs"));
        }
        Err(error) => {
            return Finding::wrong("metrics", format!("{shown}: {error}")).advise(
                "\"journalctl -u memleakd\" says why; without more it may write below /run/memleakd",
            );
        }
    };
    let age = SystemTime::now()
        .duration_since(written)
        .unwrap_or_default();
    let found = format!("{shown}, {} old", Span::from_secs(age.as_secs()));
    match age.as_secs_f64() > MISSED_SCANS * config.scan.interval.secs() + 1.0 {
        false => Finding::ok("metrics", found),
        true => Finding::wrong("metrics", found)
            .advise("\"journalctl -u memleakd\" says why it is not renewed"),
    }
}

fn desktop(machine: &Machine) -> Finding {
    let units = ["/usr/lib/systemd/user", "/etc/systemd/user"];
    let is_in = |path: &str| {
        units
            .iter()
            .any(|units| machine.path(units).join(path).symlink_metadata().is_ok())
    };
    let is_enabled = is_in(&format!("graphical-session.target.wants/{AGENT}"));
    match (is_in(AGENT), is_enabled) {
        (false, _) => Finding::note("desktop", "the agent is not installed")
            .advise("for notifications on this machine's desktop: the package memleakd-desktop"),
        (true, true) => Finding::ok("desktop", "the agent is started in every graphical session"),
        (true, false) => Finding::note(
            "desktop",
            "the agent is started by those who have enabled it",
        )
        .advise(format!(
            "for everybody: \"systemctl --global enable {AGENT}\""
        )),
    }
}
