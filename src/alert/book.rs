mod open;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Alert, Announcement, Silence, Silences, State, Surroundings};
use crate::config::{self, Severity};
use crate::sample::{Moment, ProcessId, Source};
use crate::site::Site;
use crate::watch::{End, Leak, Pulse};
use open::Open;

/// Open alerts are bounded by this; further ones are counted as dropped.
const MAX_OPEN: usize = 1000;

/// The open alerts: decides what is said about leaks, when, and to whom.
///
/// An alert's identity is its rule and its unit, or executable where there is none: a second
/// worker joins the open alert, and a unit that leaks again after a restart has the same id again.
/// The book is what survives a restart of the daemon.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Book {
    open: BTreeMap<String, Open>,
    #[serde(default)]
    silences: Silences,
    /// Findings for which there was no room.
    n_dropped: u64,
}

impl Book {
    /// Takes in what one round has found and returns what is to be said.
    ///
    /// `pulse` tells how a process of an alert is doing, or how it has ended.
    pub fn round<'a>(
        &mut self,
        now: &Moment,
        settings: &config::Alert,
        surroundings: Surroundings<'_>,
        leaks: Vec<Leak>,
        pulse: impl Fn(&Alert, ProcessId) -> Result<Pulse<'a>, End>,
    ) -> Vec<Announcement> {
        let mut said = Vec::new();
        for leak in leaks {
            self.take(now, surroundings.host, leak);
        }
        self.open
            .retain(|_, open| match open.follow(now, settings, &pulse) {
                None => true,
                Some(reason) => {
                    said.extend(open.end(now, reason));
                    false
                }
            });
        self.mute(now.time);
        // The critical ones first, as sinks take things in their order.
        for severity in [Severity::Critical, Severity::Warning] {
            let open = self.open.values_mut();
            for open in open.filter(|open| open.alert.severity == severity) {
                said.extend(open.speak(now, settings, surroundings.memory));
            }
        }
        said
    }

    /// The open alerts as they stand, the most severe first, then the oldest.
    pub fn standing(&self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self.open.values().map(|open| open.alert.clone()).collect();
        alerts.sort_by_key(|alert| (Reverse(alert.severity), alert.time));
        alerts
    }

    /// The open alert to see to first: one that fires before one that is stale, a severe one before
    /// another, and then the one with the least time left.
    pub fn worst(&self) -> Option<&Alert> {
        let alerts = self.open.values().map(|open| &open.alert);
        alerts.min_by_key(|alert| {
            let left_secs = alert.exhausts_in_secs.unwrap_or(u64::MAX);
            let is_stale = alert.state != State::Firing;
            (is_stale, Reverse(alert.severity), left_secs)
        })
    }

    /// The alerts that fire, each with the process that it speaks of.
    pub fn firing(&self) -> impl Iterator<Item = (&Alert, ProcessId)> {
        let open = self.open.values();
        let firing = open.filter(|open| open.alert.state == State::Firing);
        firing.filter_map(|open| Some((&open.alert, open.shown()?)))
    }

    /// The open alerts that people have been told of, and whose end they will be told.
    pub fn told(&self) -> impl Iterator<Item = &Alert> {
        let told = self.open.values().filter(|open| open.is_told);
        told.map(|open| &open.alert)
    }

    /// Takes in where the memory of an alert's process was allocated, or why that is not known.
    /// Returns what is to be said, if anything is. By now the alert may speak of another process,
    /// which this is not told of.
    pub fn locate(
        &mut self,
        now: &Moment,
        id: &str,
        process: ProcessId,
        sites: Result<Vec<Site>, String>,
    ) -> Option<Announcement> {
        let open = self.open.get_mut(id)?;
        open.locate(process, sites).then(|| open.update(now))
    }

    /// Somebody has taken note of an alert, which ends its reminders until it is cleared. Returns
    /// what is to be said, if that is news. Errors are sentences.
    pub fn acknowledge(
        &mut self,
        now: &Moment,
        id: &str,
        by: &str,
    ) -> Result<Option<Announcement>, String> {
        let open = self.open.get_mut(id).ok_or_else(no_such_alert)?;
        if open.alert.acknowledged.is_some() {
            return Ok(None);
        }
        open.alert.acknowledged = Some(now.time);
        open.alert.acknowledged_by = Some(by.to_owned());
        Ok(Some(open.record(now)))
    }

    /// What nobody is to be told of. Which alerts that are is seen in the next round.
    pub fn silences(&mut self) -> &mut Silences {
        &mut self.silences
    }

    /// The silences that stand, the one that ends first in front.
    pub fn standing_silences(&self) -> Vec<Silence> {
        self.silences.standing()
    }

    /// Each process of each open alert.
    pub fn members(&self) -> impl Iterator<Item = (&Alert, ProcessId)> {
        self.open.values().flat_map(|open| {
            let members = open.members.iter();
            members.map(|member| (&open.alert, member.process))
        })
    }

    /// The processes of open alerts, the most severe alert's first.
    pub fn processes(&self) -> Vec<ProcessId> {
        let mut open: Vec<_> = self.open.values().collect();
        open.sort_by_key(|open| Reverse(open.alert.severity));
        let members = open.iter().flat_map(|open| &open.members);
        members.map(|member| member.process).collect()
    }

    /// The open alerts that a process is part of, by their ids.
    pub fn alerts_of(&self, process: ProcessId) -> Vec<String> {
        let of_process = |open: &&Open| open.members.iter().any(|member| member.process == process);
        let open = self.open.values().filter(of_process);
        open.map(|open| open.alert.id.clone()).collect()
    }

    /// Whether an alert of a source is open.
    pub fn has(&self, source: Source) -> bool {
        self.open.values().any(|open| open.alert.source == source)
    }

    /// Whether an alert is open.
    pub fn is_open(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    /// An open alert, by its id. Errors are sentences.
    pub fn alert(&self, id: &str) -> Result<&Alert, String> {
        let open = self.open.get(id).ok_or_else(no_such_alert)?;
        Ok(&open.alert)
    }

    /// How many alerts are open.
    pub fn n_open(&self) -> usize {
        self.open.len()
    }

    /// How many of them are like that.
    pub fn count(&self, is: impl Fn(&Alert) -> bool) -> usize {
        self.open.values().filter(|open| is(&open.alert)).count()
    }

    /// How often a leak was found for which there was no room.
    pub fn n_dropped(&self) -> u64 {
        self.n_dropped
    }

    /// After a start of the daemon: processes of another boot have ended, and for those of this
    /// one the time in which nobody looked is not held against them.
    pub fn resume(&mut self, now: &Moment, same_boot: bool) {
        for open in self.open.values_mut() {
            if !same_boot {
                open.members.clear();
            }
            for member in &mut open.members {
                member.looked_secs = now.monotonic_secs;
            }
        }
    }

    fn take(&mut self, now: &Moment, host: &str, leak: Leak) {
        let id = identity(&leak);
        if let Some(open) = self.open.get_mut(&id) {
            open.join(now, leak);
        } else if self.open.len() < MAX_OPEN {
            self.open
                .insert(id.clone(), Open::new(id, now, host, &leak));
        } else {
            self.n_dropped += 1;
        }
    }

    /// Who is silenced, and who goes without saying beside a critical alert of the same unit.
    pub fn mute(&mut self, now: Timestamp) {
        self.silences.expire(now);
        let critical = self.open.values().filter(|open| {
            open.alert.severity == Severity::Critical && open.alert.state == State::Firing
        });
        let critical: BTreeMap<(Option<String>, Option<String>), String> = critical
            .filter_map(|open| Some((unit_of(&open.alert)?, open.alert.id.clone())))
            .collect();
        for open in self.open.values_mut() {
            let alert = &mut open.alert;
            let inhibiting = unit_of(alert).and_then(|unit| critical.get(&unit));
            let is_warning = alert.severity == Severity::Warning;
            alert.inhibited_by = inhibiting.filter(|_| is_warning).cloned();
            alert.silenced_until = self.silences.until(now, alert);
        }
    }
}

/// Which unit an alert is of: a user's is told from one of the same name of another user's by the
/// system's unit that it lies in.
fn unit_of(alert: &Alert) -> Option<(Option<String>, Option<String>)> {
    let unit = (alert.unit.clone(), alert.user_unit.clone());
    (unit != (None, None)).then_some(unit)
}

fn no_such_alert() -> String {
    "there is no open alert with that id".to_owned()
}

/// Twelve hexadecimal digits that are the same whenever the same thing leaks under the same rule.
///
/// FNV-1a, 64 bits: short, and stable over versions of memleakd and of its dependencies.
fn identity(leak: &Leak) -> String {
    let text = [leak.rule.clone(), leak.facts.subject(&leak.sample)].join("\0");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:012x}", hash >> 16)
}

#[cfg(test)]
mod tests;
