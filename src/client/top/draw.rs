//! The whole screen, drawn from what is known and chosen. Nothing else is looked at.

mod chart;
mod table;
mod window;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span as Words;

use super::Listed;
use super::figures;
use super::layout::{self, Layout};
use super::list::Row;
use super::model::{CAPTURE_TIME, Model, Prompt, told_of};
use super::page::Tone;
use crate::alert::message::cause;
use crate::client::measured::wrapped;
use crate::quantity::Span;

/// What stands out.
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// What is less important.
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
/// What is chosen.
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);
/// What went wrong.
const FAILURE: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// What moves on.
const PROGRESS: Style = Style::new().fg(Color::Green);

/// Draws all of it. `renewal_secs` is how often the daemon is asked.
pub(super) fn draw(model: &Model, renewal_secs: f64, now_secs: f64, buffer: &mut Buffer) {
    let area = buffer.area;
    let page = model.page();
    let layout = Layout::of(area, page.is_some());
    header(model, renewal_secs, now_secs, layout.header, buffer);
    match page {
        Some(page) => {
            line(&page.title(model), STRONG, layout.title, buffer);
            text_page(model, layout.body, buffer);
        }
        None => {
            views(model, layout.title, buffer);
            table::draw(model, layout.body, buffer);
            selected(model, layout.detail, buffer);
        }
    }
    last_line(model, now_secs, layout.keys, buffer);
    if let Some(Prompt::Silence(choosing)) = &model.prompt {
        window::silence(choosing, area, buffer);
    }
}

/// Writes a line of text from the left, and cuts what has no room.
fn line(text: &str, style: Style, area: Rect, buffer: &mut Buffer) {
    if area.height > 0 {
        write(text, style, area.x, area.y, area.width, buffer);
    }
}

/// Writes a text in so many columns at the most; what is cut ends in a sign for it. Returns how many
/// columns it has taken.
fn write(text: &str, style: Style, x: u16, y: u16, columns: u16, buffer: &mut Buffer) -> u16 {
    if columns == 0 || !buffer.area.contains((x, y).into()) {
        return 0;
    }
    let width = Words::raw(text).width();
    let room = usize::from(columns);
    if width <= room {
        let (end, _) = buffer.set_stringn(x, y, text, room, style);
        return end - x;
    }
    let (end, _) = buffer.set_stringn(x, y, text, room - 1, style);
    let (end, _) = buffer.set_stringn(end, y, "…", 1, style);
    end - x
}

/// Writes a text that ends at the right.
fn write_right(text: &str, style: Style, area: Rect, buffer: &mut Buffer) {
    let width = u16::try_from(Words::raw(text).width()).unwrap_or(u16::MAX);
    let from = area.width.saturating_sub(width);
    write(
        text,
        style,
        area.x + from,
        area.y,
        area.width - from,
        buffer,
    );
}

/// The daemon's figures, or what is wrong with it.
fn header(model: &Model, renewal_secs: f64, now_secs: f64, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    buffer.set_style(area, CHOSEN);
    if let Some(trouble) = told_of(&model.standing, renewal_secs, now_secs) {
        let style = CHOSEN.fg(Color::Red).add_modifier(Modifier::BOLD);
        buffer.set_style(area, style);
        line(&format!(" {trouble}"), style, area, buffer);
        return;
    }
    let status = &model.status;
    let figures = format!(" memleakd: {}", figures(status));
    let taken = write(&figures, CHOSEN, area.x, area.y, area.width, buffer);
    let critical = match status.critical {
        0 => String::new(),
        n => format!(" ({n} critical)"),
    };
    let left = area.width - taken;
    let at = area.x + taken;
    let taken = taken + write(&critical, CHOSEN.bold(), at, area.y, left, buffer);
    let scan = format!(
        "{} measured · scan every {}, {:.1} ms ",
        status.measured,
        Span::from_secs_f64(status.interval_secs),
        status.round_secs * 1000.0
    );
    let rest = Rect {
        x: area.x + taken,
        width: area.width - taken,
        ..area
    };
    // Half of it would say nothing.
    if Words::raw(scan.as_str()).width() + 2 <= usize::from(rest.width) {
        write_right(&scan, CHOSEN, rest, buffer);
    }
}

