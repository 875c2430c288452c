use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::Incident;
use super::incident::Was;
use crate::alert::message::text;
use crate::site::words::shorten;

/// An alert that fires ends so long after each post, if there is no further one.
pub const LEASE: Duration = Duration::from_secs(300);

/// Characters of the summary; one sentence is mostly far shorter.
const MAX_SUMMARY: usize = 1000;
/// Characters of the description.
const MAX_DESCRIPTION: usize = 4000;

/// One alert as Alertmanager's interface has it (version 2, `postableAlert`).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Post {
    /// What it is in Alertmanager.
    pub labels: BTreeMap<String, String>,
    /// What people are told.
    pub annotations: BTreeMap<&'static str, String>,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it ended, or will unless there is a further post.
    pub ends_at: Timestamp,
}

impl Incident {
    /// Its alert as it is to be in Alertmanager now.
    pub fn present(&self, further: &BTreeMap<String, String>, now: Timestamp) -> Post {
        let ends_at = match self.is_over() {
            true => self.alert.time,
            false => now + LEASE,
        };
        self.post(self.alert.severity.to_string(), further, ends_at)
    }

    /// The end of the alert of the severity that it had before, as long as that has not come by
    /// itself.
    pub fn past(&self, further: &BTreeMap<String, String>, now: Timestamp) -> Option<Post> {
        let Was { severity, until } = self.was?;
        let is_recent = now.duration_since(until).unsigned_abs() < LEASE;
        is_recent.then(|| self.post(severity.to_string(), further, until))
    }

    /// The labels of its alert as it stands.
    pub fn identity(&self, further: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        self.labels_with(self.alert.severity.to_string(), further)
    }

    fn post(
        &self,
        severity: String,
        further: &BTreeMap<String, String>,
        ends_at: Timestamp,
    ) -> Post {
        let alert = &self.alert;
        Post {
            labels: self.labels_with(severity, further),
            annotations: BTreeMap::from([
                ("summary", shorten(&alert.message, MAX_SUMMARY)),
                ("description", shorten(&text(alert), MAX_DESCRIPTION)),
            ]),
            // An end before the beginning is refused, and clocks may be set.
            starts_at: self.began().min(ends_at),
            ends_at,
        }
    }

    fn labels_with(
        &self,
        severity: String,
        further: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut labels = further.clone();
        labels.extend(self.labels.clone());
        labels.insert("severity".to_owned(), severity);
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Alert, Change};
    use crate::config::Severity;
    use crate::mail::fixture::leak;

    fn time(secs: i64) -> Timestamp {
        Timestamp::from_second(1_795_312_867 + secs).expect("a time")
    }

    fn change(secs: i64, change: Change, severity: Severity) -> Alert {
        Alert {
            change,
            severity,
            raised: time(0),
            time: time(secs),
            ..leak()
        }
    }

    /// Severity and end of each post, after these changes, at a time.
    fn posted(changes: &[Alert], now: i64) -> Vec<(String, i64)> {
        let incident = changes
            .iter()
            .fold(None, |before, change| Some(Incident::after(before, change)))
            .expect("a change");
        let none = BTreeMap::new();
        let posts = incident.past(&none, time(now)).into_iter();
        let posts = posts.chain([incident.present(&none, time(now))]);
        let told = posts.map(|post| {
            assert!(post.starts_at <= post.ends_at, "{post:?}");
            let ends = post.ends_at.as_second() - time(0).as_second();
            (post.labels["severity"].clone(), ends)
        });
        told.collect()
    }

    #[test]
    fn what_is_posted_follows_the_life_of_the_alert() {
        let raised = change(0, Change::Raised, Severity::Warning);
        let escalated = change(1000, Change::Escalated, Severity::Critical);
        let cleared = change(1100, Change::Cleared, Severity::Critical);
        let row = |severity: &str, end| (severity.to_owned(), end);
        for (changes, now, expected) in [
            (&[raised.clone()][..], 10, vec![row("warning", 310)]),
            (
                std::slice::from_ref(&raised),
                5000,
                vec![row("warning", 5300)],
            ),
            (
                &[raised.clone(), escalated.clone()],
                1010,
                vec![row("warning", 1000), row("critical", 1310)],
            ),
            // The warning has ended by itself.
            (
                &[raised.clone(), escalated.clone()],
                1300,
                vec![row("critical", 1600)],
            ),
            (
                &[raised.clone(), escalated.clone(), cleared.clone()],
                1200,
                vec![row("warning", 1000), row("critical", 1100)],
            ),
            (
                &[raised.clone(), escalated, cleared],
                9000,
                vec![row("critical", 1100)],
            ),
        ] {
            assert_eq!(posted(changes, now), expected, "at {now}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_alert_that_is_refused() {
        let raised = change(0, Change::Raised, Severity::Warning);
        assert_eq!(
            posted(&[raised], -90_000),
            [("warning".to_owned(), -89_700)]
        );
    }

    #[test]
    fn own_labels_win_and_all_is_bounded() {
        let mut alert = change(0, Change::Raised, Severity::Warning);
        alert.message = "x".repeat(100_000);
        alert.unit = Some("u".repeat(4096));
        alert.loss = vec!["l".repeat(100_000)];
        let incident = Incident::after(None, &alert);
        let further = BTreeMap::from([
            ("team".to_owned(), "databases".to_owned()),
            ("alertname".to_owned(), "Other".to_owned()),
        ]);
        let post = incident.present(&further, time(1));
        assert_eq!(post.labels["team"], "databases");
        assert_eq!(post.labels["alertname"], "MemoryLeak");
        assert_eq!(post.labels, incident.identity(&further));
        let json = serde_json::to_string(&post).expect("is JSON");
        assert!(json.len() < 20_000, "{}", json.len());
        assert!(
            json.contains(r#""startsAt":"2026-11-22T02:01:07Z","endsAt":"2026-11-22T02:06:08Z""#),
            "{json}"
        );
    }
}
