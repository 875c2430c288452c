use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Change, State};
use crate::config::Severity;
use crate::site::words::shorten;

/// Longer than any unit that a person has named.
const MAX_LABEL: usize = 200;

/// One alert from its being raised to its end, as its file has it: pure, and complete in itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// What tells it from others, but for the severity: the same as long as it lasts.
    pub labels: BTreeMap<String, String>,
    /// The severity that it had before, and until when, if there was another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<Was>,
    /// The latest change.
    pub alert: Alert,
}

/// A severity that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Was {
    /// Which.
    pub severity: Severity,
    /// Until when it was that.
    pub until: Timestamp,
}

impl Incident {
    /// An incident as a change leaves it. `before` is what its file says, if there is one.
    pub fn after(before: Option<Self>, change: &Alert) -> Self {
        let before = before.filter(|before| before.name() == name(change));
        // Changes come in order; one that is tried again may come after what is newer.
        if let Some(newer) = before
            .clone()
            .filter(|before| change.time < before.alert.time)
        {
            return newer;
        }
        let mut alert = change.clone();
        // Of no use to Alertmanager, and the larger part of the file.
        alert.curve.clear();
        alert.gates.clear();
        match before {
            None => Self {
                labels: labels(change),
                was: None,
                alert,
            },
            Some(Self {
                labels,
                was,
                alert: old,
            }) => Self {
                labels,
                was: match old.severity == change.severity {
                    true => was,
                    false => Some(Was {
                        severity: old.severity,
                        until: change.time,
                    }),
                },
                alert,
            },
        }
    }

    /// An incident that the daemon knows nothing of any more.
    #[must_use]
    pub fn ended(mut self, now: Timestamp) -> Self {
        self.alert.change = Change::Cleared;
        self.alert.state = State::Cleared;
        self.alert.time = now;
        self
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.alert.change == Change::Cleared
    }

    /// When it began. Alerts of an older state do not tell when they were raised.
    pub fn began(&self) -> Timestamp {
        match self.alert.raised == Timestamp::UNIX_EPOCH {
            true => self.alert.since,
            false => self.alert.raised,
        }
    }

    /// What its file is called, without `.json`.
    pub fn name(&self) -> String {
        name(&self.alert)
    }
}

/// The id and the time of being raised: that the next incident has a file of its own keeps a
/// program that has just said the end of the last one from removing it.
fn name(alert: &Alert) -> String {
    // An id that is none never becomes the name of a file.
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let id: String = alert.id.chars().filter(is_plain).take(40).collect();
    format!("{id}.{}", alert.raised.as_millisecond())
}

/// Alertmanager takes a label without a value for one that is not there.
fn labels(alert: &Alert) -> BTreeMap<String, String> {
    // A user's unit lies within a system unit, which is the user's whole manager.
    let unit = alert.user_unit.as_ref().or(alert.unit.as_ref());
    let labels = [
        ("alertname", Some(super::NAME)),
        ("instance", Some(alert.host.as_str())),
        ("unit", unit.map(String::as_str)),
        ("comm", Some(alert.comm.as_str())),
        ("rule", Some(alert.rule.as_str())),
        ("id", Some(alert.id.as_str())),
    ];
    labels
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
        .map(|(name, value)| (name.to_owned(), shorten(value, MAX_LABEL)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::leak;

    fn at(secs: i64, change: Change, severity: Severity) -> Alert {
        let mut alert = leak();
        alert.change = change;
        alert.severity = severity;
        alert.raised = Timestamp::from_second(1_795_312_867).expect("a time");
        alert.time = Timestamp::from_second(1_795_312_867 + secs).expect("a time");
        alert
    }

    #[test]
    fn labels_are_those_of_the_first_change() {
        let first = Incident::after(None, &at(0, Change::Raised, Severity::Warning));
        let mut change = at(60, Change::Updated, Severity::Warning);
        change.comm = "another".to_owned();
        change.unit = None;
        let second = Incident::after(Some(first.clone()), &change);
        assert_eq!(second.labels, first.labels);
        assert_eq!((second.was, second.alert.comm.as_str()), (None, "another"));
        let mut next = change;
        next.raised = next.time;
        assert_ne!(Incident::after(Some(second), &next).labels, first.labels);
    }

    #[test]
    fn a_severity_that_is_over_is_remembered_with_its_end() {
        let changes = [
            (0, Change::Raised, Severity::Warning, None),
            (60, Change::Escalated, Severity::Critical, Some(60)),
            // The same change again, as after a crash.
            (60, Change::Escalated, Severity::Critical, Some(60)),
            (120, Change::Updated, Severity::Critical, Some(60)),
            // And one that has been overtaken changes nothing.
            (0, Change::Raised, Severity::Warning, Some(60)),
            (180, Change::Cleared, Severity::Critical, Some(60)),
        ];
        let mut incident = None;
        for (secs, change, severity, until) in changes {
            let alert = at(secs, change, severity);
            let after = Incident::after(incident, &alert);
            let was = after.was.map(|was| {
                assert_eq!(was.severity, Severity::Warning);
                was.until.as_second() - 1_795_312_867
            });
            assert_eq!(was, until, "{secs} {change}");
            incident = Some(after);
        }
        let last = incident.expect("an incident");
        assert!(last.is_over() && last.alert.severity == Severity::Critical);
    }

    #[test]
    fn names_are_plain_whatever_the_id_is() {
        let mut alert = at(0, Change::Raised, Severity::Warning);
        assert_eq!(name(&alert), format!("{}.1795312867000", alert.id));
        alert.id = "../../etc/x\0\n".to_owned();
        assert_eq!(name(&alert), "etcx.1795312867000");
        alert.raised = Timestamp::UNIX_EPOCH;
        assert_eq!(Incident::after(None, &alert).began(), alert.since);
    }
}
