//! Why a process is taken for one that leaks, or why not, for a tired person.

use std::env;
use std::io::{IsTerminal, Write, stdout};

use anyhow::{Context, Result};

use super::measured::wrapped;
use super::signed;
use super::table::Table;
use crate::alert::message::cause;
use crate::bus::{Explained, ExplainedSource};
use crate::config::{Rule, Sustained};
use crate::detect::{Check, Explanation, Gate, Lane, Look, Verdict};
use crate::quantity::{Bytes, Span};
use crate::sample::Source;

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
    for (label, value) in facts(explained) {
        let lines = wrapped(&value, columns.saturating_sub(14).max(20));
        for (index, line) in lines.lines().enumerate() {
            let label = if index == 0 { label } else { "" };
            text += &format!("  {label:<11} {line}\n");
        }
    }
    for source in &explained.sources {
        if let Some(explanation) = &source.explanation {
            text += &lanes(source, explanation, all, marks, columns);
        }
    }
    output.write_all(text.as_bytes()).context("writing")
}

/// The verdict.
fn sentence(explained: &Explained, source: &ExplainedSource) -> String {
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
mod tests {
    use super::*;
    use crate::alert::Cause;
    use crate::detect::{self, History, Patience};

    /// A process that is two hours old and has gained so much every five seconds since it was one.
    fn explained(kib_per_step: u64, rule: Option<&str>) -> Explained {
        let mut history = History::new(5.0, 0.0, 0);
        for step in 1..=1440u64 {
            let kib = step.saturating_sub(720) * kib_per_step;
            history.observe(step as f64 * 5.0, (100 << 20) + (kib << 10));
        }
        let rule: Option<Rule> = rule.map(|rule| toml::from_str(rule).expect("a rule"));
        let heeded = rule.as_ref().filter(|rule| !rule.ignore);
        let explanation =
            heeded.map(|rule| detect::explain(&history, 7200.0, &Patience::new(rule, 1.0), None));
        Explained {
            pid: 7,
            comm: "server".to_owned(),
            uid: 0,
            exe: Some("/usr/bin/server".to_owned()),
            unit: None,
            user_unit: None,
            container: None,
            age_secs: 7200.0,
            limit_bytes: None,
            limit_kind: None,
            headroom_bytes: None,
            plateau_bytes: Some(1 << 30),
            plateau_after_secs: Some(600.0),
            leaked_before: false,
            heap_bytes_per_sec: None,
            heap_method: None,
            heap_loss: vec!["it does not grow like a leak".to_owned()],
            alerts: Vec::new(),
            sources: vec![ExplainedSource {
                source: Source::Pages,
                bytes: history.bytes(),
                rule: rule.as_ref().map(|_| "web".to_owned()),
                thresholds: rule,
                patience: 3.0,
                explanation,
                cause: Cause::Unknown,
                exhausts_in_secs: None,
                doubted: false,
            }],
        }
    }

    fn text(explained: &Explained, all: bool, columns: usize) -> String {
        let mut text = Vec::new();
        explain(&mut text, explained, all, Marks::Words, columns).expect("can be written");
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn the_verdict_comes_first() {
        let half_an_hour = Some("sustained = \"30min\"");
        let five_hours = Some("sustained = \"5h\"");
        for (kib_per_step, rule, open, doubted, begins, ends) in [
            (
                100,
                half_an_hour,
                false,
                false,
                "leaking: server (pid 7) grows by ",
                "; it is said when these are tested again",
            ),
            (
                100,
                half_an_hour,
                true,
                false,
                "leaking: ",
                " passes every gate",
            ),
            (
                100,
                half_an_hour,
                false,
                true,
                "doubted: ",
                "its exact size does not show it",
            ),
            (
                100,
                five_hours,
                false,
                false,
                "pending: server (pid 7) grows like a leak since ",
                " more",
            ),
            (
                100,
                five_hours,
                true,
                false,
                "pending: ",
                "; its alert is still open",
            ),
            (
                0,
                five_hours,
                false,
                false,
                "quiet: server (pid 7) does not grow like a leak: it has not gained enough (0 B, at least ",
                " is asked)",
            ),
            (
                100,
                Some("ignore = true"),
                false,
                false,
                "ignored: rule web says ",
                "server (pid 7) is to be left alone",
            ),
            (
                100,
                None,
                false,
                false,
                "not watched: no rule matches server (pid 7)",
                "",
            ),
        ] {
            let mut explained = explained(kib_per_step, rule);
            explained.sources[0].doubted = doubted;
            explained
                .alerts
                .extend(open.then(|| "0123456789ab".to_owned()));
            let text = text(&explained, false, usize::MAX);
            let first = text.lines().next().expect("a line");
            assert!(
                first.starts_with(begins) && first.ends_with(ends),
                "{first}"
            );
            assert_eq!(text.contains("0123456789ab is open"), open, "{text}");
        }
    }

    #[test]
    fn it_fits_a_terminal_and_has_a_line_for_each_gate() {
        let explained = explained(100, Some("sustained = \"5h\""));
        for (columns, all, n_gates, has_meaning) in [
            (usize::MAX, false, 9, true),
            (usize::MAX, true, 28, true),
            (80, true, 28, false),
            (80, false, 9, false),
        ] {
            let text = text(&explained, all, columns);
            assert!(
                text.lines().all(|line| line.chars().count() <= columns),
                "{text}"
            );
            let is_gate = |line: &&str| line.starts_with("  ok  ") || line.starts_with("  no  ");
            assert_eq!(text.lines().filter(is_gate).count(), n_gates, "{text}");
            assert_eq!(
                text.contains("rises in the order of time"),
                has_meaning,
                "{text}"
            );
            assert!(text.contains("\n  no  lasted "), "{text}");
            let past = "\n  past        has levelled off at 1 GiB before, 10 min after its start; ";
            assert!(
                text.replace("its\n              start", "its start")
                    .contains(past),
                "{text}"
            );
        }
    }

    #[test]
    fn the_help_has_every_gate() {
        let help = gates();
        assert_eq!(help.lines().count(), 1 + Gate::ALL.len());
        assert!(Gate::ALL.is_sorted() && help.lines().all(|line| line.chars().count() <= 80));
    }
}
