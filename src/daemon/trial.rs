//! Test alerts: whether a sink works is seen by having it say something.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use super::outlets::Outlets;
use crate::alert::{Alert, Change, TEST_ID};
use crate::bus::{Question, Reply};
use crate::file;
use crate::sink::{Delivery, TEST_SEQUENCE, TESTABLE};

/// For so long a test stands in Alertmanager.
const LASTS: SignedDuration = SignedDuration::from_secs(60);
/// A test that has not got through by then is told so.
const PATIENCE: Duration = Duration::from_secs(50);

/// Those that are under way.
#[derive(Debug, Default)]
pub(super) struct Trials {
    under_way: Vec<Trial>,
}

#[derive(Debug)]
struct Trial {
    sink: &'static str,
    question: Question,
    begun: Instant,
    /// The sink has had it, and another program is to carry it on.
    is_handed_on: bool,
}

impl Trials {
    /// Has a sink say a test alert. Who asked is answered now if that cannot be, else later.
    pub fn begin(
        &mut self,
        outlets: &Outlets,
        question: Question,
        asked: &str,
        now: Timestamp,
        host: &str,
    ) {
        // The desktop is told by the bus.
        let sink = if asked == "desktop" { "dbus" } else { asked };
        let Some(sink) = outlets.names().into_iter().find(|name| *name == sink) else {
            let why = match TESTABLE.contains(&asked) {
                true => format!(
                    "no alerts go to {asked}: the configuration does not ask for it, or it could not be started, as the log says"
                ),
                false => format!("there is no sink {asked:?}, but {}", TESTABLE.join(", ")),
            };
            return question.answer(Err(why));
        };
        if self.under_way.iter().any(|trial| trial.sink == sink) {
            return question.answer(Err(format!("a test of {sink} is under way already")));
        }
        let mut changes = vec![Alert::test(now, host)];
        if sink == "alertmanager" {
            // Nothing else would end it there.
            let end = now.checked_add(LASTS).unwrap_or(now);
            changes.push(Alert {
                change: Change::Cleared,
                time: end,
                ..Alert::test(now, host)
            });
        }
        let delivery = Delivery {
            sequence: TEST_SEQUENCE,
            changes,
        };
        if !outlets.offer(sink, delivery) {
            let why =
                format!("{sink} is busy with what it was given before: see \"memleakctl status\"");
            return question.answer(Err(why));
        }
        self.under_way.push(Trial {
            sink,
            question,
            begun: Instant::now(),
            is_handed_on: false,
        });
    }

    /// Takes in what a sink has to report of its test.
    pub fn take(&mut self, sink: &str, result: Result<()>) {
        let Some(index) = self.under_way.iter().position(|trial| trial.sink == sink) else {
            return;
        };
        match (result, sink) {
            (Err(error), _) => self.end(index, Err(format!("{error:#}"))),
            (Ok(()), "mail" | "alertmanager") => self.under_way[index].is_handed_on = true,
            (Ok(()), sink) => {
                let said = match sink {
                    "journal" => "the journal has it: see \"journalctl MEMLEAKD_ID=test\"",
                    "dbus" => "announced on the system bus, where memleakd-notify listens",
                    "hook" => "its unit was started, and has ended well",
                    _ => "written",
                };
                self.end(index, Ok(said.to_owned()));
            }
        }
    }

    /// Looks whether what was handed on has arrived, and gives up what takes too long.
    pub fn follow(&mut self, state_directory: Option<&Path>) {
        for index in (0..self.under_way.len()).rev() {
            let trial = &self.under_way[index];
            let is_late = trial.begun.elapsed() > PATIENCE;
            let fate = state_directory
                .filter(|_| trial.is_handed_on)
                .and_then(|directory| fate(directory, trial.sink));
            match fate {
                Some(fate) => self.end(index, fate),
                None if is_late => {
                    let sink = trial.sink;
                    let why = match trial.is_handed_on {
                        true => format!(
                            "it has not got through yet: see \"journalctl -u memleakd-{sink}\""
                        ),
                        false => format!("{sink} hangs: see the log"),
                    };
                    self.end(index, Err(why));
                }
                None => {}
            }
        }
    }

    fn end(&mut self, index: usize, result: Result<String, String>) {
        let trial = self.under_way.swap_remove(index);
        trial.question.answer(result.map(Reply::Done));
    }
}

/// What has become of a test that another program carries on; nothing while that is open. Both
/// remove the file of what has arrived.
fn fate(state_directory: &Path, sink: &str) -> Option<Result<String, String>> {
    let is_in = |directory: &Path| {
        let files = file::list(directory).unwrap_or_default();
        files.iter().any(|(_, path)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&format!("{TEST_ID}."))
        })
    };
    let directory = state_directory.join(match sink {
        "mail" => "spool",
        _ => "alertmanager",
    });
    if is_in(&directory) {
        return None;
    }
    match sink {
        "mail" if is_in(&directory.join("rejected")) => Some(Err(
            "the mail was refused: see \"journalctl -u memleakd-mail\"".to_owned(),
        )),
        "mail" => Some(Ok("a mail server has taken it".to_owned())),
        _ => Some(Ok(
            "Alertmanager has taken it, and ends it within a minute".to_owned()
        )),
    }
}
