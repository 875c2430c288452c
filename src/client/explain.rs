//! Why a process is taken for one that leaks, or why not, for a tired person.

mod facts;
mod lanes;
mod sentence;

use std::env;
use std::io::{IsTerminal, Write, stdout};

use anyhow::{Context, Result};

use super::measured::wrapped;
use crate::bus::Explained;
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
        text += &wrapped(&sentence::sentence(explained, source), columns);
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

/// The verdict.
pub(crate) fn sentence(explained: &Explained, source: &ExplainedSource) -> String {
    let what = match source.source {
        Source::Pages => "",
        Source::Heap => "the heap of ",
        Source::Kernel => "the kernel memory of ",
    };
    let who = format!("{what}{} (pid {})", explained.comm, explained.pid);
    let (Some(rule), Some(thresholds)) = (&source.rule, &source.thresholds) else {
        return format!("not watched: no rule matches {who}");
    };
    let Some((explanation, look)) = source
        .explanation
        .as_ref()
        .and_then(|explanation| Some((explanation, explanation.best()?)))
    else {
        return format!("ignored: rule {rule} says that {who} is to be left alone");
    };
    let since = Span::from_secs_f64(look.window_secs.unwrap_or_default());
    let rate = signed::rate(look.growth_bytes_per_sec.unwrap_or_default());
    let mut sentence = match (explanation.verdict, look.failed()) {
        (Verdict::Leaking, _) if source.doubted => format!(
            "doubted: {who} grows like a leak, by {rate} since {since}, but its exact size does not show it"
        ),
        (Verdict::Leaking, _) => {
            let next = match explained.alerts.is_empty() {
                true => "; it is said when these are tested again",
                false => "",
            };
            format!("leaking: {who} grows by {rate} since {since} and passes every gate{next}")
        }
        (Verdict::Pending, _) => {
            let left = Span::from_secs_f64(explanation.pending_secs.unwrap_or_default());
            let is_auto = thresholds.sustained == Sustained::Auto;
            let or_earlier = match is_auto && explanation.lane == Lane::Slow {
                true => ", or earlier if a limit comes near",
                false => "",
            };
            format!(
                "pending: {who} grows like a leak since {since}, by {rate}; it is said if that goes on for {left} more{or_earlier}"
            )
        }
        (Verdict::Quiet, Some(check)) => format!(
            "quiet: {who} does not grow like a leak: {} ({}, {} is asked)",
            check.gate.failure(),
            check.found(),
            check.asked()
        ),
        (Verdict::Quiet, None) => format!("quiet: {who} does not grow like a leak"),
    };
    if explanation.verdict != Verdict::Leaking && !explained.alerts.is_empty() {
        sentence += "; its alert is still open";
    }
    sentence
}

/// What is known of the process, by labels.
fn facts(explained: &Explained) -> Vec<(&'static str, String)> {
    let age = Span::from_secs_f64(explained.age_secs);
    let process = format!("{} (pid {}), {age} old", explained.comm, explained.pid);
    let mut facts = vec![("process", process)];
    for (label, name) in [
        ("executable", &explained.exe),
        ("unit", &explained.unit),
        ("user unit", &explained.user_unit),
        ("container", &explained.container),
    ] {
        facts.extend(name.clone().map(|name| (label, name)));
    }
    for source in &explained.sources {
        let label = match source.source {
            Source::Pages => "size",
            Source::Heap => "net heap",
            Source::Kernel => "kernel",
        };
        facts.push((label, Bytes(source.bytes).to_string()));
        if let (Some(name), Some(thresholds)) = (&source.rule, &source.thresholds) {
            facts.push(("rule", rule(name, thresholds)));
        }
    }
    facts.extend(limit(explained).map(|limit| ("limit", limit)));
    facts.extend(past(explained).map(|past| ("past", past)));
    if let Some(rate) = explained.heap_bytes_per_sec {
        let method = explained.heap_method.as_deref().unwrap_or("unknown");
        let rate = signed::rate(rate);
        facts.push(("heap", format!("net growth of {rate} ({method})")));
    }
    let label = match explained.heap_bytes_per_sec {
        Some(_) => "not seen",
        None => "heap",
    };
    let of_heap = explained.heap_loss.iter().map(|why| match label {
        "heap" => (label, format!("not measured: {why}")),
        _ => (label, why.clone()),
    });
    facts.extend(of_heap);
    let causes = explained
        .sources
        .iter()
        .filter_map(|source| cause(source.cause));
    facts.extend(causes.map(|cause| ("cause", cause.to_owned())));
    let alerts = explained.alerts.iter();
    facts.extend(alerts.map(|id| ("alert", format!("{id} is open"))));
    facts
}

