//! What keys do to the model.

use super::prompt::{Choosing, Prompt};
use super::{Capturing, Model, Order};
use crate::alert::Matcher;
use crate::client::silences::like_of;
use crate::client::top::Listed;
use crate::client::top::key::{Action, Focus};
use crate::client::top::list::Selected;
use crate::client::top::page::Page;

/// Characters of a filter.
pub(super) const MAX_FILTER: usize = 100;
/// What is said if a key is about a process and there is none.
const NO_PROCESS: &str = "no process is selected";

impl Model {
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
}
