//! The daemon: one loop with one wait.
//!
//! Each round scans every process, lets the rules decide, tells the sinks, and then waits for the
//! next round, a signal or a sink's report, whichever comes first. What can fail at start fails
//! before readiness; after it, an error costs one round or one message.

mod answer;
mod clock;
mod complaint;
mod curves;
mod growers;
mod measure;
mod memory;
mod metrics;
mod outlets;
mod pinpoint;
mod pulse;
mod report;
mod request;
mod state;
mod summary;
mod supervisor;
mod trial;

use std::env;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

pub use summary::OLD_CONFIGURATION;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{error, info, warn};

use crate::alert::{Announcement, Surroundings};
use crate::bus::{Question, Shared};
use crate::collect::{Host, Live, Prober};
use crate::config::{self, Config, Fault, Search, load_file};
use crate::report::Store as Reports;
use crate::sample::{Moment, ProcessId, Source};
use crate::sink::{Delivery, Form, Report, TEST_SEQUENCE};
use crate::watch::{Leak, Watch};
use complaint::Complaints;
use curves::Curves;
use measure::KernelSuspicion;
use memory::Memory;
use metrics::Metrics;
use outlets::Outlets;
use pinpoint::Pinpointing;
use pulse::pulse;
use state::{State, Store};
use supervisor::Supervisor;
use trial::Trials;

/// Figures of open alerts are saved so often, even if nothing is said.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// What is watched, pages first: they tell whom to measure.
const SOURCES: [Source; 3] = [Source::Pages, Source::Heap, Source::Kernel];

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
    Question(Question),
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
    // What was open before this start is known there now.
    daemon.outlets.tend("dbus");
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
    collector: Live,
    prober: Prober,
    kernel: KernelSuspicion,
    /// Who grows like a leak by its pages, as of the last round.
    suspects: Vec<ProcessId>,
    /// Whose heap is to be measured.
    chosen: Vec<ProcessId>,
    /// One for each source that is measured; the first is of pages.
    watches: Vec<Watch>,
    state: State,
    memory: Memory,
    curves: Curves,
    pinpointing: Pinpointing,
    /// Test alerts on their way.
    trials: Trials,
    store: Store,
    saved: Instant,
    /// Deliveries that would be repeated if the daemon were killed now.
    is_delivered_unsaved: bool,
    outlets: Outlets,
    shared: Shared,
    supervisor: Supervisor,
    /// What is wrong with the configuration that was not taken, the last time that it was read.
    refused: Option<String>,
    complaints: Complaints,
    metrics: Metrics,
    round_secs: f64,
}

impl Daemon {
    fn start(options: Options, config: Config, sender: Sender<Event>) -> Result<Self> {
        let exe = env::current_exe().context("finding this program")?;
        let prober = Prober::start_with(exe.clone(), config.heap.returns, Prober::resolver())?;
        let mut collector = Live::load(prober.clone())?;
        if let Err(error) = collector.watch_oom_kills() {
            warn!(
                "processes that the kernel kills for lack of memory are said to have ended: {error:#}"
            );
        }
        let store = Store::open()?;
        let (state, same_boot) = store.load();
        let questions = sender.clone();
        let reports = store.directory().and_then(|directory| {
            let opened = Reports::open(directory);
            opened
                .inspect_err(|error| {
                    warn!("where leaked memory was allocated is told in alerts only: {error:#}");
                })
                .ok()
        });
        // The loop that no longer listens has ended, and nobody gets an answer.
        let shared = Shared::new(prober.clone(), move |question| {
            drop(questions.send(Event::Question(question)));
        })
        .with_reports(reports.clone());
        let mut outlets = Outlets::new(shared.clone(), sender);
        outlets.configure(&config, &options, store.directory(), &state.book);
        let mut daemon = Self {
            prober,
            kernel: KernelSuspicion::default(),
            suspects: Vec::new(),
            chosen: Vec::new(),
            watches: SOURCES
                .map(|source| Watch::new(&config, source, config.scan.interval.secs()))
                .into(),
            options,
            config,
            collector,
            state,
            memory: Memory::load(&store),
            curves: Curves::load(&store, &clock::now()),
            pinpointing: Pinpointing::new(exe, reports),
            trials: Trials::default(),
            store,
            saved: Instant::now(),
            is_delivered_unsaved: false,
            outlets,
            shared,
            supervisor: Supervisor::default(),
            refused: None,
            complaints: Complaints::default(),
            metrics: Metrics::default(),
            round_secs: 0.0,
        };
        if daemon.config.heap.watch != config::Watch::Off {
            daemon.prober.try_old_kernel();
        }
        daemon.state.book.resume(&clock::now(), same_boot);
        daemon.state.outbox.keep_sinks(&daemon.outlets.names());
        info!(
            "memleakd {} scans every {}, alerts go to: {}",
            env!("CARGO_PKG_VERSION"),
            daemon.config.scan.interval,
            daemon.outlets.names().join(", ")
        );
        Ok(daemon)
    }