/// What a rule says, in the words of the configuration.
fn rule(name: &str, rule: &Rule) -> String {
    match rule.ignore {
        true => format!("{name}: ignore"),
        false => format!(
            "{name}: growth {:#}, min_growth {:#}, sustained {}, warm_up {:#}",
            rule.growth, rule.min_growth, rule.sustained, rule.warm_up
        ),
    }
}

fn limit(explained: &Explained) -> Option<String> {
    let (kind, limit) = (explained.limit_kind?, Bytes(explained.limit_bytes?));
    let left = Bytes(explained.headroom_bytes?);
    let mut sources = explained.sources.iter();
    let at = sources
        .find_map(|source| source.exhausts_in_secs)
        .map(|secs| format!(", used up in {} at this rate", Span::from_secs(secs)));
    Some(format!(
        "{kind} ({limit}): {left} left{}",
        at.unwrap_or_default()
    ))
}

/// What the program did before, and what that means.
fn past(explained: &Explained) -> Option<String> {
    let mut past = Vec::new();
    if let Some(bytes) = explained.plateau_bytes {
        let after = explained.plateau_after_secs.map(Span::from_secs_f64);
        let after = after.map(|after| format!(", {after} after its start"));
        let bytes = Bytes(bytes);
        past.push(format!(
            "has levelled off at {bytes} before{}",
            after.unwrap_or_default()
        ));
    }
    if explained.leaked_before {
        past.push("has leaked before".to_owned());
    }
    let patience = explained
        .sources
        .first()
        .map_or(1.0, |source| source.patience);
    if patience != 1.0 {
        past.push(format!("growth must last {patience} times as long"));
    }
    (!past.is_empty()).then(|| past.join("; "))
}

fn lanes(
    source: &ExplainedSource,
    explanation: &Explanation,
    all: bool,
    marks: Marks,
    columns: usize,
) -> String {
    let mut text = String::new();
    let of = match source.source {
        Source::Pages => "",
        Source::Heap => ", heap",
        Source::Kernel => ", kernel memory",
    };
    let (full, short): (Vec<_>, Vec<_>) = explanation
        .lanes
        .iter()
        .partition(|look| all || look.lane == explanation.lane);
    for look in full {
        text += &wrapped(
            &format!("\n{}{of}: {}", lane(look.lane), window(look)),
            columns,
        );
        let whole = table(look, marks, true).render(usize::MAX);
        text += &match whole.lines().all(|line| line.chars().count() <= columns) {
            true => whole,
            // The help has the meanings as well.
            false => table(look, marks, false).render(columns),
        };
    }
    if !short.is_empty() {
        text.push('\n');
    }
    for look in short {
        let result = match look.failed() {
            Some(check) => format!("no, {} ({check})", check.gate.failure()),
            None => "passes every gate".to_owned(),
        };
        text += &wrapped(&format!("{}{of}: {result}", lane(look.lane)), columns);
    }
    text
}

fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Slow => "slow lane, growth that goes on",
        Lane::Sudden => "sudden lane, growth after quiet hours",
        Lane::Fast => "fast lane, growth that runs into a limit",
    }
}

fn window(look: &Look) -> String {
    let window = || {
        let span = Span::from_secs_f64(look.window_secs?);
        let gained = signed::size(look.gained_bytes? as i64);
        let rate = signed::rate(look.growth_bytes_per_sec?);
        let low = signed::rate(look.growth_bytes_per_sec_low?);
        let high = signed::rate(look.growth_bytes_per_sec_high?);
        let bounds = match low == high {
            true => String::new(),
            false => format!(" ({low} to {high})"),
        };
        Some(format!(
            "{gained} gained in the last {span}, {rate}{bounds}"
        ))
    };
    window().unwrap_or_else(|| "nothing can be said yet".to_owned())
}

fn table(look: &Look, marks: Marks, with_meaning: bool) -> Table {
    let headings = ["", "GATE", ">FOUND", "ASKED", "MEANING"];
    let n_columns = if with_meaning { 5 } else { 4 };
    let mut table = Table::new(&headings[..n_columns]);
    for check in &look.gates {
        let row = [
            format!("  {}", marks.of(check)),
            check.gate.to_string(),
            check.found(),
            check.asked(),
            check.gate.meaning().to_owned(),
        ];
        table.row(row.into_iter().take(n_columns));
    }
    table
}

#[cfg(test)]
mod tests;
