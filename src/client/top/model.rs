//! What is known and chosen: takes answers and keys in, says what is to be asked. It does no I/O
//! and reads no clock.

mod acting;
mod exchange;
mod prompt;
mod standing;

pub(super) use exchange::{Answer, CAPTURE_TIME, Order, Renewed};
pub(super) use prompt::{Choosing, Prompt, TIMES};
pub(super) use standing::{Standing, told as told_of};

use super::Listed;
use super::entry::{Entry, Key};
use super::key::Focus;
use super::layout;
use super::list::{Arrangement, Row, Selected, rows};
use super::page::{Page, Text};
use crate::alert::Alert;
use crate::bus::Status;
use crate::client::Marks;

/// What was said stays for so long.
const NOTE_SECS: f64 = 8.0;
/// A page of a process is asked for anew so often, and not at all if that was refused.
const EXPLAIN_SECS: f64 = 5.0;

/// One sentence about what was done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    /// The sentence.
    pub text: String,
    /// Whether something went wrong.
    pub is_failure: bool,
    /// Until when it is shown.
    until_secs: f64,
}

/// A capture that is under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Capturing {
    /// Of which process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Since when.
    pub since_secs: f64,
}

/// What is known and chosen. Times are in seconds since the program started.
#[derive(Debug)]
pub(super) struct Model {
    /// The view in front.
    pub listed: Listed,
    /// Figures of the daemon.
    pub status: Status,
    /// How things stand with the daemon.
    pub standing: Standing,
    /// The open alerts.
    pub alerts: Vec<Alert>,
    /// What was done last.
    pub note: Option<Note>,
    /// What is written or chosen in front of everything else.
    pub prompt: Option<Prompt>,
    /// The capture that is under way: there is one at most.
    pub capturing: Option<Capturing>,
    /// How gates are marked.
    pub marks: Marks,
    /// The processes of each view; `None` until they are known.
    known: [Option<Vec<Entry>>; 3],
    /// How each view is arranged.
    arrangements: [Arrangement; 3],
    /// The pages in front of the list, the last one uppermost.
    pages: Vec<Page>,
    /// The line that keys are about.
    selected: Option<Selected>,
    /// The first line of the list that is on the screen.
    first: usize,
    /// Columns of the screen.
    columns: usize,
    /// Lines of the screen.
    lines: usize,
}

impl Model {
    /// Nothing is known yet.
    pub fn new(listed: Listed, marks: Marks) -> Self {
        Self {
            listed,
            status: Status::default(),
            standing: Standing::new(),
            alerts: Vec::new(),
            note: None,
            prompt: None,
            capturing: None,
            marks,
            known: [None, None, None],
            arrangements: std::array::from_fn(|_| Arrangement::new()),
            pages: Vec::new(),
            selected: None,
            first: 0,
            columns: 80,
            lines: 24,
        }
    }

    /// The screen has so many columns and lines.
    pub fn resize(&mut self, columns: usize, lines: usize) {
        self.columns = columns;
        self.lines = lines;
        self.keep_in_sight();
    }

    /// What is in front, and so gets the keys.
    pub fn focus(&self) -> Focus {
        match (&self.prompt, self.pages.is_empty()) {
            (Some(Prompt::Filter { .. }), _) => Focus::Filter,
            (Some(Prompt::Silence(choosing)), _) if choosing.is_sure => Focus::Question,
            (Some(Prompt::Silence(_)), _) => Focus::Choice,
            (None, true) => Focus::List,
            (None, false) => Focus::Text,
        }
    }

    /// The page in front of the list.
    pub fn page(&self) -> Option<&Page> {
        self.pages.last()
    }

    /// The lines of the page in front, and the first one that is on the screen.
    pub fn page_text(&self) -> Option<(Vec<Text>, usize)> {
        let page = self.pages.last()?;
        let lines = page.lines(self, self.columns);
        let most = lines.len().saturating_sub(self.page_room());
        Some((lines, page.scroll.min(most)))
    }

    /// How many lines of text the page in front has room for.
    fn page_room(&self) -> usize {
        let room = layout::page_lines(self.lines);
        let has_chart = self.pages.last().is_some_and(Page::has_chart);
        let chart = if has_chart {
            layout::chart_lines(room)
        } else {
            0
        };
        room.saturating_sub(chart).max(1)
    }

    /// How many processes and units the list has room for.
    fn list_room(&self) -> usize {
        layout::list_lines(self.lines).max(1)
    }

    /// How the view in front is arranged.
    pub fn arrangement(&self) -> &Arrangement {
        &self.arrangements[index(self.listed)]
    }

    /// The processes of the view in front; `None` until they are known.
    pub fn entries(&self) -> Option<&[Entry]> {
        self.known[index(self.listed)].as_deref()
    }

