//! One open alert: the processes that leak under it, and how it is told.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::member::{Member, Vital};
use crate::alert::{Alert, Announcement, Cause, Change, Reach, Reason, State, message};
use crate::collect::HostMemory;
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
    /// What has happened to it since something was last said.
    #[serde(default)]
    news: Option<Change>,
    /// How it stood when something was last said.
    #[serde(default)]
    said_state: State,
    /// Whether people were spared it when something was last said.
    #[serde(default)]
    was_muted: bool,
    /// Until when it was silenced when something was last said.
    #[serde(default)]
    said_silenced_until: Option<Timestamp>,
    /// Whether people have been told of it.
    #[serde(default = "yes", rename = "said")]
    pub is_told: bool,
    /// Whether the kernel has killed one of its processes for lack of memory.
    #[serde(default)]
    was_oom_killed: bool,
    n_reminders: u32,
    remind_at: Timestamp,
}

impl Open {
    pub fn new(id: String, now: &Moment, host: &str, leak: &Leak) -> Self {
        let mut alert = Alert {
            rule: leak.rule.clone(),
            severity: leak.severity,
            source: leak.source,
            ..Alert::unknown(id, now.time, host)
        };
        let member = Member::new(now, leak);
        show(&mut alert, leak, &member);
        Self {
            alert,
            members: vec![member],
            news: Some(Change::Raised),
            said_state: State::Firing,
            was_muted: false,
            said_silenced_until: None,
            is_told: false,
            was_oom_killed: false,
            n_reminders: 0,
            remind_at: now.time,
        }
    }

    /// Whether the alert speaks of this process.
    fn shows(&self, process: ProcessId) -> bool {
        self.alert.pid == process.pid && self.alert.start_time == process.start_time_ticks()
    }

    /// Takes newer figures, or another process, in. That the alert has become more severe, or that
    /// its cause is known now, is news.
    pub fn join(&mut self, now: &Moment, leak: Leak) {
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
        let news = match escalates {
            true => Some(Change::Escalated),
            false => (was_unknown && self.alert.cause != Cause::Unknown).then_some(Change::Updated),
        };
        // What outranks the other says it as well.
        self.news = match (self.news, news) {
            (Some(Change::Updated), Some(news)) => Some(news),
            (before, news) => before.or(news),
        };
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

    /// What there is to say of it now.
    pub fn speak(
        &mut self,
        now: &Moment,
        settings: &config::Alert,
        memory: Option<HostMemory>,
    ) -> Vec<Announcement> {
        if let Some(memory) = memory {
            self.alert.host_available_bytes = Some(memory.available_bytes);
            self.alert.host_total_bytes = Some(memory.total_bytes);
            self.alert.host_pressure_percent = memory.pressure_percent;
        }
        self.remind_at = self.remind_at.min(self.next_reminder(now, settings));
        let is_muted = self.is_muted();
        let mut said = Vec::new();
        if let Some(change) = self.due(now) {
            if change != Change::Updated {
                self.schedule(change, now, settings);
            }
            let reach = self.reach();
            said.push(self.say(change, now, None, reach));
        } else if self.is_muted_otherwise() {
            said.push(self.record(now));
        }
        // People who were spared it are told when that is over.
        if !is_muted && self.alert.state == State::Firing {
            let change = match (self.is_told, self.was_muted) {
                (false, _) => Some(Change::Raised),
                (true, true) => Some(Change::Reminded),
                (true, false) => None,
            };
            let is_told_now = said.iter().any(|said| said.reach == Reach::All);
            if let Some(change) = change.filter(|_| !is_told_now) {
                self.schedule(Change::Raised, now, settings);
                said.push(self.say(change, now, None, Reach::People));
            }
        }
        self.is_told |= said.iter().any(|said| said.reach != Reach::Records);
        self.was_muted = is_muted;
        said
    }

    /// Its end. Who was told of it is told of that.
    pub fn end(&mut self, now: &Moment, reason: Reason) -> Option<Announcement> {
        if self.news == Some(Change::Raised) {
            return None;
        }
        let reach = match self.is_told {
            true => Reach::All,
            false => Reach::Records,
        };
        Some(self.say(Change::Cleared, now, Some(reason), reach))
    }

    /// Says that more is known.
    pub fn update(&mut self, now: &Moment) -> Announcement {
        let reach = self.reach();
        self.say(Change::Updated, now, None, reach)
    }

    /// Says what is for the record only.
    pub fn record(&mut self, now: &Moment) -> Announcement {
        self.say(Change::Updated, now, None, Reach::Records)
    }

    /// Who may have what is said of it now. What comes after something that people were spared
    /// would be a riddle to them.
    fn reach(&self) -> Reach {
        let begins = self.news == Some(Change::Raised);
        match self.is_muted() || !(self.is_told || begins) {
            true => Reach::Records,
            false => Reach::All,
        }
    }

    fn is_muted(&self) -> bool {
        self.alert.silenced_until.is_some() || self.alert.inhibited_by.is_some()
    }

    /// Whether that is news for the record.
    fn is_muted_otherwise(&self) -> bool {
        self.was_muted != self.is_muted() || self.said_silenced_until != self.alert.silenced_until
    }

    fn due(&self, now: &Moment) -> Option<Change> {
        if self.news.is_some() {
            return self.news;
        }
        if self.alert.state != self.said_state {
            return Some(Change::Updated);
        }
        let is_due =
            now.time >= self.remind_at && self.alert.acknowledged.is_none() && !self.is_muted();
        is_due.then_some(Change::Reminded)
    }

    /// Sets when to remind: after `repeat`, then after twice as long each time.
    fn schedule(&mut self, change: Change, now: &Moment, settings: &config::Alert) {
        match change {
            Change::Reminded => self.n_reminders += 1,
            _ => self.n_reminders = 0,
        }
        self.remind_at = self.next_reminder(now, settings);
    }

    /// When a reminder is due if something was said now. A clock that is set back later must not
    /// put it off, which is why it is looked at in each round.
    fn next_reminder(&self, now: &Moment, settings: &config::Alert) -> Timestamp {
        let secs = settings.repeat.secs() * f64::from(1u32 << self.n_reminders.min(10));
        let after = SignedDuration::from_secs_f64(secs);
        now.time.saturating_add(after).unwrap_or(Timestamp::MAX)
    }

    fn say(
        &mut self,
        change: Change,
        now: &Moment,
        reason: Option<Reason>,
        reach: Reach,
    ) -> Announcement {
        self.alert.change = change;
        if change == Change::Cleared {
            self.alert.state = State::Cleared;
        }
        self.alert.time = now.time;
        self.alert.reason = reason;
        let is_reminded = change != Change::Cleared && self.alert.acknowledged.is_none();
        self.alert.next_reminder = Some(self.remind_at).filter(|_| is_reminded);
        self.alert.message = message::sentence(&self.alert);
        let said = self.alert.clone();
        self.news = None;
        self.said_state = said.state;
        self.said_silenced_until = said.silenced_until;
        if said.state == State::Firing {
            self.alert.unseen_since = None;
        }
        Announcement { alert: said, reach }
    }
}

fn yes() -> bool {
    true
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
    alert.user.clone_from(&facts.user);
    alert.cgroup.clone_from(&facts.cgroup);
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
    alert.curve.clone_from(&leak.curve);
    alert.gates.clone_from(&leak.checks);
    alert.loss.clone_from(&leak.loss);
}
