//! What is to be done so that the screen says what the list of alerts says.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Face, Group, Incident, Known, Place, Shown, words};
use crate::alert::{Alert, State};
use crate::config::Severity;

/// More new ones than this within [`MOMENT`] are shown in one bubble.
const AT_ONCE: usize = 3;
const MOMENT: SignedDuration = SignedDuration::from_secs(10);
/// So many bubbles are on the screen at most, besides the one for many.
const MAX_BUBBLES: usize = 10;

/// One thing to do, and what is known once it has been done.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What to ask the server that shows notifications for.
    pub call: Call,
    /// What is known of incidents then; nothing of those that are over.
    pub known: Vec<(Incident, Option<Known>)>,
    /// What the bubble for many is then, if that changes.
    pub group: Option<Option<Group>>,
}

/// What to ask the server that shows notifications for.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Nothing: there is just something to be remembered.
    Nothing,
    /// Show a bubble, in the place of another one if that has a number.
    Show {
        /// What it is about.
        subject: Subject,
        /// The number of the one that it replaces.
        replaces: Option<u32>,
        /// What it says.
        bubble: Bubble,
    },
    /// Take a bubble away.
    Close(u32),
}

/// What a bubble is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One incident.
    Incident(Incident),
    /// Many.
    Group,
}

/// What a bubble says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bubble {
    /// The first line.
    pub summary: String,
    /// The rest, as plain text.
    pub body: String,
    /// How urgent it is.
    pub severity: Severity,
}

impl Call {
    /// What a bubble that is shown is about.
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Self::Show { subject, .. } => Some(subject.clone()),
            Self::Nothing | Self::Close(_) => None,
        }
    }
}

impl Step {
    fn remember(incident: Incident, known: Option<Known>) -> Self {
        Self {
            call: Call::Nothing,
            known: vec![(incident, known)],
            group: None,
        }
    }
}

/// What is to be done, in this order, so that the screen says what the list says.
///
/// A person is told of an incident once, and again when it gets worse or memleakd reminds of it.
/// A bubble that is still there is kept true besides. What the person has put away comes back only
/// when it gets worse. Who has been told that it is taken note of, or does not want to hear of it,
/// sees nothing of it.
pub fn reconcile(shown: &Shown, alerts: &[Alert], now: Timestamp) -> Vec<Step> {
    let mut told: Vec<&Alert> = alerts.iter().filter(|alert| is_told(alert, now)).collect();
    told.sort_by(|a, b| worst_first(a, b));
    let mut steps = ended(shown, alerts, &told);
    let mut fresh = Vec::new();
    for alert in &told {
        match shown.known.get(&Incident::of(alert)) {
            None => fresh.push(*alert),
            Some(known) => match change(known, alert) {
                Change::None => {}
                Change::Remember => steps.push(Step::remember(
                    Incident::of(alert),
                    Some(Known {
                        face: Face::of(alert),
                        ..known.clone()
                    }),
                )),
                Change::Replace(id) => steps.push(show(alert, Some(known), id, now)),
                Change::Show => fresh.push(*alert),
            },
        }
    }
    let joins = is_flood(shown, &fresh, now);
    if !joins {
        steps.extend(
            fresh
                .iter()
                .map(|alert| show(alert, shown.known.get(&Incident::of(alert)), None, now)),
        );
        fresh.clear();
    }
    steps.extend(group(shown, &told, &fresh, now));
    steps
}

/// What becomes of an incident that has been shown.
enum Change {
    None,
    /// It looks different, but is not on the screen.
    Remember,
    /// Its bubble is renewed.
    Replace(Option<u32>),
    /// It comes back to the screen.
    Show,
}

fn change(known: &Known, alert: &Alert) -> Change {
    let face = Face::of(alert);
    let is_worse = known.face.is_worse(alert);
    let is_reminded = known.face.is_reminded(alert);
    let looks_different = face.has_site != known.face.has_site
        || face.is_stale != known.face.is_stale
        || face.severity != known.face.severity;
    match known.place {
        Place::Bubble(None) => Change::Replace(None),
        Place::Bubble(id) if looks_different || is_reminded => Change::Replace(id),
        Place::Group | Place::Away | Place::Dismissed if is_worse => Change::Show,
        Place::Away if is_reminded => Change::Show,
        _ if face != known.face => Change::Remember,
        _ => Change::None,
    }
}

/// Whether people are to be told of an alert at all.
fn is_told(alert: &Alert, now: Timestamp) -> bool {
    alert.state != State::Cleared
        && alert.acknowledged.is_none()
        && alert.silenced_until.is_none_or(|until| until <= now)
        && alert.inhibited_by.is_none()
}

