//! What is well with memleakd on this machine, what is not, and what to do about it.
//!
//! A check reads files below a root directory that tests replace, and what `asked` has asked on the
//! bus beforehand. It starts, changes and sends nothing, and none of them may hang: each is given
//! up after a while. `finding` is what comes of a check; the others are the checks, by subject.

mod asked;
mod bus;
mod configuration;
mod daemon;
mod finding;
mod handed_on;
mod journal;
mod kernel;
mod outlets;
mod service;
mod state;

pub use asked::{Answers, Asked, Unit};
pub use finding::{Finding, Outcome};

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{columns, json};
use crate::collect::Release;
use crate::config::{Config, Search};

/// A check that takes longer is given up: a file system or a bus does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The machine, as far as checks look at it.
#[derive(Debug)]
pub struct Machine {
    /// What paths are relative to: `/` in the field.
    pub root: PathBuf,
    /// The kernel's version.
    pub release: Option<Release>,
    /// What the configuration says, or what is wrong with it.
    pub config: Result<Config, String>,
    /// What was asked on the bus.
    pub asked: Asked,
    /// Whether everything may be read.
    pub is_root: bool,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let root = PathBuf::from("/");
        let search = Search { root: root.clone() };
        let config = within(move || search.load().map_err(|fault| fault.to_string()));
        let config = config.unwrap_or_else(|| Err("reading it takes too long".to_owned()));
        let hook = config.as_ref().map(|config| config.hook.unit.clone());
        let hook = hook.unwrap_or_default();
        let asked = within(move || Asked::on_system_bus(&hook));
        Self {
            root,
            release: Release::running().ok(),
            config,
            asked: asked.unwrap_or_else(Asked::nobody_answers),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    /// Runs all checks.
    pub fn examine(self) -> Vec<Finding> {
        let machine = Arc::new(self);
        let mut findings = Vec::new();
        for (subject, check) in CHECKS {
            let machine = Arc::clone(&machine);
            let found = within(move || check(&machine));
            findings.extend(found.unwrap_or_else(|| {
                let found = format!("no answer within {} s", PATIENCE.as_secs());
                let advice =
                    "a file system that it looks at hangs: see \"findmnt\" and the kernel's log";
                vec![Finding::wrong(subject, found).advise(advice)]
            }));
        }
        findings
    }

    /// Where a path is that begins with `/`.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// A check, and the subject that it is about.
type Check = (&'static str, fn(&Machine) -> Vec<Finding>);

const CHECKS: [Check; 16] = [
    ("kernel", kernel::kernel),
    ("heaps", kernel::heaps),
    ("page faults", kernel::page_faults),
    ("service", service::service),
    ("capabilities", service::capabilities),
    ("memory", service::memory),
    ("processor", service::processor),
    ("scan", daemon::scan),
    ("losses", daemon::losses),
    ("bus", bus::bus),
    ("configuration", configuration::configuration),
    ("state", state::state),
    ("journal", journal::journal),
    ("mail", handed_on::mail),
    ("Alertmanager", handed_on::alertmanager),
    ("outlets", outlets::outlets),
];

/// Examines this machine and prints what is found. Whether nothing is wrong.
pub fn doctor(output: &mut impl Write, is_json: bool) -> Result<bool> {
    let findings = Machine::here().examine();
    if is_json {
        json(output, &findings)?;
    } else {
        // What goes into a file is to be readable there, too.
        let text = finding::render(&findings, columns().clamp(40, 80));
        output.write_all(text.as_bytes()).context("writing")?;
    }
    output.flush().context("writing")?;
    Ok(findings
        .iter()
        .all(|finding| finding.outcome != Outcome::Wrong))
}

/// Does something on a thread of its own, and waits for it for a while. The thread of what hangs ends
/// with the program.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = channel();
    let spawned = thread::Builder::new().spawn(move || {
        // Nobody waits any more for what comes too late.
        sender.send(work()).ok();
    });
    spawned.ok()?;
    done.recv_timeout(PATIENCE).ok()
}