/// The views, with the one in front marked; the order and the filter.
fn views(model: &Model, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let mut x = area.x;
    let end = area.right();
    for (listed, name) in [
        (Listed::Pages, "1 Pages"),
        (Listed::Heap, "2 Heap"),
        (Listed::Kernel, "3 Kernel"),
    ] {
        let is_chosen = listed == model.listed;
        let style = if is_chosen {
            STRONG.underlined()
        } else {
            FAINT
        };
        x += write(" ", Style::new(), x, area.y, end - x, buffer);
        x += write(name, style, x, area.y, end - x, buffer);
        x += write(" ", Style::new(), x, area.y, end - x, buffer);
    }
    let arrangement = model.arrangement();
    let tree = if arrangement.is_tree { ", by unit" } else { "" };
    let sorted = format!(" sorted by {}{tree}", arrangement.column.sorted_by());
    x += write(&sorted, FAINT, x, area.y, end - x, buffer);
    let is_writing = matches!(model.prompt, Some(Prompt::Filter { .. }));
    if is_writing || !arrangement.filter.is_empty() {
        let room = usize::from(end - x).saturating_sub(12);
        // While it is written, its end is what matters.
        let filter = last_columns(&arrangement.filter, room);
        x += write("  filter: ", STRONG, x, area.y, end - x, buffer);
        x += write(&filter, STRONG, x, area.y, end - x, buffer);
        if is_writing {
            write(" ", CHOSEN, x, area.y, end - x, buffer);
        }
    }
}

/// The end of a text that has so many columns.
fn last_columns(text: &str, columns: usize) -> String {
    let mut from = 0;
    for (index, _) in text.char_indices() {
        if Words::raw(&text[from..]).width() <= columns {
            break;
        }
        from = index;
    }
    match Words::raw(&text[from..]).width() <= columns {
        true => text[from..].to_owned(),
        false => String::new(),
    }
}

/// What the columns have no room for, of the line that is selected.
fn selected(model: &Model, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let rows = model.rows();
    let row = model.selected_line(&rows).and_then(|at| rows.get(at));
    let (first, second) = match row {
        None => return,
        Some(Row::Unit { all, processes, .. }) => {
            let unit = all.unit.as_deref().unwrap_or("in no unit");
            let processes = crate::quantity::count(*processes, "process", "processes");
            (format!("{unit} · {processes}"), String::new())
        }
        Some(Row::Process { entry, .. }) => {
            let unit = entry.unit.as_deref().unwrap_or("in no unit");
            let first = format!(
                "{} (pid {}) · {unit} · user {}",
                entry.comm, entry.pid, entry.user
            );
            let alert = entry
                .alerts
                .first()
                .and_then(|id| model.alerts.iter().find(|alert| alert.id == *id));
            let left = entry
                .left_secs
                .map(|secs| format!("a limit is reached in {}", Span::from_secs(secs)));
            let why = cause(entry.cause).map(str::to_owned);
            let said = alert.map(|alert| format!("{}: {}", alert.severity, alert.message));
            let second = match said {
                Some(said) => said,
                None => {
                    let known = why.into_iter().chain(left).chain(entry.loss.clone());
                    known.collect::<Vec<_>>().join("; ")
                }
            };
            (first, second)
        }
    };
    let style = match row {
        Some(Row::Process { entry, .. }) => table::style_of(entry.mark),
        _ => Style::new(),
    };
    line(&first, STRONG, area, buffer);
    let lines = wrapped(&second, usize::from(area.width).max(1));
    let room = usize::from(area.height) - 1;
    for (index, text) in lines.lines().take(room).enumerate() {
        let y = area.y + 1 + u16::try_from(index).unwrap_or(0);
        // What the last line has no room for is cut, which its end says.
        let is_cut = index + 1 == room && lines.lines().count() > room;
        let end = if is_cut { " …" } else { "" };
        let text = format!("{text}{end}");
        write(&text, style, area.x, y, area.width, buffer);
    }
}

