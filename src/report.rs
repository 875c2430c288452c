//! Reports: where the memory of one alert comes from, as far as captures of stacks have shown.
//!
//! A [`Report`] is begun when an alert is raised, follows how the alert stands, and grows by each
//! capture of stacks. The daemon keeps it in a file ([`Store`]); `memleakctl report` shows it, also
//! on another machine. All forms of it are pure functions: [`page`], [`text`], [`folded`], [`pprof`],
//! [`flame`].

mod bounds;
mod conclusion;
pub mod flame;
pub mod folded;
pub mod page;
pub mod pprof;
mod read;
mod store;
pub mod text;

pub use read::{parse, read};
pub use store::{Store, is_id};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Cause};
use crate::bus::Explained;
use crate::config::Rule;
use crate::curve::Curve;
use crate::quantity::count;
use crate::sample::Source;
use crate::site::Site;

/// Captures that are kept: the first one, and the latest two.
const MAX_CAPTURES: usize = 3;

/// What captures of one alert have shown.
///
/// Field names are public, see [`Alert`]; those that both have mean the same. Names have been made
/// harmless (see [`crate::sample::printable`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The alert's id.
    pub id: String,
    /// The host's name.
    pub host: String,
    /// The rule that fired.
    pub rule: String,
    /// What was measured.
    pub source: Source,
    /// The process.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// Its name.
    pub comm: String,
    /// Its executable.
    pub exe: Option<String>,
    /// Its system unit.
    pub unit: Option<String>,
    /// Its unit in the user's own service manager.
    pub user_unit: Option<String>,
    /// Its effective user.
    pub uid: u32,
    /// Its container.
    pub container: Option<String>,
    /// What kind of growth it is.
    pub cause: Cause,
    /// When the process started, by the clock of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When this was put together for somebody who asked: what `curve` and `explained` are as of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Which memleakd it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The alert as it last stood, with its figures, gates and message; its sites are those of the
    /// report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Box<Alert>>,
    /// The thresholds of the rule that fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Rule>,
    /// How the process came to its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Curve>,
    /// What the gates find of the process, where it was asked for by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained: Option<Box<Explained>>,
    /// The captures, oldest first: the first there was, and the latest two.
    pub captures: Vec<StackCapture>,
    /// Captures between the first and the latest two, which are not kept.
    #[serde(default)]
    pub captures_dropped: u64,
    /// What is concluded of all captures, at most 50: first what grows again, then what is new in
    /// the latest capture, last what only an earlier one has seen.
    pub sites: Vec<Site>,
    /// What is not in it, a phrase each. What a capture could not see is said there.
    pub loss: Vec<String>,
}

/// What one capture of stacks has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StackCapture {
    /// When it ended.
    pub time: Timestamp,
    /// Seconds in which allocations were seen.
    #[serde(default)]
    pub secs: f64,
    /// How long it took, in seconds, with the time between windows.
    #[serde(default)]
    pub span_secs: f64,
    /// What was seen, and how.
    pub method: String,
    /// The first is where most stays.
    pub sites: Vec<Site>,
    /// What could not be seen, a phrase each.
    pub loss: Vec<String>,
}

impl Report {
    /// Of an alert, as long as nothing has been captured.
    ///
    /// The alert itself is not in it yet, see [`tell`](Self::tell).
    pub fn of(alert: &Alert) -> Self {
        Self {
            id: alert.id.clone(),
            host: alert.host.clone(),
            rule: alert.rule.clone(),
            source: alert.source,
            pid: alert.pid,
            start_time: alert.start_time,
            comm: alert.comm.clone(),
            exe: alert.exe.clone(),
            unit: alert.unit.clone(),
            user_unit: alert.user_unit.clone(),
            uid: alert.uid,
            container: alert.container.clone(),
            cause: alert.cause,
            started: None,
            time: None,
            version: None,
            alert: None,
            thresholds: None,
            curve: None,
            explained: None,
            captures: Vec::new(),
            captures_dropped: 0,
            sites: Vec::new(),
            loss: Vec::new(),
        }
    }

    /// Of a process that somebody asks about, which no alert is about.
    pub fn of_process(explained: Explained, host: String, start_time: u64) -> Self {
        let source = explained.sources.first();
        Self {
            id: String::new(),
            host,
            rule: source
                .and_then(|source| source.rule.clone())
                .unwrap_or_default(),
            source: source.map_or(Source::Pages, |source| source.source),
            pid: explained.pid,
            start_time,
            comm: explained.comm.clone(),
            exe: explained.exe.clone(),
            unit: explained.unit.clone(),
            user_unit: explained.user_unit.clone(),
            uid: explained.uid,
            container: explained.container.clone(),
            cause: source.map_or(Cause::Unknown, |source| source.cause),
            started: None,
            time: None,
            version: None,
            alert: None,
            thresholds: source.and_then(|source| source.thresholds.clone()),
            curve: None,
            explained: Some(Box::new(explained)),
            captures: Vec::new(),
            captures_dropped: 0,
            sites: Vec::new(),
            loss: Vec::new(),
        }
    }

    /// Takes in how the alert stands now, and the rule that fired as long as it is known.
    ///
    /// What does not fit into a file any more is left out, and said.
    pub fn tell(&mut self, alert: &Alert, thresholds: Option<&Rule>) {
        self.alert = Some(Box::new(Alert {
            sites: Vec::new(),
            ..alert.clone()
        }));
        self.cause = alert.cause;
        if let Some(thresholds) = thresholds {
            self.thresholds = Some(thresholds.clone());
        }
        bounds::fit(self);
    }

    /// Whether a capture of what this alert is about now belongs here: addresses and blocks of
    /// another process have nothing to do with those that were captured.
    pub fn is_of(&self, alert: &Alert) -> bool {
        self.id == alert.id && self.pid == alert.pid && self.start_time == alert.start_time
    }

    /// The sites that a picture of what leaks is made of: all that may still grow, and if there
    /// are none, all.
    pub fn standing(&self) -> impl Iterator<Item = &Site> {
        let has_ended = |site: &Site| site.grows_again == Some(false);
        let all_have = self.sites.iter().all(has_ended);
        let sites = self.sites.iter();
        sites.filter(move |site| all_have || !has_ended(site))
    }

    /// Takes in a capture, and concludes anew what all of them say. A capture that has failed is
    /// none: that nothing is found says that what was found before has ended.
    ///
    /// At most 50 sites are kept of each, and as many as fit into a file; what is cut is in `loss`.
    pub fn add(&mut self, mut capture: StackCapture) {
        bounds::cut(&mut capture);
        self.captures.push(capture);
        if self.captures.len() > MAX_CAPTURES {
            self.captures.remove(1);
            self.captures_dropped += 1;
        }
        self.loss.clear();
        if self.captures_dropped > 0 {
            let dropped = usize::try_from(self.captures_dropped).unwrap_or(usize::MAX);
            let dropped = count(dropped, "capture", "captures");
            self.loss
                .push(format!("{dropped} after the first and before the last two"));
        }
        self.sites = conclusion::conclude(&self.captures);
        bounds::keep(&mut self.sites, bounds::MAX_SITES, &mut self.loss);
        bounds::fit(self);
    }
}

#[cfg(test)]
pub(crate) mod tests;
