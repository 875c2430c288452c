//! The list: as many columns as there is room for, and the lines that are on the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span as Words;

use super::{CHOSEN, FAINT, line, write, write_right};
use crate::client::top::column::Column;
use crate::client::top::entry::{Entry, Mark};
use crate::client::top::list::Row;
use crate::client::top::model::Model;
use crate::client::top::spark::{HOUR_SECS, span_secs, sparkline};
use crate::client::top::{Listed, NO_HEAP, NO_KERNEL};
use crate::config::Severity;
use crate::quantity::{Span, count};

/// Columns between two columns.
const GAP: usize = 1;
/// A name has so much at least, unless the screen has not.
const LEAST_NAME: usize = 12;
/// And a unit.
const LEAST_UNIT: usize = 14;
/// And a curve, which takes what is left up to so much.
const LEAST_CURVE: usize = 9;
const MOST_CURVE: usize = 30;
/// Room for the branch before a process below its unit.
const BRANCH: usize = 3;

/// A column as wide as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fit {
    column: Column,
    width: usize,
}

/// Draws the headings and as many lines as there is room for.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let rows = model.rows();
    if rows.is_empty() {
        line(&nothing(model), FAINT, area, buffer);
        return;
    }
    let curves = rows.iter().filter_map(|row| match row {
        Row::Process { entry, .. } => Some(entry.curve.as_slice()),
        Row::Unit { .. } => None,
    });
    let shown_secs = span_secs(curves);
    let order = model.arrangement().column;
    let fits = fit(model.listed, order, &rows, usize::from(area.width));
    headings(model, &fits, shown_secs, area, buffer);
    let chosen = model.selected_line(&rows);
    let room = usize::from(area.height) - 1;
    let shown = rows.iter().enumerate().skip(model.first()).take(room);
    for (line, (index, row)) in shown.enumerate() {
        let area = Rect {
            y: area.y + 1 + u16::try_from(line).unwrap_or(0),
            height: 1,
            ..area
        };
        cells(row, &fits, shown_secs, area, buffer);
        if chosen == Some(index) {
            // Reversed colours would be boxes in the bar; the sign says the same.
            buffer.set_style(area, CHOSEN.fg(Color::Reset));
        }
    }
}

/// How a process stands out: the colour besides its sign.
pub(super) fn style_of(mark: Mark) -> Style {
    match mark {
        Mark::None => Style::new(),
        Mark::Suspect => Style::new().fg(Color::Cyan),
        Mark::Alert {
            severity,
            is_answered,
        } => {
            let style = match severity {
                Severity::Warning => Style::new().fg(Color::Yellow),
                Severity::Critical => Style::new().fg(Color::Red),
            };
            match is_answered {
                true => style,
                false => style.add_modifier(Modifier::BOLD),
            }
        }
    }
}

/// Why there is nothing to list.
fn nothing(model: &Model) -> String {
    let text = match (model.entries(), model.listed) {
        (None, _) => "asking memleakd …",
        (Some(entries), _) if !entries.is_empty() => "nothing fits the filter: Esc takes it away",
        (Some(_), Listed::Pages) => "nothing grows, or nothing of what you may see",
        (Some(_), Listed::Heap) => NO_HEAP,
        (Some(_), Listed::Kernel) => NO_KERNEL,
    };
    text.to_owned()
}

/// What stands in a column of a line.
fn text(column: Column, row: &Row<'_>) -> String {
    match row {
        Row::Process { entry, within } if column == Column::Name => match within {
            None => entry.comm.clone(),
            Some(false) => format!(" ├ {}", entry.comm),
            Some(true) => format!(" └ {}", entry.comm),
        },
        Row::Process { entry, .. } => column.text(entry),
        Row::Unit {
            all,
            processes,
            is_folded,
        } => match column {
            Column::Pid => processes.to_string(),
            Column::Name => {
                let sign = if *is_folded { '▸' } else { '▾' };
                let unit = all.unit.as_deref().unwrap_or("(no unit)");
                format!("{sign} {unit}")
            }
            Column::Unit => count(*processes, "process", "processes"),
            Column::User | Column::Cause | Column::Seen | Column::Curve => String::new(),
            column => column.text(all),
        },
    }
}

