//! Captures of stacks: whose turn it is, and who is told what has come of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Running, Worker, lock, refusal};
use crate::collect::heap::capturing::{Capturing, Resolving};
use crate::collect::heap::pinpoint::{Pinpoint, Pinpointed};
use crate::collect::heap::prober::Order;
use crate::collect::heap::probes::N_CAPTURES;
use crate::collect::heap::reading::Capture;
use crate::collect::heap::subject::{Subject, Tools};
use crate::sample::ProcessId;

/// Captures for rules that sample at a time; the other rings are for users.
const MAX_PINPOINTING: usize = 4;
/// A user's capture ends by its own clock, and its stacks with it.
const LONGER: Duration = Duration::from_secs(60);

/// Who wants to know what has come of a capture of stacks.
#[derive(Debug)]
pub(super) enum Asker {
    /// A rule, about that process.
    Rule(ProcessId),
    /// A user, by the id of a capture of which all else is known.
    User(u64, Box<Capture>),
}

/// Looks after the stacks of a subject. They are over if there is something to be resolved, or
/// nothing any more.
pub(super) fn tend(
    subject: &mut Subject,
    tools: &Tools<'_>,
    now: Instant,
) -> Result<Option<Resolving>> {
    let is_due = subject.stacks().is_some_and(|it| now >= it.look_at());
    if !is_due {
        return Ok(None);
    }
    let looked = subject.look_at_stacks(tools, now);
    let ended = looked.and_then(|()| subject.end_stacks_if_over(tools, now));
    if ended.is_err() {
        subject.abandon_stacks(tools);
    }
    ended
}

impl Worker {
    /// Begins those whose turn it is.
    pub(super) fn begin_pinpoints(&mut self) {
        loop {
            let n_running = self.subjects.iter().filter(|it| it.stacks().is_some());
            if n_running.count() >= MAX_PINPOINTING {
                return;
            }
            let Some(order) = self.orders.pop_front() else {
                return;
            };
            if let Err(error) = self.begin_pinpoint(order) {
                self.pinpoint_ended(order.process, Err(error));
            }
        }
    }

    fn begin_pinpoint(&mut self, order: Order) -> Result<()> {
        if !self.load() {
            let failure = lock(&self.board).failure.clone().unwrap_or_default();
            anyhow::bail!("heaps cannot be measured: {failure}");
        }
        let known = self
            .subjects
            .iter()
            .position(|subject| subject.process() == order.process);
        let index = match known {
            Some(index) => index,
            None => {
                let subject = self.start(order.process, Some(order.ceiling))?;
                self.subjects.push(subject);
                self.subjects.len() - 1
            }
        };
        let mut subject = self.subjects.swap_remove(index);
        let begun = self.capture_stacks(&mut subject, order.settings);
        // One that nobody wants otherwise goes with the next look.
        self.subjects.push(subject);
        begun
    }

    /// Why there will be no stacks, if so.
    pub(super) fn capture_stacks_for_user(
        &self,
        subject: &mut Subject,
        time: Duration,
    ) -> Option<String> {
        let settings = Pinpoint {
            time: time + LONGER,
            ..Pinpoint::default()
        };
        let begun = self.capture_stacks(subject, settings);
        begun.err().map(|error| format!("{error:#}"))
    }

    fn capture_stacks(&self, subject: &mut Subject, settings: Pinpoint) -> Result<()> {
        let running = self.captures.iter().map(|running| &running.subject);
        let used: Vec<_> = self
            .subjects
            .iter()
            .chain(running)
            .filter_map(|subject| Some(subject.stacks()?.number()))
            .collect();
        let number = (0..N_CAPTURES)
            .find(|number| !used.contains(number))
            .context("as many stacks are captured as can be")?;
        let tools = self.tools().context("the probes are not loaded")?;
        let capturing = Capturing::begin(
            tools.probes,
            &self.hearer,
            number,
            subject.process().pid,
            settings,
            subject.bytes_per_sec(),
        )?;
        let begun = subject.capture_stacks(&tools, capturing);
        if begun.is_err() {
            subject.abandon_stacks(&tools);
        }
        begun
    }

    /// A user's capture has ended: its stacks are resolved, then it is handed out.
    pub(super) fn end_capture(&mut self, mut running: Running, captured: Result<Capture>) {
        let Running { id, .. } = running;
        let process = running.subject.process();
        let resolving = match (&captured, self.tools()) {
            (Ok(_), Some(tools)) => running.subject.end_stacks(&tools),
            _ => Ok(None),
        };
        self.release(vec![running.subject]);
        let mut capture = match captured {
            Ok(capture) => capture,
            Err(error) => return self.finish(id, Err(refusal(process, &error))),
        };
        match resolving {
            Ok(Some(resolving)) => {
                let asker = Asker::User(id, Box::new(capture));
                return self.resolving.push((asker, resolving));
            }
            Ok(None) => {}
            Err(error) => running.without_stacks = Some(format!("{error:#}")),
        }
        if let Some(why) = running.without_stacks {
            capture.loss.push(unseen(&why));
        }
        self.finish(id, Ok(capture));
    }

    /// Takes the probes out of those that were measured for their stacks only.
    pub(super) fn release_unwanted(&mut self) {
        let (stay, go): (Vec<_>, Vec<_>) = self.subjects.drain(..).partition(|subject| {
            subject.stacks().is_some() || self.measured.contains(&subject.process())
        });
        self.subjects = stay;
        self.release(go);
    }

    /// Tells who has asked what has been resolved by now.
    pub(super) fn hand_out_sites(&mut self, now: Instant) {
        for (asker, resolving) in std::mem::take(&mut self.resolving) {
            let Some(result) = resolving.result(now) else {
                self.resolving.push((asker, resolving));
                continue;
            };
            match asker {
                Asker::Rule(process) => self.pinpoint_ended(process, result),
                Asker::User(id, mut capture) => {
                    match result {
                        Ok(pinpointed) => {
                            capture.sites = pinpointed.sites.sites;
                            capture.loss.extend(pinpointed.sites.loss);
                        }
                        Err(error) => capture.loss.push(unseen(&format!("{error:#}"))),
                    }
                    self.finish(id, Ok(*capture));
                }
            }
        }
    }

    pub(super) fn pinpoint_ended(&self, process: ProcessId, result: Result<Pinpointed>) {
        let result = result.map_err(|error| {
            format!(
                "where process {} allocates cannot be seen: {error:#}",
                process.pid
            )
        });
        lock(&self.board).pinpoint_ended(process, result);
    }
}

fn unseen(why: &str) -> String {
    format!("where it allocates: {why}")
}