    /// Scans, decides, tells. An error is one of scanning, and has been decided on as well.
    fn round(&mut self) -> Result<()> {
        let started = Instant::now();
        let now = clock::now();
        let (leaks, scanned) = match self.scan(&now) {
            Ok(leaks) => (leaks, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let n_open = self.state.book.n_open();
        let restarted = pulse::restarted(&self.watches[0], &mut self.collector, &self.state.book);
        let surroundings = Surroundings {
            host: clock::host(),
            memory: Host::new("/").memory(),
        };
        let mut changes = self.state.book.round(
            &now,
            &self.config.alert,
            surroundings,
            leaks,
            |alert, process| pulse(&self.watches, &self.collector, &restarted, alert, process),
        );
        self.measure(&now);
        changes.extend(self.pinpoint(&now));
        self.follow(&now, &changes);
        let is_news = !changes.is_empty() || n_open != self.state.book.n_open();
        self.put(changes);
        let is_news = self.pack(&now) || is_news;
        if is_news || (n_open > 0 && self.saved.elapsed() >= SAVE_EVERY) {
            self.save();
        }
        self.memory.save_when_due(&self.store, &mut self.complaints);
        if scanned.is_ok() {
            self.follow_curves(&now);
        }
        self.curves
            .save_when_due(&now, &self.store, &mut self.complaints);
        self.round_secs = started.elapsed().as_secs_f64();
        let status = self.status();
        let summary = self.summary(&status);
        self.trials.follow(self.store.directory());
        // Who is told of a change may ask for it at once.
        self.publish(status);
        self.dispatch();
        scanned?;
        self.write_metrics();
        self.supervisor.round_done(&summary);
        Ok(())
    }

    fn scan(&mut self, now: &Moment) -> Result<Vec<Leak>> {
        let mut leaks = Vec::new();
        for watch in &mut self.watches {
            let found = watch.round(now, &mut self.collector, &mut self.memory.past);
            match (watch.source(), found) {
                (Source::Pages, Err(error)) => return Err(error),
                (Source::Pages | Source::Heap, Ok(found)) => leaks.extend(found),
                (Source::Kernel, Ok(found)) => {
                    self.complaints.settle("kernel totals");
                    leaks.extend(found);
                }
                // The others go on without it.
                (_, Err(error)) => self.complaints.raise("kernel totals", &error),
            }
        }
        Ok(leaks)
    }

    fn pages(&self) -> &Watch {
        &self.watches[0]
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
                    // What is wrong has been said.
                    self.reload().ok();
                    return Flow::GoOn;
                }
                Ok(Event::Report(report)) => self.take(report),
                Ok(Event::Question(question)) => self.answer(question),
                Err(RecvTimeoutError::Timeout) => return Flow::GoOn,
            }
            if Instant::now() >= until {
                return Flow::GoOn;
            }
        }
    }

    /// A configuration that cannot be read leaves the old one in force.
    fn reload(&mut self) -> Result<(), Fault> {
        self.supervisor.reloading();
        let read = configuration(&self.options);
        let result = match read {
            Ok(config) => {
                self.config = config;
                for watch in &mut self.watches {
                    watch.set_rules(&self.config);
                    watch.set_block_secs(self.config.scan.interval.secs());
                }
                self.kernel = KernelSuspicion::default();
                self.outlets.configure(
                    &self.config,
                    &self.options,
                    self.store.directory(),
                    &self.state.book,
                );
                self.state.outbox.keep_sinks(&self.outlets.names());
                self.supervisor.set_interval(self.config.scan.interval);
                info!("configuration reloaded");
                Ok(())
            }
            Err(fault) => {
                error!("{fault}; the old configuration stays in force");
                Err(fault)
            }
        };
        self.refused = result.as_ref().err().map(Fault::to_string);
        self.supervisor.ready(&self.summary(&self.status()));
        result
    }

    fn take(&mut self, report: Report) {
        let Report {
            sink,
            sequence,
            result,
        } = report;
        match (&result, sequence) {
            (_, Some(TEST_SEQUENCE)) => {
                self.trials.take(sink, result);
                return;
            }
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
        self.state.outbox.dispatch(
            clock::now().monotonic_secs,
            |sink| outlets.packing(sink).is_some(),
            |sink, sequence, changes| outlets.offer(sink, Delivery { sequence, changes }),
        );
    }

    /// Addresses what is said to those whom it is for.
    fn put(&mut self, said: Vec<Announcement>) {
        for Announcement { alert, reach } in said {
            let sinks = self.outlets.for_whom(reach);
            self.state.outbox.put(alert, &sinks);
        }
    }

    /// Makes messages of what has waited long enough. Whether there is a new one.
    fn pack(&mut self, now: &Moment) -> bool {
        let mut is_new = false;
        for sink in self.outlets.names() {
            if let Some(packing) = self.outlets.packing(sink) {
                is_new |= self.state.outbox.pack(sink, &packing, now);
            }
        }
        is_new
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
                Ok(Event::Terminate | Event::Reload | Event::Question(_)) => {}
                Err(_) => break,
            }
        }
        self.save();
        self.memory.save(&self.store, &mut self.complaints);
        let now = clock::now();
        self.curves.save(&now, &self.store, &mut self.complaints);
        if let Err(error) = self.metrics.remove() {
            warn!("{error:#}, continuing");
        }
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
