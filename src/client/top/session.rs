//! From the first drawing to the last: what keys, signals and the daemon say comes to one loop.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use ratatui::crossterm::event::{self, KeyEvent};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::Listed;
use super::asking::{Asking, renewal_secs};
use super::draw::draw;
use super::key::action;
use super::look::Look;
use super::model::{Answer, Model, Order};
use super::screen::{Screen, leave};
use crate::client::Marks;

/// Times are shown to the second.
const TICK: Duration = Duration::from_secs(1);
/// What moves is drawn more often.
const FAST_TICK: Duration = Duration::from_millis(250);

/// What the loop waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// A key.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// No more keys will come.
    Closed(std::io::Error),
    /// A signal.
    Signal(i32),
    /// The daemon has answered, or has not.
    Answer(Answer),
}

/// How it ended.
enum End {
    /// As a key asked.
    Quit,
    /// By a signal.
    Signal(i32),
}

/// Shows a view with so many processes on the whole screen until a key or a signal ends it.
pub(super) fn run(listed: Listed, count: u32, marks: Marks) -> Result<()> {
    let (sender, events) = channel();
    // Before the terminal is taken over: none of these may leave it like that.
    listen(&sender).context("listening for signals")?;
    let look = Look::of_terminal();
    let mut screen = Screen::enter()?;
    let asking = Asking::start(listed, count, sender.clone())?;
    read_keys(sender).context("starting a thread")?;
    let model = Model::new(listed, marks);
    let ended = follow(&mut screen, model, look, &asking, &events);
    drop(screen);
    if let End::Signal(signal) = ended? {
        // Whoever sent it sees that it was heeded, as of any program.
        emulate_default_handler(signal).context("ending by a signal")?;
    }
    Ok(())
}

fn follow(
    screen: &mut Screen,
    mut model: Model,
    look: Look,
    asking: &Asking,
    events: &Receiver<Event>,
) -> Result<End> {
    let started = Instant::now();
    loop {
        let now_secs = started.elapsed().as_secs_f64();
        let (columns, lines) = screen.size()?;
        model.resize(columns, lines);
        model.pass(now_secs);
        let renewal_secs = renewal_secs(model.status.interval_secs);
        screen.draw(|buffer| {
            draw(&model, renewal_secs, now_secs, buffer);
            look.apply(buffer);
        })?;
        let tick = if model.capturing.is_some() {
            FAST_TICK
        } else {
            TICK
        };
        let first = match events.recv_timeout(tick) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Err(Error::msg("nobody is listening")),
        };
        // All that waits is heeded before it is drawn: a key that is held does not run on.
        for event in std::iter::once(first).chain(events.try_iter()) {
            let now_secs = started.elapsed().as_secs_f64();
            let order = match event {
                Event::Key(key) => match action(key, model.focus()) {
                    Some(action) => model.act(action, now_secs),
                    None => None,
                },
                Event::Answer(answer) => model.learn(answer, now_secs),
                Event::Resized => None,
                Event::Closed(error) => return Err(Error::new(error).context("reading keys")),
                Event::Signal(SIGTSTP) => Some(Order::Suspend),
                Event::Signal(SIGCONT) => {
                    screen.enter_again()?;
                    None
                }
                Event::Signal(signal) => return Ok(End::Signal(signal)),
            };
            match order {
                None => {}
                Some(Order::Quit) => return Ok(End::Quit),
                Some(Order::Redraw) => screen.redraw()?,
                Some(Order::Renew(listed)) => asking.renew(listed),
                Some(Order::Suspend) => {
                    leave();
                    // Goes on here when the shell says so; SIGCONT then takes the screen again.
                    emulate_default_handler(SIGTSTP).context("stopping")?;
                }
                Some(order) => asking.order(order),
            }
        }
    }
}

/// Signals become events.
fn listen(events: &Sender<Event>) -> Result<()> {
    let taken = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT];
    let mut signals = Signals::new(taken)?;
    let events = events.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut signals = signals.forever();
            // Ends with the program.
            signals.all(|signal| events.send(Event::Signal(signal)).is_ok());
        })?;
    Ok(())
}

/// Keys and sizes become events.
fn read_keys(events: Sender<Event>) -> Result<()> {
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            loop {
                let event = match event::read() {
                    Ok(event::Event::Key(key)) => Event::Key(key),
                    Ok(event::Event::Resize(..)) => Event::Resized,
                    Ok(_) => continue,
                    Err(error) => {
                        events.send(Event::Closed(error)).ok();
                        return;
                    }
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}
