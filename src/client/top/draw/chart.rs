//! How a process came to its size, over as many lines as there are, with its limit.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::{FAINT, line, write, write_right};
use crate::client::top::spark::sizes;
use crate::quantity::{Bytes, Span};
use crate::sample::Point;

/// Eighths of a line, from the bottom.
const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns for sizes at the left.
const LABEL: u16 = 10;
/// A limit is drawn if a process holds such a part of it, or would reach it by so many times the
/// growth that is shown: a line further off would make the growth flat.
const NEAR: f64 = 0.9;
const NEAR_GROWTHS: u64 = 3;

/// Draws a curve, the newest at the right.
pub(super) fn draw(curve: &[Point], limit: Option<u64>, area: Rect, buffer: &mut Buffer) {
    if area.height < 3 || area.width < LABEL * 2 {
        return;
    }
    let oldest_secs = curve.iter().map(|point| point.secs_ago);
    let span_secs = oldest_secs
        .filter(|secs| secs.is_finite())
        .fold(0.0, f64::max);
    if curve.len() < 2 || span_secs <= 0.0 {
        let text = "no curve is kept of it yet: it is of those that grow like a leak";
        line(text, FAINT, area, buffer);
        return;
    }
    let plot = Rect {
        x: area.x + LABEL,
        width: area.width - LABEL - 1,
        height: area.height - 1,
        ..area
    };
    let sizes = sizes(curve, span_secs, usize::from(plot.width));
    let known = || sizes.iter().flatten().copied();
    let (Some(least), Some(most)) = (known().min(), known().max()) else {
        return;
    };
    let limit = limit.filter(|&limit| is_near(limit, least, most));
    let (bottom, top) = edges(least, limit.unwrap_or(most).max(most));
    let height = |size: u64| {
        let part = size.saturating_sub(bottom) as f64 / (top - bottom).max(1) as f64;
        part.clamp(0.0, 1.0) * f64::from(plot.height)
    };
    let is_full = limit.is_some_and(|limit| most as f64 >= NEAR * limit as f64);
    let style = Style::new().fg(if is_full { Color::Red } else { Color::Cyan });
    for (column, size) in sizes.iter().enumerate() {
        if let Some(size) = size {
            let x = plot.x + u16::try_from(column).unwrap_or(0);
            bar(height(*size), x, style, plot, buffer);
        }
    }
    if let Some(limit) = limit {
        let up = (height(limit).ceil() as u16).clamp(1, plot.height);
        let y = plot.bottom() - up;
        let red = Style::new().fg(Color::Red);
        let rule = "─".repeat(usize::from(plot.width));
        write(&rule, red, plot.x, y, plot.width, buffer);
        write(
            &format!(" limit {} ", Bytes(limit)),
            red,
            plot.x + 1,
            y,
            plot.width - 1,
            buffer,
        );
    }
    let edges = [Bytes(top), Bytes(bottom)].map(|size| size.to_string());
    label(&edges[0], area.y, area, buffer);
    label(&edges[1], plot.bottom() - 1, area, buffer);
    let middle = Bytes(bottom + (top - bottom) / 2).to_string();
    // What rounds to the same says nothing.
    if plot.height >= 7 && !edges.contains(&middle) {
        label(&middle, area.y + plot.height / 2, area, buffer);
    }
    let times = Rect {
        y: plot.bottom(),
        height: 1,
        ..plot
    };
    let ago = format!("{} ago", Span::from_secs_f64(span_secs.round()));
    line(&ago, FAINT, times, buffer);
    let now = known().last().map(|size| format!("now {}", Bytes(size)));
    write_right(&now.unwrap_or_default(), FAINT, times, buffer);
}

/// A bar of so many lines, with its uppermost in eighths.
fn bar(lines: f64, x: u16, style: Style, plot: Rect, buffer: &mut Buffer) {
    let eighths = ((lines * 8.0).round() as u16).max(1);
    for line in 0..plot.height {
        let here = eighths.saturating_sub(line * 8).min(8);
        let Some(index) = here.checked_sub(1) else {
            return;
        };
        let y = plot.bottom() - 1 - line;
        let block = EIGHTHS[usize::from(index)];
        if let Some(cell) = buffer.cell_mut((x, y)) {
            cell.set_char(block).set_style(style);
        }
    }
}

/// A size at the left.
fn label(text: &str, y: u16, area: Rect, buffer: &mut Buffer) {
    let area = Rect {
        y,
        height: 1,
        width: LABEL - 1,
        ..area
    };
    write_right(text, FAINT, area, buffer);
}

fn is_near(limit: u64, least: u64, most: u64) -> bool {
    let growth = (most - least).saturating_mul(NEAR_GROWTHS);
    limit >= most && (most as f64 >= NEAR * limit as f64 || limit - most <= growth)
}

/// Sizes at the lower and the upper edge. From nothing, unless that would hide the growth.
fn edges(least: u64, most: u64) -> (u64, u64) {
    let room = most.saturating_sub(least) / 10;
    let top = most.saturating_add(room).max(1);
    match least < most / 2 || room == 0 {
        true => (0, top),
        false => (least - room.min(least), top),
    }
}
