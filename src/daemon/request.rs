//! What somebody wants of the loop by the bus, who has been found to be allowed it.

use super::{Daemon, clock};
use crate::bus::{Answer, Question, Reply, Request};
use crate::quantity::Span;

impl Daemon {
    /// Does what is asked, and answers. What it changes is on disk before the answer.
    pub(super) fn answer(&mut self, question: Question) {
        let answer = match &question.request {
            Request::Explain(process) => {
                let explained = self.explained(*process);
                explained.map(|explained| Reply::Explained(Box::new(explained)))
            }
            Request::Processes(count) => Ok(Reply::Processes(self.growers(*count))),
            Request::Curve { pid, start_time } => Ok(Reply::Curve(self.curve(*pid, *start_time))),
            Request::Acknowledge { id, by } => self.acknowledge(id, by),
            Request::Silence {
                matcher,
                time,
                comment,
                by,
            } => {
                let now = clock::now().time;
                let until = after(now, *time);
                let silences = self.state.book.silences();
                let added = silences.add(now, (**matcher).clone(), until, by.clone(), comment);
                self.silenced();
                added.map(|silence| Reply::Silenced(silence.id))
            }
            Request::Unsilence(id) => {
                let was_there = self.state.book.silences().remove(id);
                self.silenced();
                match was_there {
                    true => Ok(Reply::Done(String::new())),
                    false => Err(format!(
                        "there is no silence {id:?}: \"memleakctl silences\" lists them"
                    )),
                }
            }
            Request::Reload => match self.reload() {
                Ok(()) => Ok(Reply::Done(String::new())),
                Err(fault) => Err(format!("{fault}; the old configuration stays in force")),
            },
            Request::Test(sink) => {
                let (sink, host) = (sink.clone(), clock::host());
                let now = clock::now().time;
                self.trials.begin(&self.outlets, question, &sink, now, host);
                return;
            }
        };
        question.answer(answer);
    }

    fn acknowledge(&mut self, id: &str, by: &str) -> Answer {
        let now = clock::now();
        let said = self.state.book.acknowledge(&now, id, by)?;
        self.put(said.into_iter().collect());
        self.save();
        self.publish(self.status());
        self.dispatch();
        Ok(Reply::Done(String::new()))
    }

    /// Silences have changed: who looks sees it, and the next round says it.
    fn silenced(&mut self) {
        self.state.book.mute(clock::now().time);
        self.save();
        self.publish(self.status());
    }
}

/// A time after another one; the end of time if it is beyond that.
fn after(now: jiff::Timestamp, time: Span) -> jiff::Timestamp {
    let time = jiff::SignedDuration::try_from_secs_f64(time.secs());
    time.ok()
        .and_then(|time| now.checked_add(time).ok())
        .unwrap_or(jiff::Timestamp::MAX)
}
