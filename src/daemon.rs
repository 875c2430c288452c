//! The daemon: one loop with one wait.
//!
//! Each round scans every process, lets the rules decide, tells the sinks, and then waits for the
//! next round, a signal or a sink's report, whichever comes first. What can fail at start fails
//! before readiness; after it, an error costs one round or one message.

mod clock;
mod complaint;
mod outlets;
mod report;
mod state;
mod supervisor;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{error, info};

use crate::bus::Shared;
use crate::collect::{Collector, Live};
use crate::config::{Config, Fault, Search, load_file};
use crate::sink::{Delivery, Form, Report};
use crate::watch::Watch;
use complaint::Complaints;
use outlets::Outlets;
use report::summary;
use state::{State, Store};
use supervisor::Supervisor;

/// Figures of open alerts are saved so often, even if nothing is said.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Read this file alone.
    pub config: Option<PathBuf>,
    /// Also write alerts to standard output.
    pub output: Option<Form>,
}

/// What the loop waits for.
#[derive(Debug)]
enum Event {
    Terminate,
    Reload,
    Report(Report),
}

/// The configuration that a command line asks for.
pub fn configuration(options: &Options) -> Result<Config, Fault> {
    match &options.config {
        Some(path) => load_file(path),
        None => Search {
            root: PathBuf::from("/"),
        }
        .load(),
    }
}

