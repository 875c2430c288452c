use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Step, Subject};
use crate::alert::{Alert, Change, State};
use crate::config::Severity;

/// What has been shown, and what of it is on the screen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shown {
    /// Each incident that the person has been told of, as long as it is open.
    pub known: BTreeMap<Incident, Known>,
    /// The one bubble for many, if there is one.
    pub group: Option<Group>,
}

/// An alert from when it was raised to when it is cleared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incident {
    /// The alert's id, which the next incident may have as well.
    pub id: String,
    /// When it was raised.
    pub raised: Timestamp,
}

/// What the person knows of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// What it looked like when that was last shown.
    #[serde(flatten)]
    pub face: Face,
    /// When its bubble came.
    pub shown: Timestamp,
    /// Where that is now.
    pub place: Place,
    /// Whether the person has asked for its details.
    #[serde(default)]
    pub is_detailed: bool,
}

/// What of an alert is worth a change of its bubble. Figures alone are not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// How bad it is.
    pub severity: Severity,
    /// Whether it is known where the memory is allocated.
    pub has_site: bool,
    /// Whether nothing has been seen of it for long.
    pub is_stale: bool,
    /// When it is said again.
    pub next_reminder: Option<Timestamp>,
}

/// Where an incident is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In a bubble of its own, by its number; nothing if it has to be shown again.
    Bubble(Option<u32>),
    /// Among others in the bubble for many.
    Group,
    /// No longer: the bubble's time was up, or the session over.
    Away,
    /// No longer, and the person has put it away.
    Dismissed,
}

/// The bubble for many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its number; nothing if it has to be shown again.
    pub id: Option<u32>,
    /// When something last came into it.
    pub shown: Timestamp,
    /// How many alerts it speaks of.
    pub count: usize,
    /// How bad the worst of them is.
    pub severity: Severity,
    /// Whether the person has asked for its details.
    #[serde(default)]
    pub is_detailed: bool,
}

impl Incident {
    /// The incident that an alert is about.
    pub fn of(alert: &Alert) -> Self {
        Self {
            id: alert.id.clone(),
            raised: alert.raised,
        }
    }
}

impl Face {
    /// What an alert looks like.
    pub fn of(alert: &Alert) -> Self {
        Self {
            severity: alert.severity,
            has_site: super::words::site(alert).is_some(),
            is_stale: alert.state == State::Stale,
            next_reminder: alert.next_reminder,
        }
    }

    /// Whether an alert that looked like this has become worse.
    pub fn is_worse(&self, alert: &Alert) -> bool {
        alert.severity > self.severity
    }

    /// Whether it has been said again since. The next reminder moves for other reasons as well.
    pub fn is_reminded(&self, alert: &Alert) -> bool {
        alert.change == Change::Reminded && alert.next_reminder > self.next_reminder
    }
}

impl Shown {
    /// Takes note of a step that has been done. A bubble that was shown has a number.
    pub fn done(&mut self, step: Step, id: Option<u32>) {
        for (incident, known) in step.known {
            match known {
                Some(known) => self.known.insert(incident, known),
                None => self.known.remove(&incident),
            };
        }
        if let Some(group) = step.group {
            self.group = group;
        }
        match step.call.subject() {
            Some(Subject::Incident(incident)) => self.put(&incident, Place::Bubble(id)),
            Some(Subject::Group) => {
                if let Some(group) = &mut self.group {
                    group.id = id;
                }
            }
            None => {}
        }
    }

    /// What a bubble is about.
    pub fn subject(&self, id: u32) -> Option<Subject> {
        if self
            .group
            .as_ref()
            .is_some_and(|group| group.id == Some(id))
        {
            return Some(Subject::Group);
        }
        let found = self
            .known
            .iter()
            .find(|(_, known)| known.place == Place::Bubble(Some(id)));
        found.map(|(incident, _)| Subject::Incident(incident.clone()))
    }

    /// A bubble is gone from the screen: to one of the two places that are off it.
    pub fn leave(&mut self, subject: &Subject, to: Place) {
        match subject {
            Subject::Incident(incident) => self.put(incident, to),
            Subject::Group => {
                self.group = None;
                self.move_all(|place| place == Place::Group, to);
            }
        }
    }

    /// The person wants to know more: it is to be shown again, in full.
    pub fn detail(&mut self, subject: &Subject) {
        match subject {
            Subject::Incident(incident) => {
                if let Some(known) = self.known.get_mut(incident) {
                    known.is_detailed = true;
                    known.place = Place::Bubble(None);
                }
            }
            Subject::Group => {
                if let Some(group) = &mut self.group {
                    group.is_detailed = true;
                    group.id = None;
                }
            }
        }
    }

    /// The server that showed the bubbles has ended. They are to be shown again.
    pub fn lose_bubbles(&mut self) {
        self.move_all(
            |place| matches!(place, Place::Bubble(_)),
            Place::Bubble(None),
        );
        if let Some(group) = &mut self.group {
            group.id = None;
        }
    }

    /// Nothing that is remembered is on this screen, as the person has logged in anew.
    pub fn clear_screen(&mut self) {
        self.group = None;
        self.move_all(|place| place != Place::Dismissed, Place::Away);
    }

    fn put(&mut self, incident: &Incident, place: Place) {
        if let Some(known) = self.known.get_mut(incident) {
            known.place = place;
        }
    }

    fn move_all(&mut self, is_one: impl Fn(Place) -> bool, to: Place) {
        for known in self.known.values_mut() {
            if is_one(known.place) {
                known.place = to;
            }
        }
    }
}
