//! Which lines of a screen are for what. All of it works for any size, if only badly for small ones.

use ratatui::layout::Rect;

/// A screen of so many lines has two for what is selected, and a higher one three.
const HIGH: usize = 14;
const HIGHER: usize = 20;
/// A page that has less lines has no chart.
const CHART_FROM: usize = 14;
/// A chart is no higher than that.
const MAX_CHART: usize = 18;

/// The parts of a screen, from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// The daemon's figures.
    pub header: Rect,
    /// Views, order and filter, or the title of a page.
    pub title: Rect,
    /// The headings of the list, and the list; or the page.
    pub body: Rect,
    /// What is selected; of no height on a low screen.
    pub detail: Rect,
    /// What was said, or the keys.
    pub keys: Rect,
}

impl Layout {
    /// The parts of a screen with a list, or a page.
    pub fn of(area: Rect, is_page: bool) -> Self {
        let lines = usize::from(area.height);
        // The body is what a low screen has at last.
        let header = u16::from(lines >= 3);
        let keys = u16::from(lines >= 5);
        let title = u16::from(lines >= 4);
        let detail = match is_page {
            true => 0,
            false => detail_lines(lines) as u16,
        };
        let body = area.height - header - keys - title - detail;
        let part = |before: u16, height: u16| Rect {
            y: area.y + before,
            height,
            ..area
        };
        Self {
            header: part(0, header),
            title: part(header, title),
            body: part(header + title, body),
            detail: part(header + title + body, detail),
            keys: part(header + title + body + detail, keys),
        }
    }
}

/// How many lines of a list a screen of so many lines has, below the headings.
pub(super) fn list_lines(lines: usize) -> usize {
    page_lines(lines).saturating_sub(detail_lines(lines) + 1)
}

/// How many lines a page has on a screen of so many lines.
pub(super) fn page_lines(lines: usize) -> usize {
    lines - usize::from(lines >= 3) - usize::from(lines >= 4) - usize::from(lines >= 5)
}

/// How many of a page's lines are for a chart.
pub(super) fn chart_lines(page_lines: usize) -> usize {
    match page_lines >= CHART_FROM {
        true => (page_lines * 2 / 5).min(MAX_CHART),
        false => 0,
    }
}

fn detail_lines(lines: usize) -> usize {
    match lines {
        HIGHER.. => 3,
        HIGH.. => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_any_screen_is_for_something() {
        for height in 0..100 {
            for is_page in [false, true] {
                let area = Rect::new(0, 0, 80, height);
                let layout = Layout::of(area, is_page);
                let parts = [
                    layout.header,
                    layout.title,
                    layout.body,
                    layout.detail,
                    layout.keys,
                ];
                let mut next = 0;
                for part in parts {
                    assert_eq!(part.y, next, "{height}");
                    next += part.height;
                }
                assert_eq!(next, height);
                let body = usize::from(layout.body.height);
                match is_page {
                    true => assert_eq!(page_lines(usize::from(height)), body),
                    false => assert_eq!(list_lines(usize::from(height)), body.saturating_sub(1)),
                }
                assert!(chart_lines(body) <= body / 2);
            }
        }
    }
}
