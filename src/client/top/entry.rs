//! What a line of the list is about: one process, whichever of the three views it is in.

use crate::alert::{Alert, Cause};
use crate::bus::{Measured, Process};
use crate::config::Severity;
use crate::sample::Point;

/// One process as it is listed. What its view does not know of it is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot; 0 where that is not told.
    pub start_time: u64,
    /// Its name.
    pub comm: String,
    /// Its effective user, by name where there is one.
    pub user: String,
    /// Its unit or user unit.
    pub unit: Option<String>,
    /// How bad it is.
    pub mark: Mark,
    /// Its open alerts, by their ids, the worst first.
    pub alerts: Vec<String>,
    /// What it holds in pages, in bytes.
    pub bytes: Option<u64>,
    /// How fast what the view is about grows, in bytes a second; nothing if it is not measured.
    pub growth: Option<f64>,
    /// The lower bound of that.
    pub growth_low: Option<f64>,
    /// What was allocated and not freed since it is measured, in bytes.
    pub net_bytes: Option<i64>,
    /// How fast its net heap grows, in bytes a second.
    pub heap_growth: Option<f64>,
    /// Bytes seen to be allocated.
    pub allocated_bytes: Option<u64>,
    /// Bytes seen to be freed.
    pub freed_bytes: Option<u64>,
    /// Calls of its allocator a second.
    pub calls_per_sec: Option<f64>,
    /// The part of the time in which it was seen, from 0.0 to 1.0.
    pub share_seen: Option<f64>,
    /// Calls whose bytes could not be told.
    pub lost: Option<u64>,
    /// What kind of growth it is.
    pub cause: Cause,
    /// Time until its nearest limit is reached, in seconds.
    pub left_secs: Option<u64>,
    /// How it came to its size, the oldest first.
    pub curve: Vec<Point>,
    /// What could not be seen, or why it is not measured, a phrase each.
    pub loss: Vec<String>,
}

/// How bad a process is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Mark {
    /// It does not grow like a leak.
    #[default]
    None,
    /// It grows like a leak, but may not have done so for long enough.
    Suspect,
    /// It has an open alert.
    Alert {
        /// How bad that is.
        severity: Severity,
        /// Whether nobody is reminded of it: acknowledged or silenced.
        is_answered: bool,
    },
}

impl Mark {
    /// Its sign, at most three characters: no colour is needed to tell one from another.
    pub fn sign(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Suspect => "?",
            Self::Alert {
                severity: Severity::Warning,
                is_answered: false,
            } => "!",
            Self::Alert {
                severity: Severity::Warning,
                is_answered: true,
            } => "!a",
            Self::Alert {
                severity: Severity::Critical,
                is_answered: false,
            } => "!!",
            Self::Alert {
                severity: Severity::Critical,
                is_answered: true,
            } => "!!a",
        }
    }
}

impl Entry {
    /// A process of the list of those that grow, and what the open alerts know of it. `user` gives
    /// a user its name.
    pub fn of_pages(process: Process, alerts: &[Alert], user: impl FnOnce(u32) -> String) -> Self {
        let open = open_alerts(
            alerts,
            process.pid,
            process.start_time,
            Some(&process.alerts),
        );
        let first = open.first();
        let curve = match process.curve.is_empty() {
            true => first.map_or_else(Vec::new, |alert| alert.curve.clone()),
            false => process.curve,
        };
        let cause = match process.cause {
            Cause::Unknown => first.map_or(Cause::Unknown, |alert| alert.cause),
            known => known,
        };
        let of_alert = |secs: fn(&Alert) -> Option<u64>| first.and_then(|alert| secs(alert));
        let mark = mark(&open, process.suspect);
        Self {
            pid: process.pid,
            start_time: process.start_time,
            comm: process.comm,
            user: user(process.uid),
            unit: process.unit,
            mark,
            alerts: open.iter().map(|alert| alert.id.clone()).collect(),
            bytes: Some(process.bytes),
            growth: Some(process.growth_bytes_per_sec),
            growth_low: Some(process.growth_bytes_per_sec_low),
            net_bytes: process.net_heap_bytes,
            heap_growth: process
                .heap_bytes_per_sec
                .or_else(|| first.and_then(|alert| alert.heap_bytes_per_sec)),
            allocated_bytes: None,
            freed_bytes: None,
            calls_per_sec: None,
            share_seen: None,
            lost: None,
            cause,
            left_secs: process
                .exhausts_in_secs
                .or_else(|| of_alert(|alert| alert.exhausts_in_secs)),
            curve,
            loss: Vec::new(),
        }
    }

    /// A process of the list of those that are measured.
    pub fn of_measured(
        measured: Measured,
        alerts: &[Alert],
        user: impl FnOnce(u32) -> String,
    ) -> Self {
        let is_measured = measured.is_measured();
        let span_secs = measured.span_secs.max(1e-3);
        let seen_secs = measured.seen_secs.max(1e-3);
        let open = open_alerts(alerts, measured.pid, 0, None);
        Self {
            pid: measured.pid,
            start_time: 0,
            comm: measured.comm,
            user: user(measured.uid),
            unit: measured.unit,
            mark: mark(&open, false),
            alerts: open.iter().map(|alert| alert.id.clone()).collect(),
            bytes: None,
            growth: is_measured.then_some(measured.growth_bytes_per_sec),
            growth_low: None,
            net_bytes: is_measured.then_some(measured.net_bytes),
            heap_growth: None,
            allocated_bytes: is_measured.then_some(measured.allocated_bytes),
            freed_bytes: is_measured.then_some(measured.freed_bytes),
            calls_per_sec: is_measured.then_some(measured.calls as f64 / seen_secs),
            share_seen: is_measured.then_some((measured.seen_secs / span_secs).min(1.0)),
            lost: is_measured.then_some(measured.lost),
            cause: Cause::Unknown,
            left_secs: None,
            curve: Vec::new(),
            loss: measured.loss,
        }
    }

