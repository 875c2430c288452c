use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::member::{Member, Vital};
use super::{Alert, Cause, Change, Reason, State, message};
use crate::config::{self, Severity};
use crate::detect::Forecast;
use crate::sample::{Moment, ProcessId, Source};
use crate::watch::{End, Leak, Pulse};

/// Open alerts are bounded by this; further ones are counted as dropped.
const MAX_OPEN: usize = 1000;
/// Processes of one alert are bounded by this.
const MAX_MEMBERS: usize = 200;

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

/// One open alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    /// As it was last said, with newer figures.
    alert: Alert,
    members: Vec<Member>,
    /// Whether it has been said; one over the budget waits.
    said: bool,
    /// How it stood when something was last said.
    #[serde(default)]
    said_state: State,
    /// Whether the kernel has killed one of its processes for lack of memory.
    #[serde(default)]
    was_oom_killed: bool,
    n_reminders: u32,
    remind_at: Timestamp,
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

impl Open {
    fn new(id: String, now: &Moment, host: &str, leak: &Leak) -> Self {
        let mut alert = Alert {
            change: Change::Raised,
            state: State::Firing,
            id,
            time: now.time,
            time_secs: None,
            host: host.to_owned(),
            rule: leak.rule.clone(),
            severity: leak.severity,
            reason: None,
            pid: 0,
            start_time: 0,
            comm: String::new(),
            exe: None,
            unit: None,
            user_unit: None,
            uid: 0,
            container: None,
            processes: 1,
            peers: 0,
            peers_growing: 0,
            source: leak.source,
            cause: Cause::Unknown,
            bytes: 0,
            heap_bytes_per_sec: None,
            heap_method: None,
            growth_bytes: 0,
            growth_bytes_per_sec: 0.0,
            growth_bytes_per_sec_low: 0.0,
            since: now.time,
            unseen_since: None,
            limit_bytes: None,
            limit_kind: None,
            exhausts_in_secs: None,
            exhausts_in_secs_low: None,
            exhausts_in_secs_high: None,
            next_reminder: None,
            sites: Vec::new(),
            gates: Vec::new(),
            loss: Vec::new(),
            message: String::new(),
        };
        let member = Member::new(now, leak);
        show(&mut alert, leak, &member);
        Self {
            alert,
            members: vec![member],
            said: false,
            said_state: State::Firing,
            was_oom_killed: false,
            n_reminders: 0,
            remind_at: now.time,
        }
    }

    /// Whether the alert speaks of this process.
    fn shows(&self, process: ProcessId) -> bool {
        self.alert.pid == process.pid && self.alert.start_time == process.start_time_ticks()
    }

    /// Takes newer figures, or another process, in. Returns what is worth saying of it: that the
    /// alert has become more severe, or that its cause is known now.
    fn join(&mut self, now: &Moment, leak: Leak) -> Option<Change> {
        let was_unknown = self.alert.cause == Cause::Unknown;
        let process = leak.sample.process;
        let index = self
            .members
            .iter()
            .position(|member| member.process == process);
        match index {
            Some(index) => self.members[index].refresh(now, &leak),
            None if self.members.len() < MAX_MEMBERS => self.members.push(Member::new(now, &leak)),
            None => {}
        }
        let mut others = self
            .members
            .iter()
            .filter(|member| member.process != process);
        let is_fastest =
            others.all(|other| other.bytes_per_sec_low < leak.growth.bytes_per_sec.low);
        let is_shown =
            self.shows(process) || !self.members.iter().any(|member| self.shows(member.process));
        if let Some(member) = self.members.iter().find(|member| member.process == process)
            && (is_shown || is_fastest)
        {
            show(&mut self.alert, &leak, member);
        }
        self.alert.processes = self.members.len();
        self.alert.state = State::Firing;
        let escalates = leak.severity > self.alert.severity;
        self.alert.severity = self.alert.severity.max(leak.severity);
        match escalates {
            true => Some(Change::Escalated),
            false if was_unknown && self.alert.cause != Cause::Unknown => Some(Change::Updated),
            false => None,
        }
    }

