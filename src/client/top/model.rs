//! What is known and chosen: takes answers and keys in, says what is to be asked. It does no I/O
//! and reads no clock.

mod prompt;
mod standing;

pub(super) use prompt::{Choosing, Prompt, TIMES};
pub(super) use standing::{Standing, told as told_of};

use super::Listed;
use super::entry::{Entry, Key};
use super::key::{Action, Focus};
use super::layout;
use super::list::{Arrangement, Row, Selected, rows};
use super::page::{Page, Text};
use crate::alert::{Alert, Matcher};
use crate::bus::{Explained, Status};
use crate::client::Marks;
use crate::client::silences::like_of;
use crate::collect::Capture;
use crate::quantity::{Span, count};

/// A process is measured for so long when that is asked for by a key.
pub(super) const CAPTURE_TIME: Span = Span::from_secs(30);
/// What was said stays for so long.
const NOTE_SECS: f64 = 8.0;
/// A page of a process is asked for anew so often, and not at all if that was refused.
const EXPLAIN_SECS: f64 = 5.0;
/// Characters of a filter.
const MAX_FILTER: usize = 100;

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// End.
    Quit,
    /// Stop, as the shell's job.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Ask for a view now.
    Renew(Listed),
    /// Ask why a process is taken for one that leaks, or is not.
    Explain(u32),
    /// Take note of an alert.
    Acknowledge {
        /// Which.
        id: String,
        /// What it is about, for the answer.
        who: String,
    },
    /// Silence alerts.
    Silence {
        /// Which.
        matcher: Matcher,
        /// For how long.
        time: Span,
    },
    /// Measure a process for [`CAPTURE_TIME`].
    Capture(u32),
}

/// What has come from outside.
#[derive(Debug)]
pub(super) enum Answer {
    /// What the daemon knows now.
    Renewed(Box<Renewed>),
    /// The daemon does not run.
    Absent,
    /// The daemon could not be asked, for a reason.
    Failed(String),
    /// Why a process is taken for one that leaks, or is not.
    Explained(u32, Result<Box<Explained>, String>),
    /// What a capture has found.
    Captured(u32, Result<Box<Capture>, String>),
    /// Something else was done, as a sentence says, or was not.
    Done(Result<String, String>),
}

