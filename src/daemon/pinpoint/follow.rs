//! Reports follow how their alerts stand: each change of an alert is written into its report, a few
//! in a round.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::alert::{Alert, Announcement, Reach};
use crate::daemon::Daemon;
use crate::report::Report;
use crate::sample::Moment;

/// Reports that are written in a round, so that a storm of alerts does not hold it up.
const MAX_WRITTEN: usize = 4;
/// Alerts that wait for that: as many as there are reports. What is given up of more would soon be
/// removed as one of the oldest.
const MAX_WAITING: usize = 100;

/// Alerts that have changed since they were written, each as it last stood.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Changed {
    alerts: VecDeque<Alert>,
}

impl Changed {
    /// Notes changes. One of an alert that waits already takes its place.
    pub fn put(&mut self, changes: &[Announcement]) {
        // What people only are told has been told to records before.
        let changes = changes.iter().filter(|said| said.reach != Reach::People);
        for Announcement { alert, .. } in changes {
            match self.alerts.iter_mut().find(|before| before.id == alert.id) {
                Some(before) => *before = alert.clone(),
                None => self.alerts.push_back(alert.clone()),
            }
            if self.alerts.len() > MAX_WAITING {
                self.alerts.pop_front();
            }
        }
    }

    /// The next few to write.
    fn next(&mut self) -> Vec<Alert> {
        let n = self.alerts.len().min(MAX_WRITTEN);
        self.alerts.drain(..n).collect()
    }
}

impl Daemon {
    /// Writes how alerts stand into their reports, which begin so.
    pub(in crate::daemon) fn follow(&mut self, now: &Moment, changes: &[Announcement]) {
        if self.pinpointing.store.is_none() {
            return;
        }
        self.pinpointing.changed.put(changes);
        for alert in self.pinpointing.changed.next() {
            let mut report = self.begun(now, &alert);
            let rule = self.config.rule.0.get(&alert.rule);
            report.tell(&alert, rule);
            self.keep(&report);
        }
    }

    /// The report of an alert: as it was, or a new one.
    pub(super) fn begun(&mut self, now: &Moment, alert: &Alert) -> Report {
        let before = self.pinpointing.load(alert).unwrap_or_else(|error| {
            self.complaints.raise("reports", &error);
            None
        });
        before.unwrap_or_else(|| Report {
            started: started(now, alert.start_time),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            ..Report::of(alert)
        })
    }

    /// Saves a report, if there is a place for it.
    pub(super) fn keep(&mut self, report: &Report) {
        if let Some(store) = &self.pinpointing.store {
            match store.save(report) {
                Ok(()) => self.complaints.settle("reports"),
                Err(error) => self.complaints.raise("reports", &error),
            }
        }
    }
}

/// When a process started that did so at a tick of the clock since boot, of which there are a hundred
/// a second.
fn started(now: &Moment, start_time: u64) -> Option<Timestamp> {
    let ago_secs = now.boot_secs - start_time as f64 / 100.0;
    let ago = SignedDuration::try_from_secs_f64(ago_secs).ok()?;
    now.time.checked_sub(ago).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Change;
    use crate::alert::message::tests::alert;

    fn said(id: usize, change: Change, reach: Reach) -> Announcement {
        let alert = Alert {
            id: format!("{id:012x}"),
            change,
            ..alert()
        };
        Announcement { alert, reach }
    }

    #[test]
    fn each_alert_waits_once_as_it_last_stood_and_few_are_written_at_a_time() {
        let mut changed = Changed::default();
        changed.put(&[
            said(1, Change::Raised, Reach::All),
            said(2, Change::Raised, Reach::Records),
            said(3, Change::Reminded, Reach::People),
            said(1, Change::Cleared, Reach::Records),
        ]);
        let next: Vec<_> = changed
            .next()
            .into_iter()
            .map(|alert| (alert.id, alert.change))
            .collect();
        let expected = [(1, Change::Cleared), (2, Change::Raised)];
        assert_eq!(
            next,
            expected.map(|(id, change)| (format!("{id:012x}"), change))
        );
        assert!(changed.next().is_empty());

        let storm: Vec<_> = (0..1000)
            .map(|id| said(id, Change::Raised, Reach::All))
            .collect();
        changed.put(&storm);
        let mut rounds = 0;
        let mut last = String::new();
        loop {
            let next = changed.next();
            let Some(alert) = next.last() else { break };
            assert!(next.len() <= MAX_WRITTEN);
            last.clone_from(&alert.id);
            rounds += 1;
        }
        assert_eq!((rounds, last), (25, format!("{:012x}", 999)));
    }

    #[test]
    fn a_start_is_told_by_the_clock() {
        let now = Moment {
            monotonic_secs: 10.0,
            boot_secs: 1000.0,
            time: "2026-03-01T12:00:00Z".parse().expect("a time"),
        };
        let time = started(&now, 40_000).expect("a time");
        assert_eq!(time.to_string(), "2026-03-01T11:50:00Z");
        assert_eq!(started(&now, u64::MAX), None);
    }
}