    /// Drops the processes that no longer leak. If none is left: why.
    fn follow<'a>(
        &mut self,
        now: &Moment,
        settings: &config::Alert,
        pulse: impl Fn(&Alert, ProcessId) -> Result<Pulse<'a>, End>,
    ) -> Option<Reason> {
        let mut reason = Reason::Exited;
        let (pid, start_time) = (self.alert.pid, self.alert.start_time);
        self.members.retain_mut(|member| {
            let process = member.process;
            let pulse = pulse(&self.alert, process);
            let vital = member.follow(now, settings.keep_firing, &self.alert.rule, pulse);
            if (process.pid, process.start_time_ticks()) == (pid, start_time)
                && let Some(sizes) = pulse.ok().and_then(|pulse| pulse.sizes)
            {
                self.alert.bytes = sizes.bytes;
                self.alert.growth_bytes = sizes.bytes.saturating_sub(member.base_bytes);
            }
            match vital {
                Vital::Leaking => true,
                Vital::Over(why) => {
                    self.was_oom_killed |= why == Reason::OomKilled;
                    reason = why;
                    false
                }
            }
        });
        self.alert.processes = self.members.len().max(1);
        self.grow_stale(now, settings);
        // Whoever is killed often takes the rest of its unit along.
        if reason == Reason::Exited && self.was_oom_killed {
            reason = Reason::OomKilled;
        }
        self.members.is_empty().then_some(reason)
    }

    /// An alert is stale while nothing has been seen of any of its processes for long.
    fn grow_stale(&mut self, now: &Moment, settings: &config::Alert) {
        let unseen_secs = self.members.iter().map(|member| member.unseen_secs);
        let Some(unseen_secs) = unseen_secs.reduce(f64::min) else {
            return;
        };
        if unseen_secs == 0.0 {
            self.alert.state = State::Firing;
            if self.said_state == State::Firing {
                self.alert.unseen_since = None;
            }
        } else if unseen_secs >= settings.keep_firing.secs() {
            let before = SignedDuration::from_secs_f64(unseen_secs);
            let since = now.time.saturating_sub(before).unwrap_or(now.time);
            if self.alert.state != State::Stale {
                self.alert.unseen_since = Some(since);
            }
            self.alert.state = State::Stale;
        }
    }

    /// What is to be said of it now, if anything is. What has become stale unsaid waits until it is
    /// seen again.
    fn due(&self, now: &Moment) -> Option<Change> {
        match self.said {
            false => (self.alert.state == State::Firing).then_some(Change::Raised),
            true if self.alert.state != self.said_state => Some(Change::Updated),
            true => (now.time >= self.remind_at).then_some(Change::Reminded),
        }
    }

    /// Sets when to remind: after `repeat`, then after twice as long each time.
    fn schedule(&mut self, change: Change, now: &Moment, settings: &config::Alert) {
        match change {
            Change::Reminded => self.n_reminders += 1,
            _ => self.n_reminders = 0,
        }
        self.said = true;
        self.remind_at = self.next_reminder(now, settings);
    }

    /// When a reminder is due if something was said now. A clock that is set back later must not
    /// put it off, which is why it is looked at in each round.
    fn next_reminder(&self, now: &Moment, settings: &config::Alert) -> Timestamp {
        let secs = settings.repeat.secs() * f64::from(1u32 << self.n_reminders.min(10));
        let after = SignedDuration::from_secs_f64(secs);
        now.time.saturating_add(after).unwrap_or(Timestamp::MAX)
    }

    fn say(&mut self, change: Change, now: &Moment, reason: Option<Reason>) -> Alert {
        self.alert.change = change;
        if change == Change::Cleared {
            self.alert.state = State::Cleared;
        }
        self.alert.time = now.time;
        self.alert.reason = reason;
        self.alert.next_reminder = (change != Change::Cleared).then_some(self.remind_at);
        self.alert.message = message::sentence(&self.alert);
        let said = self.alert.clone();
        self.said_state = said.state;
        if said.state == State::Firing {
            self.alert.unseen_since = None;
        }
        said
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

/// Makes an alert speak of a leaking process.
fn show(alert: &mut Alert, leak: &Leak, member: &Member) {
    let facts = &leak.facts;
    let (pid, start_time) = (
        leak.sample.process.pid,
        leak.sample.process.start_time_ticks(),
    );
    if (alert.pid, alert.start_time) != (pid, start_time) {
        // What was known was of another process.
        alert.cause = Cause::Unknown;
        alert.heap_bytes_per_sec = None;
        alert.heap_method = None;
    }
    alert.pid = pid;
    alert.start_time = start_time;
    alert.comm = leak.sample.comm.to_string();
    alert.exe.clone_from(&facts.exe);
    alert.unit.clone_from(&facts.unit);
    alert.user_unit.clone_from(&facts.user_unit);
    alert.container.clone_from(&facts.container);
    alert.uid = leak.sample.uid;
    if leak.cause != Cause::Unknown {
        alert.cause = leak.cause;
    }
    if let Some(heap) = &leak.heap {
        alert.heap_bytes_per_sec = Some(heap.growth_bytes_per_sec.round());
        alert.heap_method = Some(heap.method.clone());
    }
    (alert.peers, alert.peers_growing) = (leak.peers.n, leak.peers.n_growing);
    alert.bytes = leak.sample.bytes;
    alert.growth_bytes = leak.sample.bytes.saturating_sub(member.base_bytes);
    alert.growth_bytes_per_sec = leak.growth.bytes_per_sec.median.round();
    alert.growth_bytes_per_sec_low = leak.growth.bytes_per_sec.low.round();
    alert.since = member.since;
    alert.limit_bytes = leak.headroom.as_ref().map(|headroom| headroom.limit_bytes);
    alert.limit_kind = leak.headroom.as_ref().map(|headroom| headroom.kind);
    let secs = |of: fn(Forecast) -> Option<f64>| leak.forecast.and_then(of).map(|secs| secs as u64);
    alert.exhausts_in_secs = secs(|forecast| forecast.likely_secs);
    alert.exhausts_in_secs_low = secs(|forecast| forecast.soonest_secs);
    alert.exhausts_in_secs_high = secs(|forecast| forecast.latest_secs);
    alert.gates.clone_from(&leak.checks);
    alert.loss.clone_from(&leak.loss);
}

#[cfg(test)]
mod tests;