/// Runs until SIGTERM or SIGINT. An error is one of starting; it says what is missing.
pub fn run(options: &Options) -> Result<()> {
    let config = configuration(options)?;
    let (sender, events) = channel();
    listen_for_signals(sender.clone())?;
    let mut daemon = Daemon::start(options.clone(), config, sender)?;
    daemon.supervisor.set_interval(daemon.config.scan.interval);
    let mut next_round = Instant::now();
    daemon.round()?;
    loop {
        // A round that is late is not made up for.
        next_round = (next_round + daemon.config.scan.interval.duration()).max(Instant::now());
        if daemon.wait(&events, next_round) == Flow::End {
            daemon.stop(&events);
            return Ok(());
        }
        match daemon.round() {
            Ok(()) => daemon.complaints.settle("scan"),
            Err(error) => daemon.complaints.raise("scan", &error),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Flow {
    GoOn,
    End,
}

struct Daemon {
    options: Options,
    config: Config,
    collector: Box<dyn Collector>,
    watch: Watch,
    state: State,
    store: Store,
    saved: Instant,
    /// Deliveries that would be repeated if the daemon were killed now.
    is_delivered_unsaved: bool,
    outlets: Outlets,
    shared: Shared,
    supervisor: Supervisor,
    complaints: Complaints,
    round_secs: f64,
}

impl Daemon {
    fn start(options: Options, config: Config, sender: Sender<Event>) -> Result<Self> {
        let collector = Box::new(Live::load()?);
        let store = Store::open()?;
        let (state, same_boot) = store.load();
        let shared = Shared::default();
        let mut outlets = Outlets::new(shared.clone(), sender);
        outlets.configure(&config, &options, store.directory());
        let mut daemon = Self {
            watch: Watch::new(&config, config.scan.interval.secs()),
            options,
            config,
            collector,
            state,
            store,
            saved: Instant::now(),
            is_delivered_unsaved: false,
            outlets,
            shared,
            supervisor: Supervisor::default(),
            complaints: Complaints::default(),
            round_secs: 0.0,
        };
        daemon.state.book.resume(&clock::now(), same_boot);
        daemon.state.outbox.keep_sinks(&daemon.outlets.names());
        daemon.warn_of_idle_rules();
        info!(
            "memleakd {} scans every {}, alerts go to: {}",
            env!("CARGO_PKG_VERSION"),
            daemon.config.scan.interval,
            daemon.outlets.names().join(", ")
        );
        Ok(daemon)
    }

    /// Scans, decides, tells.
    fn round(&mut self) -> Result<()> {
        let started = Instant::now();
        let now = clock::now();
        let leaks = self.watch.round(&now, &mut *self.collector)?;
        let n_open = self.state.book.n_open();
        let changes =
            self.state
                .book
                .round(&now, &self.config.alert, clock::host(), leaks, |process| {
                    self.watch.pulse(process)
                });
        let is_news = !changes.is_empty() || n_open != self.state.book.n_open();
        for alert in changes {
            self.state.outbox.put(alert, &self.outlets.names());
        }
        if is_news || (n_open > 0 && self.saved.elapsed() >= SAVE_EVERY) {
            self.save();
        }
        self.round_secs = started.elapsed().as_secs_f64();
        let status = self.status();
        let summary = summary(&status);
        // Who is told of a change may ask for it at once.
        self.publish(status);
        self.dispatch();
        self.supervisor.round_done(&summary);
        Ok(())
    }

    /// Waits for the next round and deals with what comes before it. Another configuration is
    /// tried out at once.
    fn wait(&mut self, events: &Receiver<Event>, until: Instant) -> Flow {
        loop {
            let event = events.try_recv().or_else(|_| {
                // Once for all that has come, not for each.
                self.save_deliveries();
                events.recv_timeout(until.saturating_duration_since(Instant::now()))
            });
            match event {
                Ok(Event::Terminate) | Err(RecvTimeoutError::Disconnected) => return Flow::End,
                Ok(Event::Reload) => {
                    self.reload();
                    return Flow::GoOn;
                }
                Ok(Event::Report(report)) => self.take(report),
                Err(RecvTimeoutError::Timeout) => return Flow::GoOn,
            }
            if Instant::now() >= until {
                return Flow::GoOn;
            }
        }
    }

    /// A configuration that cannot be read leaves the old one in force.
    fn reload(&mut self) {
        self.supervisor.reloading();
        match configuration(&self.options) {
            Ok(config) => {
                self.config = config;
                self.watch.set_rules(&self.config);
                self.watch.set_block_secs(self.config.scan.interval.secs());
                self.outlets
                    .configure(&self.config, &self.options, self.store.directory());
                self.state.outbox.keep_sinks(&self.outlets.names());
                self.supervisor.set_interval(self.config.scan.interval);
                self.warn_of_idle_rules();
                info!("configuration reloaded");
            }
            Err(fault) => error!("{fault}; the old configuration stays in force"),
        }
        self.supervisor.ready(&summary(&self.status()));
    }

    fn take(&mut self, report: Report) {
        let Report {
            sink,
            sequence,
            result,
        } = report;
        match (&result, sequence) {
            (Ok(()), Some(sequence)) => {
                self.state.outbox.confirm(sequence, sink);
                self.is_delivered_unsaved = true;
            }
            (Err(_), Some(sequence)) => {
                let now_secs = clock::now().monotonic_secs;
                self.state.outbox.fail(sequence, sink, now_secs);
            }
            (_, None) => {}
        }
        match result {
            Ok(()) => self.complaints.settle(sink),
            Err(error) => self.complaints.raise(sink, &error),
        }
        self.dispatch();
    }

    fn save_deliveries(&mut self) {
        if self.is_delivered_unsaved {
            self.save();
        }
    }

    fn dispatch(&mut self) {
        let outlets = &self.outlets;
        self.state
            .outbox
            .dispatch(clock::now().monotonic_secs, |sink, sequence, alert| {
                outlets.offer(
                    sink,
                    Delivery {
                        sequence,
                        alert: alert.clone(),
                    },
                )
            });
    }

    fn save(&mut self) {
        self.saved = Instant::now();
        self.is_delivered_unsaved = false;
        match self.store.save(&self.state) {
            Ok(()) => self.complaints.settle("state"),
            Err(error) => self.complaints.raise("state", &error),
        }
    }

    /// Gives the sinks a moment to have what is on its way, and saves what is left.
    fn stop(mut self, events: &Receiver<Event>) {
        self.supervisor.stopping();
        let until = Instant::now() + Duration::from_millis(300);
        while self.state.outbox.is_under_way() {
            match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Report(report)) => self.take(report),
                Ok(Event::Terminate | Event::Reload) => {}
                Err(_) => break,
            }
        }
        self.save();
    }
}

/// Signals become events; SIGHUP reloads, SIGTERM and SIGINT end.
fn listen_for_signals(sender: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("listening for signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let event = if signal == SIGHUP {
                    Event::Reload
                } else {
                    Event::Terminate
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        })
        .context("starting the thread for signals")?;
    Ok(())
}
