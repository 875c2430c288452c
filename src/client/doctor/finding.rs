use std::fmt;

use serde::{Deserialize, Serialize};

use crate::client::measured::wrapped;
use crate::quantity::count;
use crate::sample::printable;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it should be.
    Ok,
    /// It is good to know, and may well be meant so.
    Note,
    /// Something does not work.
    Wrong,
}

/// What a check has found. Field names are public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// What to do about it, or, of what is well, how to try it.
    pub to_do: Option<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Wrong => "wrong",
        })
    }
}

impl Finding {
    pub(super) fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self::new(subject, Outcome::Ok, &found.into())
    }

    pub(super) fn note(subject: &str, found: impl Into<String>) -> Self {
        Self::new(subject, Outcome::Note, &found.into())
    }

    pub(super) fn wrong(subject: &str, found: impl Into<String>) -> Self {
        Self::new(subject, Outcome::Wrong, &found.into())
    }

    /// Something that this user may not look at, as another may.
    pub(super) fn hidden(subject: &str, what: &str) -> Self {
        Self::note(subject, format!("this user may not look at {what}")).advise("try again as root")
    }

    /// Says what to do about it, or what can be tried.
    pub(super) fn advise(self, to_do: impl Into<String>) -> Self {
        Self {
            to_do: Some(printable(to_do.into().as_bytes())),
            ..self
        }
    }

    fn new(subject: &str, outcome: Outcome, found: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            outcome,
            // Others choose what is in files, and what units are called.
            found: printable(found.as_bytes()),
            to_do: None,
        }
    }
}

/// The findings as a table of three columns whose last one is wrapped, and a last line that adds up.
pub(super) fn render(findings: &[Finding], columns: usize) -> String {
    let lengths = findings.iter().map(|finding| finding.subject.len());
    let subject_width = lengths.max().unwrap_or(0);
    let indent = "wrong".len() + 2 + subject_width + 2;
    let width = columns.saturating_sub(indent).max(20);
    let mut text = String::new();
    for finding in findings {
        let Finding {
            subject, outcome, ..
        } = finding;
        let label = match outcome {
            Outcome::Ok => "try",
            Outcome::Note | Outcome::Wrong => "to do",
        };
        let to_do = finding.to_do.iter();
        let to_do = to_do.map(|to_do| format!("{label}: {to_do}"));
        let said = std::iter::once(finding.found.clone()).chain(to_do);
        let said: String = said.map(|said| wrapped(&said, width)).collect();
        for (index, line) in said.lines().enumerate() {
            if index == 0 {
                text += &format!("{outcome:<5}  {subject:<subject_width$}  {line}\n");
            } else {
                text += &format!("{:indent$}{line}\n", "");
            }
        }
    }
    let number = |outcome| {
        let such = findings.iter().filter(|finding| finding.outcome == outcome);
        such.count()
    };
    text.push('\n');
    text += &match (number(Outcome::Wrong), number(Outcome::Note)) {
        (0, 0) => "all is well\n".to_owned(),
        (0, notes) => format!("nothing is wrong, {}\n", count(notes, "note", "notes")),
        (1, notes) => format!("1 thing is wrong, {}\n", count(notes, "note", "notes")),
        (n, notes) => format!("{n} things are wrong, {}\n", count(notes, "note", "notes")),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_wrapped_and_added_up() {
        let findings = [
            Finding::ok("bus", "here"),
            Finding::wrong(
                "configuration",
                "a sentence that is longer than a line may be",
            )
            .advise("mend it\u{1b}[31m"),
        ];
        assert_eq!(
            render(&findings, 50),
            "ok     bus            here
wrong  configuration  a sentence that is longer
                      than a line may be
                      to do: mend it\\u{1b}[31m

1 thing is wrong, 0 notes
"
        );
        assert!(render(&findings[..1], 80).ends_with("\n\nall is well\n"));
    }
}