fn worst_first(a: &Alert, b: &Alert) -> Ordering {
    let time_left = |alert: &Alert| alert.exhausts_in_secs.unwrap_or(u64::MAX);
    let by_rate = b.growth_bytes_per_sec.total_cmp(&a.growth_bytes_per_sec);
    b.severity
        .cmp(&a.severity)
        .then(time_left(a).cmp(&time_left(b)))
        .then(by_rate)
}

/// What is over, or not to be told of any more. What the person has put away stays so as long as
/// it is open; of the rest nothing is left, so that it is told of when it may be again.
fn ended(shown: &Shown, alerts: &[Alert], told: &[&Alert]) -> Vec<Step> {
    let open: BTreeSet<_> = alerts.iter().map(Incident::of).collect();
    let told: BTreeSet<_> = told.iter().map(|alert| Incident::of(alert)).collect();
    let is_over = |incident: &Incident, known: &Known| match known.place {
        Place::Dismissed => !open.contains(incident),
        _ => !told.contains(incident),
    };
    let over = shown.known.iter().filter(|(i, known)| is_over(i, known));
    over.map(|(incident, known)| Step {
        call: match known.place {
            Place::Bubble(Some(id)) => Call::Close(id),
            _ => Call::Nothing,
        },
        ..Step::remember(incident.clone(), None)
    })
    .collect()
}

fn show(alert: &Alert, known: Option<&Known>, replaces: Option<u32>, now: Timestamp) -> Step {
    let is_detailed =
        known.is_some_and(|known| known.is_detailed && matches!(known.place, Place::Bubble(_)));
    let incident = Incident::of(alert);
    Step {
        call: Call::Show {
            subject: Subject::Incident(incident.clone()),
            replaces,
            bubble: words::alert(alert, is_detailed),
        },
        ..Step::remember(
            incident,
            Some(Known {
                face: Face::of(alert),
                // That of one which is kept true stays: it is no news.
                shown: match known {
                    Some(known) if matches!(known.place, Place::Bubble(_)) => known.shown,
                    _ => now,
                },
                place: Place::Bubble(None),
                is_detailed,
            }),
        )
    }
}

/// Whether new ones are too many to have a bubble each.
fn is_flood(shown: &Shown, fresh: &[&Alert], now: Timestamp) -> bool {
    let is_recent = |shown: Timestamp| now.duration_since(shown).abs() < MOMENT;
    let bubbles = shown.known.values();
    let bubbles = bubbles.filter(|known| matches!(known.place, Place::Bubble(_)));
    let n_bubbles = bubbles.clone().count();
    let n_recent = bubbles.filter(|known| is_recent(known.shown)).count();
    // What comes right after many is of the same kind.
    let goes_on = shown
        .group
        .as_ref()
        .is_some_and(|group| is_recent(group.shown));
    !fresh.is_empty()
        && (goes_on || fresh.len() + n_recent > AT_ONCE || fresh.len() + n_bubbles > MAX_BUBBLES)
}

/// Keeps the bubble for many: `joining` are new in it.
fn group(shown: &Shown, told: &[&Alert], joining: &[&Alert], now: Timestamp) -> Option<Step> {
    let stays = |alert: &&&Alert| {
        let known = shown.known.get(&Incident::of(alert));
        known.is_some_and(|known| known.place == Place::Group)
    };
    let n_staying = told.iter().filter(stays).count();
    let before = shown.group.as_ref();
    if n_staying + joining.len() == 0 {
        // All that it was about is over, or has a bubble of its own.
        let before = before?;
        return Some(Step {
            call: before.id.map_or(Call::Nothing, Call::Close),
            known: Vec::new(),
            group: Some(None),
        });
    }
    let count = told.len();
    let severity = told
        .first()
        .map_or(Severity::Warning, |worst| worst.severity);
    let is_true = before.is_some_and(|group| {
        group.id.is_some() && (group.count, group.severity) == (count, severity)
    });
    if joining.is_empty() && is_true {
        return None;
    }
    let is_detailed = before.is_some_and(|group| group.is_detailed);
    let joined = joining.iter().map(|alert| {
        let known = Known {
            face: Face::of(alert),
            shown: now,
            place: Place::Group,
            is_detailed: false,
        };
        (Incident::of(alert), Some(known))
    });
    Some(Step {
        call: Call::Show {
            subject: Subject::Group,
            replaces: before.and_then(|group| group.id),
            bubble: words::group(told, is_detailed)?,
        },
        known: joined.collect(),
        group: Some(Some(Group {
            id: None,
            shown: match before {
                Some(group) if joining.is_empty() => group.shown,
                _ => now,
            },
            count,
            severity,
            is_detailed,
        })),
    })
}

#[cfg(test)]
mod tests;