    /// The lines of the list in front.
    pub fn rows(&self) -> Vec<Row<'_>> {
        rows(self.entries().unwrap_or_default(), self.arrangement())
    }

    /// The first line of the list that is on the screen.
    pub fn first(&self) -> usize {
        self.first
    }

    /// Which line is selected, of the lines of the list.
    pub fn selected_line(&self, rows: &[Row<'_>]) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        rows.iter().position(|row| row.is(selected))
    }

    /// What is known of a process, in the view of pages or else in the one in front.
    pub fn entry(&self, key: Key) -> Option<&Entry> {
        let lists = [Listed::Pages, self.listed].map(|listed| &self.known[index(listed)]);
        let mut entries = lists.into_iter().flatten().flatten();
        entries.find(|entry| entry.is(key))
    }

    /// The process that keys are about: that of the page, or the selected one.
    pub fn subject(&self) -> Option<&Entry> {
        match self.pages.last() {
            Some(page) => page.key().and_then(|key| self.entry(key)),
            None => self.selected_entry(),
        }
    }

    fn selected_entry(&self) -> Option<&Entry> {
        let Some(Selected::Process(key)) = &self.selected else {
            return None;
        };
        let entries = self.entries()?;
        entries.iter().find(|entry| entry.is(*key))
    }

    /// Takes an answer in. Returns what is to be asked next.
    pub fn learn(&mut self, answer: Answer, now_secs: f64) -> Option<Order> {
        match answer {
            Answer::Renewed(renewed) => {
                if self.standing.is_up(now_secs) {
                    self.tell("memleakd runs again".to_owned(), false, now_secs);
                }
                self.take(*renewed);
                return self.ask_again(now_secs);
            }
            Answer::Absent => self.standing.is_away(now_secs),
            Answer::Failed(why) => self.standing.fails(why, now_secs),
            Answer::Explained(pid, explained) => {
                let of = |page: &&mut Page| page.key().is_some_and(|key| key.pid == pid);
                if let Some(page) = self.pages.iter_mut().find(of) {
                    page.explain(explained, now_secs);
                }
            }
            Answer::Captured(pid, captured) => {
                let capturing = self.capturing.take_if(|of| of.pid == pid)?;
                match captured {
                    Ok(capture) => {
                        self.prompt = None;
                        self.pages.push(Page::captured(&capturing.comm, &capture));
                    }
                    Err(why) => self.tell(why, true, now_secs),
                }
            }
            Answer::Done(Ok(text)) => {
                self.tell(text, false, now_secs);
                return Some(Order::Renew(self.listed));
            }
            Answer::Done(Err(why)) => self.tell(why, true, now_secs),
        }
        None
    }

    /// What was said is forgotten after a while.
    pub fn pass(&mut self, now_secs: f64) {
        self.note.take_if(|note| note.until_secs <= now_secs);
    }

    fn take(&mut self, renewed: Renewed) {
        self.status = renewed.status;
        self.alerts = renewed.alerts;
        self.known[index(renewed.listed)] = Some(renewed.entries);
        self.keep_in_sight();
    }

    /// What is to be asked again of the page in front.
    fn ask_again(&mut self, now_secs: f64) -> Option<Order> {
        let page = self.pages.last_mut()?;
        let pid = page.key()?.pid;
        page.is_due(now_secs, EXPLAIN_SECS)
            .then_some(Order::Explain(pid))
    }

    fn tell(&mut self, text: String, is_failure: bool, now_secs: f64) {
        self.note = Some(Note {
            text,
            is_failure,
            until_secs: now_secs + NOTE_SECS,
        });
    }

    fn arrangement_mut(&mut self) -> &mut Arrangement {
        &mut self.arrangements[index(self.listed)]
    }

    /// Selects a line so many further down.
    fn select(&mut self, by: isize) {
        let rows = self.rows();
        let at = self.selected_line(&rows).unwrap_or(0);
        let to = at
            .saturating_add_signed(by)
            .min(rows.len().saturating_sub(1));
        let selected = rows.get(to).map(Row::selected);
        if selected.is_some() {
            self.selected = selected;
        }
    }

    /// Sees to it that a line is selected, and that it is on the screen.
    fn keep_in_sight(&mut self) {
        let rows = self.rows();
        let (n_rows, at) = (rows.len(), self.selected_line(&rows));
        let nearest = rows.get(self.first).or(rows.first()).map(Row::selected);
        let at = match at {
            Some(at) => at,
            None => {
                self.selected = nearest;
                self.first.min(n_rows.saturating_sub(1))
            }
        };
        let room = self.list_room();
        let last_first = n_rows.saturating_sub(room);
        let least = at.saturating_sub(room - 1);
        self.first = self.first.clamp(least, at.max(least)).min(last_first);
    }
}

fn index(listed: Listed) -> usize {
    match listed {
        Listed::Pages => 0,
        Listed::Heap => 1,
        Listed::Kernel => 2,
    }
}

#[cfg(test)]
mod tests;
