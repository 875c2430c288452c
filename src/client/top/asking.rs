//! Asks the daemon, on threads of its own: keys are answered at once, however slow it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Listed;
use super::entry::Entry;
use super::model::{Answer, CAPTURE_TIME, Order, Renewed};
use super::session::Event;
use crate::bus::Client;
use crate::client::capture::captured_quietly;
use crate::client::silences::words;
use crate::collect::Host;

/// A renewal that takes longer is given up: the next one may fare better.
const PATIENCE: Duration = Duration::from_secs(10);
/// At most so many questions wait for their answers: each may wait for a password.
const MAX_UNDER_WAY: usize = 8;
/// Bounds of how often the daemon is asked, whatever its interval is.
const LEAST_SECS: f64 = 1.0;
const MOST_SECS: f64 = 5.0;

/// How often the daemon is asked what it knows, in seconds: what it scans more seldom is asked for
/// more seldom.
pub(super) fn renewal_secs(interval_secs: f64) -> f64 {
    // What is no number is neither more nor less.
    match interval_secs > LEAST_SECS {
        true => interval_secs.min(MOST_SECS),
        false => LEAST_SECS,
    }
}

/// Who asks the daemon.
#[derive(Debug)]
pub(super) struct Asking {
    wanted: Sender<Listed>,
    events: Sender<Event>,
    under_way: Arc<AtomicUsize>,
}

impl Asking {
    /// Begins to ask for a view with so many processes, again and again.
    pub fn start(listed: Listed, count: u32, events: Sender<Event>) -> Result<Self> {
        let (wanted, changes) = channel();
        let answers = events.clone();
        thread::Builder::new()
            .name("renewals".to_owned())
            .spawn(move || renew(listed, count, &changes, &answers))
            .context("starting a thread")?;
        Ok(Self {
            wanted,
            events,
            under_way: Arc::default(),
        })
    }

    /// Asks for a view from now on, and at once.
    pub fn renew(&self, listed: Listed) {
        // The thread ends with the program.
        self.wanted.send(listed).ok();
    }

    /// Has something done that may take its time.
    pub fn order(&self, order: Order) {
        let under_way = Arc::clone(&self.under_way);
        if under_way.fetch_add(1, Ordering::Relaxed) >= MAX_UNDER_WAY {
            under_way.fetch_sub(1, Ordering::Relaxed);
            self.answer(refused(&order, "too many questions wait for their answers"));
            return;
        }
        let events = self.events.clone();
        let asked = order.clone();
        let started = thread::Builder::new()
            .name("order".to_owned())
            .spawn(move || {
                let answer = carry_out(&order);
                under_way.fetch_sub(1, Ordering::Relaxed);
                // Whoever asked has quit.
                events.send(Event::Answer(answer)).ok();
            });
        if let Err(error) = started {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            self.answer(refused(&asked, &format!("starting a thread: {error}")));
        }
    }

    fn answer(&self, answer: Answer) {
        self.events.send(Event::Answer(answer)).ok();
    }
}

/// Asks for what is wanted until nobody wants it any more.
fn renew(mut listed: Listed, count: u32, wanted: &Receiver<Listed>, events: &Sender<Event>) {
    let mut client = None;
    let mut users = BTreeMap::new();
    let mut wait = Duration::from_secs_f64(LEAST_SECS);
    loop {
        let answer = match renewed(&mut client, listed, count, &mut users) {
            Ok(Some(renewed)) => {
                wait = Duration::from_secs_f64(renewal_secs(renewed.status.interval_secs));
                Answer::Renewed(Box::new(renewed))
            }
            Ok(None) => Answer::Absent,
            Err(error) => {
                // The bus itself may have been started anew.
                client = None;
                Answer::Failed(format!("{error:#}"))
            }
        };
        if events.send(Event::Answer(answer)).is_err() {
            return;
        }
        match wanted.recv_timeout(wait) {
            Ok(next) => listed = wanted.try_iter().last().unwrap_or(next),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What the daemon knows; nothing if it does not run. Asking does not start it.
fn renewed(
    known: &mut Option<Client>,
    listed: Listed,
    count: u32,
    users: &mut BTreeMap<u32, String>,
) -> Result<Option<Renewed>> {
    let client = match known {
        Some(client) => client,
        None => known.insert(Client::connect_within(PATIENCE)?),
    };
    if !client.finds_daemon() {
        // Or the bus is away: that is found out by connecting.
        *known = None;
        Client::connect_within(PATIENCE)?;
        return Ok(None);
    }
    let status = client.status()?;
    let alerts = client.alerts()?;
    let host = Host::new("/");
    let mut user = |uid: u32| {
        let name = users
            .entry(uid)
            .or_insert_with(|| host.user(uid).unwrap_or_else(|| uid.to_string()));
        name.clone()
    };
    let entries = match listed {
        Listed::Pages => {
            let processes = client.processes(count)?.into_iter();
            processes
                .map(|process| Entry::of_pages(process, &alerts, &mut user))
                .collect()
        }
        Listed::Heap | Listed::Kernel => {
            let source = if listed == Listed::Heap {
                "heap"
            } else {
                "kernel"
            };
            let measured = client.measured(source, count)?.into_iter();
            measured
                .map(|measured| Entry::of_measured(measured, &alerts, &mut user))
                .collect()
        }
    };
    Ok(Some(Renewed {
        status,
        alerts,
        listed,
        entries,
    }))
}

/// Does what is asked, which may wait for a password.
fn carry_out(order: &Order) -> Answer {
    let client = match Client::connect() {
        Ok(client) => client,
        Err(error) => return refused(order, &format!("{error:#}")),
    };
    let said = |done: Result<String>| Answer::Done(done.map_err(|error| format!("{error:#}")));
    match order {
        Order::Explain(pid) => {
            let explained = client.explain(*pid).map(Box::new);
            Answer::Explained(*pid, explained.map_err(|error| format!("{error:#}")))
        }
        Order::Capture(pid) => {
            let captured = captured_quietly(&client, *pid, CAPTURE_TIME).map(Box::new);
            Answer::Captured(*pid, captured.map_err(|error| format!("{error:#}")))
        }
        Order::Acknowledge { id, who } => said(
            client
                .acknowledge(id)
                .map(|()| format!("the alert of {who} is acknowledged: no more reminders")),
        ),
        Order::Silence { matcher, time } => {
            let silence = client.silence(matcher, *time, "");
            said(silence.map(|id| {
                let of = words(matcher);
                format!(
                    "nobody is told of {of} for {time}; \"memleakctl unsilence {id}\" takes it back"
                )
            }))
        }
        Order::Quit | Order::Suspend | Order::Redraw | Order::Renew(_) => {
            refused(order, "that is no question")
        }
    }
}

/// The answer to an order that was not carried out.
fn refused(order: &Order, why: &str) -> Answer {
    let why = why.to_owned();
    match order {
        Order::Explain(pid) => Answer::Explained(*pid, Err(why)),
        Order::Capture(pid) => Answer::Captured(*pid, Err(why)),
        _ => Answer::Done(Err(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_asked_as_often_as_it_looks_within_bounds() {
        for (interval_secs, expected) in [
            (0.1, 1.0),
            (2.0, 2.0),
            (10.0, 5.0),
            (0.0, 1.0),
            (f64::NAN, 1.0),
            (f64::INFINITY, 5.0),
        ] {
            assert_eq!(renewal_secs(interval_secs), expected, "{interval_secs}");
        }
    }
}
