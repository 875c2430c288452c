mod open;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::{Alert, Change, State};
use crate::config::{self, Severity};
use crate::sample::{Moment, ProcessId, Source};
use crate::site::Site;
use crate::watch::{End, Leak, Pulse};
use open::Open;

/// Open alerts are bounded by this; further ones are counted as dropped.
const MAX_OPEN: usize = 1000;

/// The open alerts: decides what is said about leaks, and when.
///
/// An alert's identity is its rule and its unit, or executable where there is none: a second
/// worker joins the open alert, and a unit that leaks again after a restart has the same id again.
/// The book is what survives a restart of the daemon.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Book {
    open: BTreeMap<String, Open>,
    budget: Budget,
    /// Alerts that ended while they were held back, and findings for which there was no room.
    n_dropped: u64,
}

impl Book {
    /// Takes in what one round has found and returns the changes to be said.
    ///
    /// `pulse` tells how a process of an alert is doing, or how it has ended.
    pub fn round<'a>(
        &mut self,
        now: &Moment,
        settings: &config::Alert,
        host: &str,
        leaks: Vec<Leak>,
        pulse: impl Fn(&Alert, ProcessId) -> Result<Pulse<'a>, End>,
    ) -> Vec<Alert> {
        let mut changes = Vec::new();
        for leak in leaks {
            self.take(now, settings, host, leak, &mut changes);
        }
        self.open
            .retain(|_, open| match open.follow(now, settings, &pulse) {
                None => true,
                Some(reason) if open.said => {
                    changes.push(open.say(Change::Cleared, now, Some(reason)));
                    false
                }
                Some(_) => {
                    self.n_dropped += 1;
                    false
                }
            });
        // What is held back is said in the order of what matters.
        for severity in [Severity::Critical, Severity::Warning] {
            let open = self.open.values_mut();
            for open in open.filter(|open| open.alert.severity == severity) {
                open.remind_at = open.remind_at.min(open.next_reminder(now, settings));
                let Some(change) = open.due(now) else {
                    continue;
                };
                if self.budget.take(now.time, settings.max_per_hour) {
                    if change != Change::Updated {
                        open.schedule(change, now, settings);
                    }
                    changes.push(open.say(change, now, None));
                }
            }
        }
        changes
    }

    /// The open alerts as they stand, the most severe first, then the oldest.
    pub fn standing(&self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self.open.values().map(|open| open.alert.clone()).collect();
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), alert.time));
        alerts
    }

    /// The alerts that have been said and still fire, each with the process that it speaks of.
    pub fn firing(&self) -> impl Iterator<Item = (&Alert, ProcessId)> {
        let open = self.open.values();
        let firing = open.filter(|open| open.said && open.alert.state == State::Firing);
        firing.filter_map(|open| Some((&open.alert, open.shown()?)))
    }

    /// Takes in where the memory of an alert's process was allocated, or why that is not known.
    /// Returns the change, if there is one to be said. By now the alert may speak of another
    /// process, which this is not told of.
    pub fn locate(
        &mut self,
        now: &Moment,
        id: &str,
        process: ProcessId,
        sites: Result<Vec<Site>, String>,
    ) -> Option<Alert> {
        let open = self.open.get_mut(id)?;
        (open.said && open.locate(process, sites)).then(|| open.say(Change::Updated, now, None))
    }

    /// The processes of open alerts, the most severe alert's first.
    pub fn processes(&self) -> Vec<ProcessId> {
        let mut open: Vec<_> = self.open.values().collect();
        open.sort_by_key(|open| std::cmp::Reverse(open.alert.severity));
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

    /// How many alerts are open.
    pub fn n_open(&self) -> usize {
        self.open.len()
    }

    /// How many of them are critical.
    pub fn n_critical(&self) -> usize {
        let critical = |open: &&Open| open.alert.severity == Severity::Critical;
        self.open.values().filter(critical).count()
    }

    /// Of how many of them nothing has been seen for long.
    pub fn n_stale(&self) -> usize {
        let stale = |open: &&Open| open.alert.state == State::Stale;
        self.open.values().filter(stale).count()
    }

    /// How many open alerts wait for the hour's budget.
    pub fn n_held(&self) -> usize {
        self.open.values().filter(|open| !open.said).count()
    }

    /// How many alerts ended unsaid, and how often a leak was found for which there was no room.
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

    fn take(
        &mut self,
        now: &Moment,
        settings: &config::Alert,
        host: &str,
        leak: Leak,
        changes: &mut Vec<Alert>,
    ) {
        let id = identity(&leak);
        if let Some(open) = self.open.get_mut(&id) {
            match open.join(now, leak).filter(|_| open.said) {
                Some(Change::Escalated) => {
                    open.schedule(Change::Escalated, now, settings);
                    changes.push(open.say(Change::Escalated, now, None));
                }
                Some(change) => changes.push(open.say(change, now, None)),
                None => {}
            }
        } else if self.open.len() < MAX_OPEN {
            self.open
                .insert(id.clone(), Open::new(id, now, host, &leak));
        } else {
            self.n_dropped += 1;
        }
    }
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
