//! Why a process is taken for one that leaks, or why not, for a tired person.

mod facts;
mod lanes;

use std::env;
use std::io::{IsTerminal, Write, stdout};

use anyhow::{Context, Result};

use super::measured::wrapped;
use crate::bus::{Explained, sentence};
use crate::detect::{Check, Gate};

/// How it is shown that a gate passes or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// ✓ and ✗.
    Signs,
    /// ok and no.
    Words,
}

impl Marks {
    /// Signs on a terminal that has them.
    pub fn of_terminal() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| {
            let value = env::var(name).ok()?.to_lowercase();
            (!value.is_empty()).then_some(value)
        });
        let has_signs =
            locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"));
        match has_signs && stdout().is_terminal() {
            true => Self::Signs,
            false => Self::Words,
        }
    }

    fn of(self, check: &Check) -> &'static str {
        match (self, check.passes()) {
            (Self::Signs, true) => "✓",
            (Self::Signs, false) => "✗",
            (Self::Words, true) => "ok",
            (Self::Words, false) => "no",
        }
    }
}

/// What each gate means, for the help.
pub fn gates() -> String {
    let mut text = "Gates:\n".to_owned();
    for gate in Gate::ALL {
        text += &format!("  {:<15} {}\n", gate.to_string(), gate.meaning());
    }
    text
}

/// Prints a verdict in one sentence, what it is about, and the gates: of the lane that decides, or
/// of all.
pub fn explain(
    output: &mut impl Write,
    explained: &Explained,
    all: bool,
    marks: Marks,
    columns: usize,
) -> Result<()> {
    let mut text = String::new();
    for source in &explained.sources {
        text += &wrapped(&sentence(explained, source), columns);
    }
    text.push('\n');
    for (label, value) in facts::facts(explained) {
        let lines = wrapped(&value, columns.saturating_sub(14).max(20));
        for (index, line) in lines.lines().enumerate() {
            let label = if index == 0 { label } else { "" };
            text += &format!("  {label:<11} {line}\n");
        }
    }
    for source in &explained.sources {
        if let Some(explanation) = &source.explanation {
            text += &lanes::lanes(source, explanation, all, marks, columns);
        }
    }
    output.write_all(text.as_bytes()).context("writing")
}

#[cfg(test)]
mod tests;
