//! What each key does, by what is in front.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Listed;

/// What is in front, and so gets the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    /// The list.
    List,
    /// A page of text: a process, a capture, the help.
    Text,
    /// The line in which the filter is written.
    Filter,
    /// The choice of a time.
    Choice,
    /// A question that is answered by yes or no.
    Question,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The end.
    Quit,
    /// To the shell, until it says to go on.
    Suspend,
    /// Everything drawn anew.
    Redraw,
    /// A line up, or the choice before.
    Up,
    /// A line down, or the next choice.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// Opens what is selected, or takes what is chosen.
    Enter,
    /// Back to what was in front before.
    Back,
    /// The help.
    Help,
    /// Another view.
    View(Listed),
    /// The next view.
    NextView,
    /// The view before.
    PreviousView,
    /// The tree by unit, or the list.
    Tree,
    /// Shows or hides the processes of a unit.
    Fold,
    /// Sorts by the column to the right.
    SortNext,
    /// Sorts by the column to the left.
    SortPrevious,
    /// Turns the order around.
    Reverse,
    /// Begins to write a filter.
    Filter,
    /// Takes note of an alert.
    Acknowledge,
    /// Silences alerts.
    Silence,
    /// Has a process measured.
    Capture,
    /// Yes, do it.
    Yes,
    /// A character of the filter.
    Type(char),
    /// Takes the last character of the filter away.
    Erase,
    /// Takes all of the filter away.
    EraseAll,
}

/// What a key does; nothing for most.
pub(super) fn action(key: KeyEvent, focus: Focus) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match (key.code, focus) {
            (KeyCode::Char('c'), _) => Some(Action::Quit),
            (KeyCode::Char('z'), _) => Some(Action::Suspend),
            (KeyCode::Char('l'), _) => Some(Action::Redraw),
            (KeyCode::Char('u'), Focus::Filter) => Some(Action::EraseAll),
            (KeyCode::Char('h'), Focus::Filter) => Some(Action::Erase),
            (KeyCode::Char('b'), _) => Some(Action::PageUp),
            (KeyCode::Char('f'), _) => Some(Action::PageDown),
            _ => None,
        };
    }
    match focus {
        Focus::Filter => match key.code {
            KeyCode::Char(c) => Some(Action::Type(c)),
            KeyCode::Backspace => Some(Action::Erase),
            code => moving(code),
        },
        Focus::Question => match key.code {
            KeyCode::Char('y' | 'Y') => Some(Action::Yes),
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => Some(Action::Back),
            _ => None,
        },
        Focus::Choice => match key.code {
            KeyCode::Left | KeyCode::BackTab => Some(Action::Up),
            KeyCode::Right | KeyCode::Tab => Some(Action::Down),
            KeyCode::Char('q') => Some(Action::Back),
            code => moving(code).or_else(|| moving_by_letter(code)),
        },
        Focus::Text => match key.code {
            KeyCode::Backspace | KeyCode::Left => Some(Action::Back),
            KeyCode::Char(' ') => Some(Action::PageDown),
            code => of_page(code),
        },
        Focus::List => match key.code {
            KeyCode::Char('1') => Some(Action::View(Listed::Pages)),
            KeyCode::Char('2') => Some(Action::View(Listed::Heap)),
            KeyCode::Char('3') => Some(Action::View(Listed::Kernel)),
            KeyCode::Tab => Some(Action::NextView),
            KeyCode::BackTab => Some(Action::PreviousView),
            KeyCode::Char('t') => Some(Action::Tree),
            KeyCode::Char(' ') => Some(Action::Fold),
            KeyCode::Left | KeyCode::Char('<') => Some(Action::SortPrevious),
            KeyCode::Right | KeyCode::Char('>') => Some(Action::SortNext),
            KeyCode::Char('r') => Some(Action::Reverse),
            KeyCode::Char('/') => Some(Action::Filter),
            code => of_page(code),
        },
    }
}

/// What is the same in the list and on a page.
fn of_page(code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => Some(Action::Help),
        KeyCode::Char('a') => Some(Action::Acknowledge),
        KeyCode::Char('s') => Some(Action::Silence),
        KeyCode::Char('c') => Some(Action::Capture),
        code => moving(code).or_else(|| moving_by_letter(code)),
    }
}

/// What moves, opens and goes back everywhere.
fn moving(code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Up => Some(Action::Up),
        KeyCode::Down => Some(Action::Down),
        KeyCode::PageUp => Some(Action::PageUp),
        KeyCode::PageDown => Some(Action::PageDown),
        KeyCode::Home => Some(Action::First),
        KeyCode::End => Some(Action::Last),
        KeyCode::Enter => Some(Action::Enter),
        KeyCode::Esc => Some(Action::Back),
        _ => None,
    }
}

/// As less and vi have it.
fn moving_by_letter(code: KeyCode) -> Option<Action> {
    match code {
        KeyCode::Char('k') => Some(Action::Up),
        KeyCode::Char('j') => Some(Action::Down),
        KeyCode::Char('g') => Some(Action::First),
        KeyCode::Char('G') => Some(Action::Last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_what_is_in_front_asks_for() {
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let letter = |c| plain(KeyCode::Char(c));
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        for (key, focus, expected) in [
            (letter('q'), Focus::List, Some(Action::Quit)),
            (letter('q'), Focus::Text, Some(Action::Quit)),
            (letter('q'), Focus::Filter, Some(Action::Type('q'))),
            (letter('q'), Focus::Choice, Some(Action::Back)),
            (letter('q'), Focus::Question, Some(Action::Back)),
            (letter('y'), Focus::Question, Some(Action::Yes)),
            (plain(KeyCode::Enter), Focus::Question, None),
            (letter('y'), Focus::List, None),
            (letter('h'), Focus::List, Some(Action::Help)),
            (letter('h'), Focus::Filter, Some(Action::Type('h'))),
            (letter('/'), Focus::List, Some(Action::Filter)),
            (letter('/'), Focus::Text, None),
            (letter('2'), Focus::List, Some(Action::View(Listed::Heap))),
            (letter('j'), Focus::Text, Some(Action::Down)),
            (
                plain(KeyCode::Left),
                Focus::List,
                Some(Action::SortPrevious),
            ),
            (plain(KeyCode::Left), Focus::Choice, Some(Action::Up)),
            (plain(KeyCode::Left), Focus::Text, Some(Action::Back)),
            (plain(KeyCode::Esc), Focus::Filter, Some(Action::Back)),
            (control('z'), Focus::Text, Some(Action::Suspend)),
            (control('u'), Focus::Filter, Some(Action::EraseAll)),
            (control('u'), Focus::List, None),
            (control('a'), Focus::List, None),
        ] {
            assert_eq!(action(key, focus), expected, "{key:?} {focus:?}");
        }
    }

    #[test]
    fn ctrl_c_ends_it_wherever_one_is() {
        for focus in [
            Focus::List,
            Focus::Text,
            Focus::Filter,
            Focus::Choice,
            Focus::Question,
        ] {
            let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
            assert_eq!(action(key, focus), Some(Action::Quit));
            let released = KeyEvent {
                kind: KeyEventKind::Release,
                ..key
            };
            assert_eq!(action(released, focus), None);
        }
    }
}