/// What was done, how far a capture is, or the keys.
fn last_line(model: &Model, now_secs: f64, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    if let Some(note) = &model.note {
        let style = if note.is_failure { FAILURE } else { STRONG };
        line(&note.text, style, area, buffer);
        return;
    }
    if let Some(capturing) = &model.capturing {
        let past_secs = (now_secs - capturing.since_secs).max(0.0);
        let part = (past_secs / CAPTURE_TIME.secs()).min(1.0);
        let left = Span::from_secs_f64((CAPTURE_TIME.secs() - past_secs).max(0.0).ceil());
        let what = match part < 1.0 {
            true => format!(
                "measuring {} (pid {}), {left} left ",
                capturing.comm, capturing.pid
            ),
            false => format!("resolving what was captured of {} ", capturing.comm),
        };
        let taken = write(&what, STRONG, area.x, area.y, area.width, buffer);
        let room = (area.width - taken).min(40);
        let full = (f64::from(room) * part).round() as usize;
        let bar = "█".repeat(full) + &"░".repeat(usize::from(room).saturating_sub(full));
        write(&bar, PROGRESS, area.x + taken, area.y, room, buffer);
        return;
    }
    let keys: &[(&str, &str)] = match (&model.prompt, model.page()) {
        (Some(Prompt::Filter { .. }), _) => &[("Enter", "keep"), ("Esc", "as it was")],
        (Some(Prompt::Silence(_)), _) => &[],
        (None, None) => &[
            ("q", "quit"),
            ("?", "help"),
            ("Enter", "open"),
            ("/", "filter"),
            ("< >", "sort"),
            ("t", "tree"),
            ("a", "ack"),
            ("s", "silence"),
            ("c", "capture"),
            ("Tab", "view"),
        ],
        (None, Some(page)) if page.key().is_some() => &[
            ("Esc", "back"),
            ("Up Down", "scroll"),
            ("a", "acknowledge"),
            ("s", "silence"),
            ("c", "capture"),
            ("?", "help"),
            ("q", "quit"),
        ],
        (None, Some(_)) => &[("Esc", "back"), ("Up Down", "scroll"), ("q", "quit")],
    };
    let mut x = area.x;
    for (key, meaning) in keys {
        let end = area.right();
        let width = key.len() + meaning.len() + 1;
        if width > usize::from(end - x) {
            break;
        }
        x += write(key, CHOSEN, x, area.y, end - x, buffer);
        x += write(" ", Style::new(), x, area.y, end - x, buffer);
        x += write(meaning, FAINT, x, area.y, end - x, buffer);
        x = (x + 2).min(end);
    }
}

/// A page: a chart if it has one, and its text.
fn text_page(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (Some(page), Some((lines, from))) = (model.page(), model.page_text()) else {
        return;
    };
    let mut area = area;
    if let (true, Some(key)) = (page.has_chart(), page.key()) {
        let height = layout::chart_lines(usize::from(area.height)) as u16;
        let chart = Rect { height, ..area };
        let limit = page.explained().and_then(|explained| explained.limit_bytes);
        let curve = model.entry(key).map_or(&[][..], |entry| &entry.curve);
        chart::draw(curve, limit, chart, buffer);
        area.y += height;
        area.height -= height;
    }
    let shown = lines.iter().skip(from).take(usize::from(area.height));
    for (row, text) in shown.enumerate() {
        let style = match text.tone {
            Tone::Plain => Style::new(),
            Tone::Heading => STRONG,
            Tone::Failure => FAILURE,
        };
        let y = area.y + u16::try_from(row).unwrap_or(0);
        write(&text.text, style, area.x, y, area.width, buffer);
    }
    let below = lines.len().saturating_sub(from + usize::from(area.height));
    if below > 0 && area.height > 1 {
        let more = format!(" {below} more ");
        let last = Rect {
            y: area.bottom() - 1,
            height: 1,
            ..area
        };
        write_right(&more, CHOSEN, last, buffer);
    }
}

#[cfg(test)]
mod tests;
