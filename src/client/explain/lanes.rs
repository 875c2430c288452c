//! The gates that growth has to pass, with what each found.

use super::Marks;
use crate::bus::{ExplainedSource, missing};
use crate::client::measured::wrapped;
use crate::client::table::Table;
use crate::detect::{Check, Explanation, Lane, Look};
use crate::quantity::{Span, signed};
use crate::sample::Source;

/// The gates: of the lane that decides, or of all; what the others come to is a line each.
pub(super) fn lanes(
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

fn table(look: &Look, marks: Marks, with_words: bool) -> Table {
    let headings = ["", "GATE", ">FOUND", "ASKED", "IN WORDS"];
    let n_columns = if with_words { 5 } else { 4 };
    let mut table = Table::new(&headings[..n_columns]);
    for check in &look.gates {
        let row = [
            format!("  {}", marks.of(check)),
            check.gate.to_string(),
            check.found(),
            check.asked(),
            in_words(look, check),
        ];
        table.row(row.into_iter().take(n_columns));
    }
    table
}

/// What a gate means; where it does not pass, what is missing, or else what is the matter.
fn in_words(look: &Look, check: &Check) -> String {
    match check.passes() {
        true => check.gate.meaning().to_owned(),
        false => missing(look, check).unwrap_or_else(|| check.gate.failure().to_owned()),
    }
}
