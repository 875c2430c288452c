//! What a mail of one alert says, before it becomes text or HTML.

use jiff::tz::TimeZone;

use super::facts::{Clock, facts};
use super::text::{clean, shell_word, shorten};
use crate::alert::{Alert, Change, Reason, State};
use crate::config::Severity;
use crate::site::words;

/// The longest sentence.
const MAX_SENTENCE: usize = 1000;

/// All of it, clean and in the order in which it is read.
#[derive(Debug)]
pub(super) struct Page {
    /// How bad it is.
    pub tone: Tone,
    /// What has happened, in a sentence.
    pub sentence: String,
    /// What is known, each with its label.
    pub facts: Vec<(&'static str, String)>,
    /// Where it was allocated; frames are indented.
    pub sites: Vec<String>,
    /// Why nothing needs doing, where that is so.
    pub calm: Option<&'static str>,
    /// What can be done.
    pub steps: Vec<Step>,
    /// What comes next.
    pub outlook: Vec<String>,
}

/// How bad it is, as a word and a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    Critical,
    Warning,
    /// Nothing is seen of it, so nobody knows.
    Unknown,
    Cleared,
}

/// Commands to copy, and what they are for.
#[derive(Debug)]
pub(crate) struct Step {
    /// What they are for.
    pub what: &'static str,
    /// Each a line for a shell.
    pub commands: Vec<String>,
}

impl Tone {
    /// That of an alert.
    pub fn of(alert: &Alert) -> Self {
        match (alert.change, alert.state, alert.severity) {
            (Change::Cleared, ..) => Self::Cleared,
            (_, State::Stale, _) => Self::Unknown,
            (.., Severity::Critical) => Self::Critical,
            (.., Severity::Warning) => Self::Warning,
        }
    }

    /// What a mail begins with, so that a preview shows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::Warning => "WARNING",
            Self::Unknown => "UNKNOWN",
            Self::Cleared => "CLEARED",
        }
    }
}

impl Page {
    /// What there is to say of an alert. Its times are told in the given zone.
    pub fn of(alert: &Alert, zone: &TimeZone) -> Self {
        let clock = Clock {
            zone,
            now: alert.time,
        };
        let facts = facts(alert, &clock).into_iter();
        let facts = facts.map(|(label, value)| (label, clean(&value)));
        let sites = words::lines(&alert.sites, words::IN_ALERT);
        let is_over = alert.change == Change::Cleared;
        Self {
            tone: Tone::of(alert),
            sentence: as_sentence(&alert.message),
            facts: facts.collect(),
            sites: sites.iter().map(|line| indented(line)).collect(),
            calm: is_over.then(|| calm(alert.reason)),
            steps: steps(alert),
            outlook: if is_over {
                Vec::new()
            } else {
                outlook(alert, &clock)
            },
        }
    }
}

fn as_sentence(text: &str) -> String {
    let mut sentence = shorten(&clean(text), MAX_SENTENCE);
    if !sentence.ends_with(['.', '…']) {
        sentence.push('.');
    }
    sentence
}

/// A clean line with its indentation.
fn indented(line: &str) -> String {
    let text = line.trim_start();
    format!("{}{}", &line[..line.len() - text.len()], clean(text))
}

fn calm(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::Exited) => {
            "Nothing needs doing: the process has ended, its memory is free again."
        }
        Some(Reason::Restarted) => {
            "Its memory is free again. Its leak is not mended: the process that runs now will grow as well."
        }
        Some(Reason::OomKilled) => {
            "The process is gone and its memory is free again. Its leak is not mended: if it is started again, so does that."
        }
        Some(Reason::RuleChanged) => "Nothing needs doing: the rules no longer cover it.",
        Some(Reason::StoppedGrowing) | None => {
            "Nothing needs doing: it no longer grows. What it has gained it may keep until it is restarted."
        }
    }
}

/// What can be done about an alert.
///
/// Identities are whole, and quoted: they are made of names that anybody may have chosen, and these
/// lines are for copying.
pub(crate) fn steps(alert: &Alert) -> Vec<Step> {
    let id = shell_word(&clean(&alert.id));
    let journal = shell_word(&format!("MEMLEAKD_ID={}", clean(&alert.id)));
    let step = |what, commands| Step { what, commands };
    if alert.change == Change::Cleared {
        let what = "What was said about it:";
        return vec![step(what, vec![format!("journalctl {journal}")])];
    }
    let mut steps = match alert.sites.is_empty() {
        true => vec![step(
            "See the details, and where it leaks once that is known:",
            vec![format!("memleakctl show {id}")],
        )],
        false => vec![
            step("See the details:", vec![format!("memleakctl show {id}")]),
            step(
                "See every place that allocates, here or in a browser:",
                vec![
                    format!("memleakctl report {id}"),
                    format!("memleakctl report {id} --output leak.html"),
                ],
            ),
        ],
    };
    if alert.acknowledged.is_none() {
        steps.push(step(
            "Take note of it, which ends its reminders:",
            vec![format!("memleakctl ack {id}")],
        ));
    }
    if let Some(matcher) = matcher(alert) {
        steps.push(step(
            "Hear nothing of the kind for a while:",
            vec![format!("memleakctl silence {matcher} --for 8h")],
        ));
    }
    steps.push(step(
        "See what was said about it before:",
        vec![format!("journalctl {journal}")],
    ));
    steps
}

/// What a silence of its kind matches on: its unit, or else its program.
fn matcher(alert: &Alert) -> Option<String> {
    let unit = alert.user_unit.as_ref().or(alert.unit.as_ref());
    let unit = unit.map(|unit| ("--unit", unit));
    let (option, name) = unit.or(alert.exe.as_ref().map(|exe| ("--exe", exe)))?;
    // What has been made harmless no longer matches, and neither is a pattern one name.
    let name = clean(name);
    let is_literal = !name.contains(['*', '?', '[', '\\']);
    is_literal.then(|| format!("{option} {}", shell_word(&name)))
}

fn outlook(alert: &Alert, clock: &Clock<'_>) -> Vec<String> {
    let mut outlook = Vec::new();
    if let Some(time) = alert.acknowledged {
        let by = alert.acknowledged_by.as_deref().unwrap_or("Somebody");
        outlook.push(format!(
            "{} has taken note of it at {}: there are no reminders, only what is new.",
            shorten(&clean(by), 40),
            clock.tell(time)
        ));
    } else if let Some(next) = alert.next_reminder {
        outlook.push(format!(
            "If it goes on, you will be told again at {}, and at once when it is over.",
            clock.tell(next)
        ));
    }
    if let Some(until) = alert.silenced_until {
        outlook.push(format!("It is silenced until {}.", clock.tell(until)));
    }
    outlook
}
