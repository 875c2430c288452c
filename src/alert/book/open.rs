//! One open alert: the processes that leak under it, and how it is told.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::member::{Member, Vital};
use crate::alert::{Alert, Cause, Change, Reason, State, message};
use crate::config;
use crate::detect::Forecast;
use crate::sample::{Moment, ProcessId};
use crate::site::Site;
use crate::watch::{End, Leak, Pulse};

/// Processes of one alert are bounded by this.
const MAX_MEMBERS: usize = 200;

/// One open alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    /// As it was last said, with newer figures.
    pub alert: Alert,
    pub members: Vec<Member>,
    /// Whether it has been said; one over the budget waits.
    pub said: bool,
    /// How it stood when something was last said.
    #[serde(default)]
    said_state: State,
    /// Whether the kernel has killed one of its processes for lack of memory.
    #[serde(default)]
    was_oom_killed: bool,
    n_reminders: u32,
    pub remind_at: Timestamp,
}

impl Open {
    pub fn new(id: String, now: &Moment, host: &str, leak: &Leak) -> Self {
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
            sites_missing: None,
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
    pub fn join(&mut self, now: &Moment, leak: Leak) -> Option<Change> {
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

    /// Takes in where the memory of its process was allocated, or why that is not known. Returns
    /// whether that is news.
    pub fn locate(&mut self, process: ProcessId, sites: Result<Vec<Site>, String>) -> bool {
        if !self.shows(process) {
            return false;
        }
        match sites {
            Ok(sites) if !sites.is_empty() => {
                let is_news = self.alert.sites != sites;
                self.alert.sites = sites;
                self.alert.sites_missing = None;
                return is_news;
            }
            // What was known before is still true.
            Ok(_) => {
                let why = "nothing that was allocated while it was looked has stayed";
                self.alert.sites_missing = Some(why.to_owned());
            }
            Err(why) => self.alert.sites_missing = Some(why),
        }
        false
    }

    /// The process that the alert speaks of, if it is still one of those that leak.
    pub fn shown(&self) -> Option<ProcessId> {
        let mut processes = self.members.iter().map(|member| member.process);
        processes.find(|process| self.shows(*process))
    }

    /// Drops the processes that no longer leak. If none is left: why.
    pub fn follow<'a>(
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
    pub fn due(&self, now: &Moment) -> Option<Change> {
        match self.said {
            false => (self.alert.state == State::Firing).then_some(Change::Raised),
            true if self.alert.state != self.said_state => Some(Change::Updated),
            true => (now.time >= self.remind_at).then_some(Change::Reminded),
        }
    }

    /// Sets when to remind: after `repeat`, then after twice as long each time.
    pub fn schedule(&mut self, change: Change, now: &Moment, settings: &config::Alert) {
        match change {
            Change::Reminded => self.n_reminders += 1,
            _ => self.n_reminders = 0,
        }
        self.said = true;
        self.remind_at = self.next_reminder(now, settings);
    }

    /// When a reminder is due if something was said now. A clock that is set back later must not
    /// put it off, which is why it is looked at in each round.
    pub fn next_reminder(&self, now: &Moment, settings: &config::Alert) -> Timestamp {
        let secs = settings.repeat.secs() * f64::from(1u32 << self.n_reminders.min(10));
        let after = SignedDuration::from_secs_f64(secs);
        now.time.saturating_add(after).unwrap_or(Timestamp::MAX)
    }

    pub fn say(&mut self, change: Change, now: &Moment, reason: Option<Reason>) -> Alert {
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
        alert.sites = Vec::new();
        alert.sites_missing = None;
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