    /// Whether it is this process, and not another one that got its number.
    pub fn is(&self, key: Key) -> bool {
        self.pid == key.pid
            && (self.start_time == key.start_time || self.start_time == 0 || key.start_time == 0)
    }

    /// What it is found again by.
    pub fn key(&self) -> Key {
        Key {
            pid: self.pid,
            start_time: self.start_time,
        }
    }
}

/// What a process is found again by in the next list, or in that of another view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot; 0 if that is not known.
    pub start_time: u64,
}

/// The open alerts of a process, the worst first: those that it names, or that name it.
fn open_alerts<'a>(
    alerts: &'a [Alert],
    pid: u32,
    start_time: u64,
    named: Option<&[String]>,
) -> Vec<&'a Alert> {
    let is_its = |alert: &&Alert| {
        let is_same = start_time == 0 || alert.start_time == start_time;
        named.is_some_and(|ids| ids.contains(&alert.id)) || (alert.pid == pid && is_same)
    };
    let mut open: Vec<_> = alerts.iter().filter(is_its).collect();
    open.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
    open
}

fn mark(open: &[&Alert], is_suspect: bool) -> Mark {
    match open.first() {
        Some(alert) => Mark::Alert {
            severity: alert.severity,
            is_answered: alert.acknowledged.is_some() || alert.silenced_until.is_some(),
        },
        None if is_suspect => Mark::Suspect,
        None => Mark::None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::alert::message::tests::alert;

    /// A process of the list of those that grow.
    pub fn process(pid: u32, comm: &str, growth: f64, unit: Option<&str>) -> Process {
        Process {
            pid,
            comm: comm.to_owned(),
            uid: 0,
            unit: unit.map(str::to_owned),
            bytes: 100 << 20,
            growth_bytes_per_sec: growth,
            growth_bytes_per_sec_low: growth / 2.0,
            start_time: 1000 + u64::from(pid),
            suspect: false,
            alerts: Vec::new(),
            cause: Cause::Unknown,
            exhausts_in_secs: None,
            net_heap_bytes: None,
            heap_bytes_per_sec: None,
            curve: Vec::new(),
        }
    }

    /// A process as it is listed.
    pub fn entry(pid: u32, comm: &str, growth: f64, unit: Option<&str>) -> Entry {
        Entry::of_pages(process(pid, comm, growth, unit), &[], |uid| uid.to_string())
    }

    #[test]
    fn an_alert_is_its_process_by_name_or_by_number_and_start() {
        let open = Alert {
            curve: vec![Point {
                secs_ago: 1.0,
                bytes: 2,
            }],
            ..alert()
        };
        let of = |pid, start_time, ids: &[&str]| {
            let process = Process {
                start_time,
                alerts: ids.iter().map(|&id| id.to_owned()).collect(),
                suspect: true,
                ..process(pid, "postgres", 1.0, None)
            };
            Entry::of_pages(process, std::slice::from_ref(&open), |_| String::new())
        };
        for (pid, start_time, ids, is_its) in [
            (open.pid, open.start_time, &[][..], true),
            (open.pid, 0, &[], true),
            (open.pid, open.start_time + 1, &[], false),
            (open.pid + 1, open.start_time, &[], false),
            (open.pid + 1, 7, &[open.id.as_str()], true),
            (open.pid + 1, 7, &["0123"], false),
        ] {
            let entry = of(pid, start_time, ids);
            assert_eq!(!entry.alerts.is_empty(), is_its, "{pid} {start_time}");
            assert_eq!(entry.mark == Mark::Suspect, !is_its);
            assert_eq!(entry.curve == open.curve, is_its);
        }
    }

    #[test]
    fn each_mark_has_a_sign_of_its_own() {
        let alert = |severity, is_answered| Mark::Alert {
            severity,
            is_answered,
        };
        let marks = [
            Mark::None,
            Mark::Suspect,
            alert(Severity::Warning, false),
            alert(Severity::Warning, true),
            alert(Severity::Critical, false),
            alert(Severity::Critical, true),
        ];
        assert!(marks.is_sorted());
        let signs: std::collections::BTreeSet<_> = marks.iter().map(|mark| mark.sign()).collect();
        assert_eq!(signs.len(), marks.len());
        assert!(signs.iter().all(|sign| sign.is_ascii() && sign.len() <= 3));
    }

    #[test]
    fn what_is_not_measured_has_no_figures() {
        let failed = Measured {
            pid: 7,
            comm: "static".to_owned(),
            uid: 0,
            unit: None,
            source: crate::sample::Source::Heap,
            net_bytes: 0,
            allocated_bytes: 0,
            freed_bytes: 0,
            calls: 0,
            lost: 0,
            growth_bytes_per_sec: 0.0,
            span_secs: 0.0,
            seen_secs: 0.0,
            method: String::new(),
            cost_secs: 0.0,
            loss: vec!["it has no allocator".to_owned()],
        };
        let entry = Entry::of_measured(failed.clone(), &[], |uid| uid.to_string());
        assert_eq!(
            (entry.growth, entry.net_bytes, entry.lost),
            (None, None, None)
        );
        let measured = Measured {
            method: "glibc".to_owned(),
            calls: 100,
            seen_secs: 2.0,
            span_secs: 8.0,
            ..failed
        };
        let entry = Entry::of_measured(measured, &[], |uid| uid.to_string());
        assert_eq!(
            (entry.calls_per_sec, entry.share_seen),
            (Some(50.0), Some(0.25))
        );
    }
}
