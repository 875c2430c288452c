//! What stands in a window of its own before everything else: the choice of a silence.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::{Block, Clear, Widget};

use super::{CHOSEN, FAINT, STRONG, line, write};
use crate::client::silences::words;
use crate::client::top::model::{Choosing, TIMES};

/// Its size, where the screen has that.
const WIDTH: u16 = 64;
const HEIGHT: u16 = 7;

/// Draws the choice of a time, and then the question.
pub(super) fn silence(choosing: &Choosing, area: Rect, buffer: &mut Buffer) {
    let (width, height) = (WIDTH.min(area.width), HEIGHT.min(area.height));
    let window = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(window, buffer);
    let block = Block::bordered()
        .border_style(Style::new().fg(Color::Yellow))
        .title(" Silence ");
    let inner = block.inner(window);
    block.render(window, buffer);
    let of = format!("alerts of {}", words(&choosing.matcher));
    line(&of, STRONG, row(inner, 0), buffer);
    let time = choosing.time();
    match choosing.is_sure {
        false => {
            times(choosing, row(inner, 2), buffer);
            let keys = "Left, Right: for how long   Enter: go on   Esc: leave";
            line(keys, FAINT, row(inner, 4), buffer);
        }
        true => {
            let asked = format!("Nobody is told of them for {time}. Is that so?");
            line(&asked, Style::new(), row(inner, 2), buffer);
            line("y: yes   n: no", FAINT, row(inner, 4), buffer);
        }
    }
}

fn times(choosing: &Choosing, area: Rect, buffer: &mut Buffer) {
    let mut x = area.x;
    for (index, time) in TIMES.iter().enumerate() {
        let style = if index == choosing.choice {
            CHOSEN
        } else {
            Style::new()
        };
        let room = area.right().saturating_sub(x);
        if area.height > 0 {
            x += write(&format!(" {time} "), style, x, area.y, room, buffer);
        }
    }
}

/// A line of a window; of no height if there is none.
fn row(inner: Rect, index: u16) -> Rect {
    Rect {
        y: inner.y + index.min(inner.height),
        height: u16::from(index < inner.height),
        ..inner
    }
}
