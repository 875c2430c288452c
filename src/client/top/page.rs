//! The pages in front of the list: a process, a capture, the help. A page is lines of text that one
//! scrolls; that of a process has a chart above it.

use super::entry::Key;
use super::help;
use super::model::Model;
use crate::bus::Explained;
use crate::client::capture;
use crate::client::explain::explain;
use crate::client::measured::wrapped;
use crate::collect::Capture;
use crate::site::words;

/// A line of text, and how it is meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    /// The line.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// How a line of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Heading,
    /// What went wrong.
    Failure,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    kind: Kind,
    /// The first line of its text that is on the screen.
    pub scroll: usize,
}

#[derive(Debug)]
enum Kind {
    Process {
        key: Key,
        /// Its name, for when it is not listed any more.
        comm: String,
        /// Why it is taken for one that leaks, or is not; nothing before that is known.
        explained: Option<Result<Box<Explained>, String>>,
        /// When that was asked last.
        asked_secs: f64,
    },
    Captured {
        title: String,
        text: String,
    },
    Help,
}

impl Page {
    /// The page of a process, of which it is asked now why it leaks.
    pub fn process(key: Key, comm: &str, now_secs: f64) -> Self {
        Self::new(Kind::Process {
            key,
            comm: comm.to_owned(),
            explained: None,
            asked_secs: now_secs,
        })
    }

    /// What a capture of a process has found.
    pub fn captured(comm: &str, found: &Capture) -> Self {
        Self::new(Kind::Captured {
            title: format!("{comm} (pid {}), captured", found.pid),
            text: capture::text(found),
        })
    }

    /// The help.
    pub fn help() -> Self {
        Self::new(Kind::Help)
    }

    fn new(kind: Kind) -> Self {
        Self { kind, scroll: 0 }
    }

    /// Whether it is the help.
    pub fn is_help(&self) -> bool {
        matches!(self.kind, Kind::Help)
    }

    /// Whether a chart stands above its text.
    pub fn has_chart(&self) -> bool {
        matches!(self.kind, Kind::Process { .. })
    }

    /// The process that it is about, if it is about one that may still be there.
    pub fn key(&self) -> Option<Key> {
        match self.kind {
            Kind::Process { key, .. } => Some(key),
            Kind::Captured { .. } | Kind::Help => None,
        }
    }

    /// What the daemon has explained of the process that it is about.
    pub fn explained(&self) -> Option<&Explained> {
        match &self.kind {
            Kind::Process {
                explained: Some(Ok(explained)),
                ..
            } => Some(explained),
            _ => None,
        }
    }

    /// Takes an answer in. What was refused later is no reason to forget what is known.
    pub fn explain(&mut self, answer: Result<Box<Explained>, String>, now_secs: f64) {
        if let Kind::Process {
            explained,
            asked_secs,
            ..
        } = &mut self.kind
        {
            *asked_secs = now_secs;
            *explained = Some(answer);
        }
    }

    /// Whether it is to be asked again, which is noted. Who was refused once is not asked for a
    /// password again and again.
    pub fn is_due(&mut self, now_secs: f64, every_secs: f64) -> bool {
        let Kind::Process {
            explained: Some(Ok(_)),
            asked_secs,
            ..
        } = &mut self.kind
        else {
            return false;
        };
        let is_due = now_secs - *asked_secs >= every_secs;
        if is_due {
            *asked_secs = now_secs;
        }
        is_due
    }

    /// What stands above it.
    pub fn title(&self, model: &Model) -> String {
        match &self.kind {
            Kind::Process { key, comm, .. } => match model.entry(*key) {
                Some(entry) => {
                    let unit = entry.unit.as_deref().unwrap_or("no unit");
                    let sign = entry.mark.sign();
                    let lead = if sign.is_empty() { "" } else { " " };
                    format!(
                        "{sign}{lead}{comm} (pid {}) · {unit} · user {}",
                        key.pid, entry.user
                    )
                }
                None => format!("{comm} (pid {}) · not listed any more", key.pid),
            },
            Kind::Captured { title, .. } => title.clone(),
            Kind::Help => "keys and signs".to_owned(),
        }
    }

    /// Its lines for a width in columns.
    pub fn lines(&self, model: &Model, columns: usize) -> Vec<Text> {
        match &self.kind {
            Kind::Process { key, explained, .. } => process(model, *key, explained, columns),
            Kind::Captured { text, .. } => texts(text, columns, Tone::Plain).collect(),
            Kind::Help => help::lines(columns),
        }
    }
}

/// Lines that are broken where they are too wide.
fn texts(text: &str, columns: usize, tone: Tone) -> impl Iterator<Item = Text> {
    let lines: Vec<_> = text
        .lines()
        .flat_map(|line| {
            let indent = line.len() - line.trim_start().len();
            let fits = line.chars().count() <= columns;
            let broken = match fits {
                true => line.to_owned(),
                false => wrapped(line.trim_start(), columns.saturating_sub(indent).max(8)),
            };
            let lead = if fits { 0 } else { indent };
            let lines = broken.lines().map(|line| " ".repeat(lead) + line);
            let lines: Vec<_> = lines.collect();
            match lines.is_empty() {
                true => vec![String::new()],
                false => lines,
            }
        })
        .collect();
    lines.into_iter().map(move |text| Text { text, tone })
}

fn process(
    model: &Model,
    key: Key,
    explained: &Option<Result<Box<Explained>, String>>,
    columns: usize,
) -> Vec<Text> {
    let mut lines = Vec::new();
    match explained {
        None => lines.extend(texts("asking memleakd why …", columns, Tone::Plain)),
        Some(Err(why)) => lines.extend(texts(why, columns, Tone::Failure)),
        Some(Ok(explained)) => {
            let mut text = Vec::new();
            // A vector takes all that is written to it.
            if explain(&mut text, explained, false, model.marks, columns).is_ok() {
                let text = String::from_utf8_lossy(&text);
                lines.extend(texts(&text, columns, Tone::Plain));
            }
        }
    }
    let open = model.entry(key).map_or(&[][..], |entry| &entry.alerts);
    for alert in model.alerts.iter().filter(|alert| open.contains(&alert.id)) {
        let heading = format!("Alert {}, {}", alert.id, alert.severity);
        lines.extend(texts("\n", columns, Tone::Plain));
        lines.extend(texts(&heading, columns, Tone::Heading));
        lines.extend(texts(&alert.message, columns, Tone::Plain));
        if let Some(attention) = crate::alert::message::attention(alert) {
            lines.extend(texts(&attention, columns, Tone::Plain));
        }
        lines.extend(texts("\nAllocated by", columns, Tone::Heading));
        let sites = words::lines(&alert.sites, words::IN_CAPTURE).join("\n");
        let sites = match (sites.is_empty(), &alert.sites_missing) {
            (false, _) => sites,
            (true, Some(why)) => format!("not known: {why}"),
            (true, None) => {
                "not known yet: stacks are captured after it is raised, or press c".to_owned()
            }
        };
        lines.extend(texts(&sites, columns, Tone::Plain));
        for loss in &alert.loss {
            lines.extend(texts(&format!("not seen: {loss}"), columns, Tone::Plain));
        }
    }
    lines
}