/// As many columns as there is room for. Those that say nothing of any line go first, the others by
/// their weights.
fn fit(listed: Listed, order: Column, rows: &[Row<'_>], columns: usize) -> Vec<Fit> {
    let says_nothing = |column: Column| match column {
        Column::Mark | Column::Name => false,
        Column::Curve => rows.iter().all(|row| match row {
            Row::Process { entry, .. } => entry.curve.is_empty(),
            Row::Unit { .. } => true,
        }),
        column => rows
            .iter()
            .all(|row| matches!(text(column, row).as_str(), "-" | "")),
    };
    // Below its unit, a process need not say which that is.
    let is_tree = rows.iter().any(|row| matches!(row, Row::Unit { .. }));
    let mut wanted: Vec<_> = Column::of(listed)
        .iter()
        .filter(|&&column| !(is_tree && column == Column::Unit))
        .map(|&column| {
            let cells = rows.iter().map(|row| Words::raw(text(column, row)).width());
            let heading = Words::raw(column.heading()).width() + usize::from(column == order);
            let whole = cells.max().unwrap_or(0).max(match column {
                Column::Mark => 1,
                _ => heading,
            });
            let (least, most) = match column {
                Column::Name => (
                    whole.min(LEAST_NAME + if is_tree { BRANCH } else { 0 }),
                    whole,
                ),
                Column::Unit => (whole.min(LEAST_UNIT), whole),
                Column::Curve => (LEAST_CURVE, MOST_CURVE),
                _ => (whole, whole),
            };
            let weight = match says_nothing(column) {
                true => 0,
                false => column.weight(),
            };
            (column, least, most, weight)
        })
        .collect();
    let needed = |wanted: &[(Column, usize, usize, u8)]| {
        let widths: usize = wanted.iter().map(|(_, least, _, _)| least).sum();
        widths + GAP * wanted.len().saturating_sub(1)
    };
    while wanted.len() > 1 && needed(&wanted) > columns {
        let lightest = wanted.iter().enumerate().min_by_key(|(_, of)| of.3);
        let Some((index, _)) = lightest else { break };
        wanted.remove(index);
    }
    let mut left = columns.saturating_sub(needed(&wanted));
    let mut fits: Vec<_> = wanted
        .iter()
        .map(|&(column, width, _, _)| Fit { column, width })
        .collect();
    // What is left makes names whole, then units, then curves longer.
    for of in [Column::Name, Column::Unit, Column::Curve] {
        let both = wanted.iter().zip(&mut fits);
        for (&(_, least, most, _), fit) in both.filter(|(_, fit)| fit.column == of) {
            let more = left.min(most.saturating_sub(least));
            fit.width += more;
            left -= more;
        }
    }
    // A name alone takes what there is.
    if let [only] = &mut fits[..] {
        only.width = only.width.min(columns);
    }
    fits
}

fn headings(model: &Model, fits: &[Fit], shown_secs: f64, area: Rect, buffer: &mut Buffer) {
    let arrangement = model.arrangement();
    let style = Style::new().add_modifier(Modifier::BOLD);
    let mut x = area.x;
    for fit in fits {
        let heading = match fit.column {
            Column::Curve if shown_secs < HOUR_SECS => {
                // Seconds of minutes matter to nobody, and are wide.
                let mins = (shown_secs / 60.0).round().max(1.0);
                let span = Span::from_secs_f64(mins * 60.0).to_string();
                match fit.width >= "LAST ".len() + span.len() {
                    true => format!("LAST {span}"),
                    false => span.to_uppercase(),
                }
            }
            column => column.heading().to_owned(),
        };
        let is_order = fit.column == arrangement.column;
        let heading = match (is_order, arrangement.is_descending) {
            (true, true) => format!("{heading}▼"),
            (true, false) => format!("{heading}▲"),
            (false, _) => heading,
        };
        let style = if is_order { style.underlined() } else { style };
        cell(&heading, fit, style, x, area, buffer);
        x = next(x, fit, area);
    }
}

fn cells(row: &Row<'_>, fits: &[Fit], shown_secs: f64, area: Rect, buffer: &mut Buffer) {
    let mark = match row {
        Row::Process { entry, .. } => entry.mark,
        Row::Unit { all, .. } => all.mark,
    };
    let mut x = area.x;
    for fit in fits {
        let style = match (fit.column, row) {
            (Column::Mark | Column::Name, Row::Process { .. }) => style_of(mark),
            (Column::Mark, Row::Unit { .. }) => style_of(mark),
            (Column::Curve, _) => style_of(mark),
            (_, Row::Unit { .. }) => Style::new().add_modifier(Modifier::BOLD),
            _ => Style::new(),
        };
        let text = match (fit.column, row) {
            (Column::Curve, Row::Process { entry, .. }) => spark(entry, shown_secs, fit.width),
            (column, row) => text(column, row),
        };
        let style = if text == "-" { FAINT } else { style };
        cell(&text, fit, style, x, area, buffer);
        x = next(x, fit, area);
    }
}

fn spark(entry: &Entry, shown_secs: f64, width: usize) -> String {
    sparkline(&entry.curve, shown_secs, width)
}

/// Writes what stands in a column.
fn cell(text: &str, fit: &Fit, style: Style, x: u16, area: Rect, buffer: &mut Buffer) {
    let width = u16::try_from(fit.width).unwrap_or(u16::MAX);
    let width = width.min(area.right().saturating_sub(x));
    let area = Rect { x, width, ..area };
    match fit.column.is_number() {
        true => write_right(text, style, area, buffer),
        false => {
            write(text, style, x, area.y, width, buffer);
        }
    }
}

/// Where the next column begins.
fn next(x: u16, fit: &Fit, area: Rect) -> u16 {
    let width = u16::try_from(fit.width + GAP).unwrap_or(u16::MAX);
    x.saturating_add(width).min(area.right())
}