/// What is asked for again and again.
#[derive(Debug)]
pub(super) struct Renewed {
    /// Figures of the daemon.
    pub status: Status,
    /// The open alerts.
    pub alerts: Vec<Alert>,
    /// Which view was asked for.
    pub listed: Listed,
    /// Its processes.
    pub entries: Vec<Entry>,
}

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
                let Some(capturing) = self.capturing.take_if(|of| of.pid == pid) else {
                    return None;
                };
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

    /// Does what a key asks for. Returns what is to be done outside.
    pub fn act(&mut self, action: Action, now_secs: f64) -> Option<Order> {
        // A key means that what was said has been read.
        self.note = None;
        match action {
            Action::Quit => return Some(Order::Quit),
            Action::Suspend => return Some(Order::Suspend),
            Action::Redraw => return Some(Order::Redraw),
            _ => {}
        }
        match self.focus() {
            Focus::Filter => {
                self.edit(action);
                None
            }
            Focus::Choice | Focus::Question => self.choose(action),
            Focus::Text => self.read(action, now_secs),
            Focus::List => self.browse(action, now_secs),
        }
    }

    /// A key while the list is in front.
    fn browse(&mut self, action: Action, now_secs: f64) -> Option<Order> {
        match action {
            Action::Up => self.select(-1),
            Action::Down => self.select(1),
            Action::PageUp => self.select(-self.list_room().cast_signed()),
            Action::PageDown => self.select(self.list_room().cast_signed()),
            Action::First => self.select(isize::MIN),
            Action::Last => self.select(isize::MAX),
            Action::View(listed) => return self.view(listed),
            Action::NextView => {
                return self.view(match self.listed {
                    Listed::Pages => Listed::Heap,
                    Listed::Heap => Listed::Kernel,
                    Listed::Kernel => Listed::Pages,
                });
            }
            Action::PreviousView => {
                return self.view(match self.listed {
                    Listed::Pages => Listed::Kernel,
                    Listed::Heap => Listed::Pages,
                    Listed::Kernel => Listed::Heap,
                });
            }
            Action::Tree => {
                let arrangement = self.arrangement_mut();
                arrangement.is_tree = !arrangement.is_tree;
            }
            Action::Fold => self.fold(),
            Action::SortNext | Action::SortPrevious => {
                let listed = self.listed;
                let is_forward = action == Action::SortNext;
                self.arrangement_mut().sort_by_next(listed, is_forward);
            }
            Action::Reverse => {
                let arrangement = self.arrangement_mut();
                arrangement.is_descending = !arrangement.is_descending;
            }
            Action::Filter => {
                let before = self.arrangement().filter.clone();
                self.prompt = Some(Prompt::Filter { before });
            }
            Action::Back => self.arrangement_mut().filter.clear(),
            Action::Enter => {
                let Some((key, page)) = self.selected_entry().map(|entry| {
                    let key = entry.key();
                    (key, Page::process(key, &entry.comm, now_secs))
                }) else {
                    self.fold();
                    return None;
                };
                self.pages.push(page);
                return Some(Order::Explain(key.pid));
            }
            other => return self.answer(other, now_secs),
        }
        self.keep_in_sight();
        None
    }

    /// A key while a page is in front.
    fn read(&mut self, action: Action, now_secs: f64) -> Option<Order> {
        let (length, at) = self
            .page_text()
            .map_or((0, 0), |(lines, at)| (lines.len(), at));
        let room = self.page_room();
        let scroll = match action {
            Action::Up => at.saturating_sub(1),
            Action::Down => at.saturating_add(1),
            Action::PageUp => at.saturating_sub(room),
            Action::PageDown => at.saturating_add(room),
            Action::First => 0,
            Action::Last => length,
            Action::Back => {
                self.pages.pop();
                return None;
            }
            other => return self.answer(other, now_secs),
        };
        if let Some(page) = self.pages.last_mut() {
            page.scroll = scroll.min(length.saturating_sub(room));
        }
        None
    }

    /// What one asks for of a process, in the list or on its page.
    fn answer(&mut self, action: Action, now_secs: f64) -> Option<Order> {
        match action {
            Action::Help if !matches!(self.pages.last(), Some(page) if page.is_help()) => {
                self.pages.push(Page::help());
            }
            Action::Acknowledge => {
                let (id, who, _) = self.alert_of_subject(now_secs)?;
                return Some(Order::Acknowledge { id, who });
            }
            Action::Silence => {
                let (_, _, matcher) = self.alert_of_subject(now_secs)?;
                self.prompt = Some(Prompt::Silence(Choosing::new(matcher)));
            }
            Action::Capture => {
                let Some((pid, comm)) = self.subject().map(|of| (of.pid, of.comm.clone())) else {
                    self.tell(NO_PROCESS.to_owned(), true, now_secs);
                    return None;
                };
                if let Some(of) = &self.capturing {
                    let text = format!("{} (pid {}) is being measured", of.comm, of.pid);
                    self.tell(text, true, now_secs);
                    return None;
                }
                self.capturing = Some(Capturing {
                    pid,
                    comm,
                    since_secs: now_secs,
                });
                return Some(Order::Capture(pid));
            }
            _ => {}
        }
        None
    }

    /// The worst open alert of the process that keys are about, who that is, and which alerts are
    /// like it. Says so if there is none.
    fn alert_of_subject(&mut self, now_secs: f64) -> Option<(String, String, Matcher)> {
        let Some(subject) = self.subject() else {
            self.tell(NO_PROCESS.to_owned(), true, now_secs);
            return None;
        };
        let who = format!("{} (pid {})", subject.comm, subject.pid);
        let id = subject.alerts.first();
        let open = id.and_then(|id| self.alerts.iter().find(|alert| alert.id == *id));
        let Some(alert) = open else {
            self.tell(format!("{who} has no open alert"), true, now_secs);
            return None;
        };
        Some((alert.id.clone(), who, like_of(alert)))
    }

    /// A key while the filter is written: it works at once.
    fn edit(&mut self, action: Action) {
        let Some(Prompt::Filter { before }) = &self.prompt else {
            return;
        };
        let before = before.clone();
        let filter = &mut self.arrangement_mut().filter;
        match action {
            Action::Type(c) if filter.chars().count() < MAX_FILTER && !c.is_control() => {
                filter.push(c);
            }
            Action::Erase => {
                filter.pop();
            }
            Action::EraseAll => filter.clear(),
            Action::Enter => self.prompt = None,
            Action::Back => {
                *filter = before;
                self.prompt = None;
            }
            Action::Up => self.select(-1),
            Action::Down => self.select(1),
            _ => {}
        }
        self.keep_in_sight();
    }

    /// A key while a silence is chosen.
    fn choose(&mut self, action: Action) -> Option<Order> {
        let Some(Prompt::Silence(choosing)) = &mut self.prompt else {
            return None;
        };
        match action {
            Action::Up => choosing.previous(),
            Action::Down => choosing.next(),
            Action::Enter => choosing.is_sure = true,
            Action::Yes => {
                let (matcher, time) = (choosing.matcher.clone(), choosing.time());
                self.prompt = None;
                return Some(Order::Silence { matcher, time });
            }
            // From the question to the choice, and from there to where it was.
            Action::Back if choosing.is_sure => choosing.is_sure = false,
            Action::Back => self.prompt = None,
            _ => {}
        }
        None
    }

    fn view(&mut self, listed: Listed) -> Option<Order> {
        if listed == self.listed {
            return None;
        }
        // What was looked for is looked for in the other view as well.
        let (filter, is_tree) = {
            let arrangement = self.arrangement();
            (arrangement.filter.clone(), arrangement.is_tree)
        };
        self.listed = listed;
        let arrangement = self.arrangement_mut();
        arrangement.filter = filter;
        arrangement.is_tree = is_tree;
        self.keep_in_sight();
        Some(Order::Renew(listed))
    }

    /// Shows or hides the processes of the unit that is selected, or whose process is.
    fn fold(&mut self) {
        if !self.arrangement().is_tree {
            return;
        }
        let unit = match &self.selected {
            Some(Selected::Unit(unit)) => unit.clone(),
            Some(Selected::Process(_)) => match self.selected_entry() {
                Some(entry) => entry.unit.clone(),
                None => return,
            },
            None => return,
        };
        let folded = &mut self.arrangement_mut().folded;
        if !folded.remove(&unit) {
            folded.insert(unit.clone());
        }
        self.selected = Some(Selected::Unit(unit));
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

/// What is said if a key is about a process and there is none.
const NO_PROCESS: &str = "no process is selected";

/// What is to be seen, in few words: for the first line.
pub(super) fn figures(status: &Status) -> String {
    format!(
        "{}, {}, {} open",
        count(status.processes, "process", "processes"),
        count(status.suspects, "suspect", "suspects"),
        count(status.alerts, "alert", "alerts"),
    )
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
