//! What a terminal can show: colours or none, signs beyond ASCII or none.
//!
//! Everything is drawn as for a terminal that can do all; what this one cannot do is taken away at
//! last, cell by cell. So nothing that is drawn can forget to ask.

use std::env;

use ratatui::buffer::Buffer;
use ratatui::style::Color;

use crate::client::Marks;

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Colours. Severity is told without them as well.
    pub has_colour: bool,
    /// Letters, lines and blocks beyond ASCII.
    pub has_signs: bool,
}

impl Look {
    /// What the terminal of this program can show, by `NO_COLOR`, `TERM` and the locale.
    pub fn of_terminal() -> Self {
        let term = env::var("TERM").unwrap_or_default();
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            has_colour: !no_colour && term_has_colour(&term),
            // The console of Linux has a font of its own, with few blocks.
            has_signs: Marks::of_terminal() == Marks::Signs && term != "linux",
        }
    }

    /// Takes away what the terminal cannot show.
    pub fn apply(self, buffer: &mut Buffer) {
        for cell in &mut buffer.content {
            if !self.has_colour {
                cell.set_fg(Color::Reset).set_bg(Color::Reset);
            }
            if !self.has_signs && !cell.symbol().is_ascii() {
                let plain = ascii(cell.symbol());
                cell.set_char(plain);
            }
        }
    }
}

/// Whether a terminal can be drawn on, by what it calls itself.
pub(super) fn can_be_drawn_on(term: Option<&str>) -> bool {
    !matches!(term, None | Some("" | "dumb" | "unknown"))
}

/// Whether a terminal has colours, by what it calls itself: few have none.
fn term_has_colour(term: &str) -> bool {
    let is_mono = term.ends_with("-m") || term.ends_with("-mono");
    let is_old = ["vt52", "vt100", "vt102", "vt220", "vt320"].contains(&term);
    !is_mono && !is_old
}

/// What stands for something beyond ASCII.
fn ascii(symbol: &str) -> char {
    match symbol.chars().next() {
        Some('▁') => '_',
        Some('▂') => '.',
        Some('▃') => ',',
        Some('▄') => '-',
        Some('▅') => '=',
        Some('▆') => '+',
        Some('▇') => '*',
        Some('█') => '#',
        Some('─' | '┄' | '·' | '–' | '—') => '-',
        Some('│') => '|',
        Some('┌' | '┐' | '└' | '┘' | '├') => '+',
        Some('…') => '~',
        Some('▼') => 'v',
        Some('▲') => '^',
        Some('▾') => '-',
        Some('▸') => '+',
        Some('▶') => '>',
        Some('░') => '.',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn nothing_is_left_that_a_terminal_cannot_show() {
        for (has_colour, has_signs, expected) in
            [(true, true, "a▁█│…é漢 b"), (false, false, "a_#|~?? b")]
        {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 1));
            let red = Style::new().fg(Color::Red).bg(Color::Blue).bold();
            buffer.set_string(0, 0, "a▁█│…é漢b", red);
            let look = Look {
                has_colour,
                has_signs,
            };
            look.apply(&mut buffer);
            let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
            assert_eq!(text.trim_end(), expected);
            let cell = &buffer.content[0];
            assert_eq!(cell.fg == Color::Red, has_colour);
            assert_eq!(cell.bg == Color::Blue, has_colour);
            assert!(cell.modifier.contains(ratatui::style::Modifier::BOLD));
        }
    }

    #[test]
    fn a_terminal_is_known_by_its_name() {
        for (term, has_colour, can_be_drawn) in [
            ("xterm-256color", true, true),
            ("linux", true, true),
            ("xterm-mono", false, true),
            ("screen", true, true),
            ("vt100", false, true),
            ("dumb", true, false),
            ("", true, false),
        ] {
            assert_eq!(term_has_colour(term), has_colour, "{term}");
            assert_eq!(can_be_drawn_on(Some(term)), can_be_drawn, "{term}");
        }
        assert!(!can_be_drawn_on(None));
    }
}
