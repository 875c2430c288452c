//! The prober's own side: whom it measures, what it captures, what it puts on the board.

mod pinpointing;
mod touching;

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use self::pinpointing::Asker;
use self::touching::Touching;
use super::capturing::{Capturing, LOOK, Resolving};
use super::cost::HitCost;
use super::life::Life;
use super::prober::{Board, MAX_MEASURED, Order, lock};
use super::probes::{N_SLOTS, Probes};
use super::reading::Capture;
use super::relay::Hearer;
use super::subject::{Subject, Tools};
use crate::collect::Host;
use crate::config::Returns;
use crate::quantity::Share;
use crate::sample::ProcessId;

/// What could not be measured is tried again after this time.
const RETRY: Duration = Duration::from_secs(300);
/// Programs that could not be loaded are tried again after this time.
const RELOAD: Duration = Duration::from_secs(600);

/// What runs on the thread.
#[derive(Debug)]
pub(super) struct Worker {
    host: Host,
    hearer: Hearer,
    returns: Returns,
    board: Arc<Mutex<Board>>,
    loaded: Option<(Probes, HitCost)>,
    load_again_at: Option<Instant>,
    /// Those whose heap is wanted. A subject that is none of them has its stacks captured.
    measured: Vec<ProcessId>,
    subjects: Vec<Subject>,
    captures: Vec<Running>,
    /// Captures of stacks that wait for their turn.
    orders: VecDeque<Order>,
    /// Captures whose sites are being found.
    resolving: Vec<(Asker, Resolving)>,
    touching: Vec<Touching>,
    /// When to try again what has failed.
    barred: BTreeMap<ProcessId, (Instant, String)>,
}

/// A capture that a user has asked for.
#[derive(Debug)]
struct Running {
    id: u64,
    end: Instant,
    subject: Subject,
    /// Why its stacks are not captured, if so.
    without_stacks: Option<String>,
}

impl Worker {
    /// Nothing is loaded yet.
    pub fn new(board: Arc<Mutex<Board>>, hearer: Hearer, returns: Returns) -> Self {
        Self {
            host: Host::new("/"),
            hearer,
            returns,
            board,
            loaded: None,
            load_again_at: None,
            measured: Vec::new(),
            subjects: Vec::new(),
            captures: Vec::new(),
            orders: VecDeque::new(),
            resolving: Vec::new(),
            touching: Vec::new(),
            barred: BTreeMap::new(),
        }
    }

    /// Runs until nobody is left to ring.
    pub fn run(mut self, rung: &Receiver<()>) {
        loop {
            let ring = match self.next_change() {
                Some(at) => rung.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => rung.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if ring == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            let (is_trial, wanted, to_capture) = {
                let mut board = lock(&self.board);
                self.orders.extend(board.to_pinpoint.drain(..));
                let is_trial = std::mem::take(&mut board.is_trial_wanted);
                let to_capture = std::mem::take(&mut board.to_capture);
                (is_trial, board.wanted.take(), to_capture)
            };
            if is_trial {
                self.load();
            }
            if let Some((processes, ceiling)) = wanted {
                self.measure(&processes, ceiling);
            }
            for (id, process, time) in to_capture {
                self.start_capture(id, process, time);
            }
            self.tend();
            self.tend_touches(Instant::now());
            self.begin_pinpoints();
            self.publish();
        }
    }

    fn next_change(&self) -> Option<Instant> {
        let subjects = self.subjects.iter().map(Subject::change_at);
        let look_at = Instant::now() + LOOK;
        let captures = self.captures.iter().map(|running| {
            let stacks_at = running.subject.stacks().map(Capturing::look_at);
            stacks_at.unwrap_or(look_at).min(look_at).min(running.end)
        });
        let resolving = self.resolving.iter().map(|_| look_at);
        let touching = self.touching.iter().map(|_| look_at);
        let others = captures.chain(resolving).chain(touching);
        subjects.chain(others).min()
    }

    fn measure(&mut self, processes: &[ProcessId], ceiling: Share) {
        let now = Instant::now();
        self.barred
            .retain(|process, (until, _)| *until > now && processes.contains(process));
        let (stay, go): (Vec<_>, Vec<_>) = self.subjects.drain(..).partition(|subject| {
            processes.contains(&subject.process()) || subject.stacks().is_some()
        });
        self.measured = processes.to_vec();
        self.subjects = stay;
        self.release(go);
        if processes.is_empty() || !self.load() {
            return;
        }
        for process in processes.iter().take(MAX_MEASURED) {
            let known = self
                .subjects
                .iter_mut()
                .find(|subject| subject.process() == *process);
            if let Some(subject) = known {
                subject.set_ceiling(ceiling);
            } else if !self.barred.contains_key(process) {
                match self.start(*process, Some(ceiling)) {
                    Ok(subject) => self.subjects.push(subject),
                    Err(error) => self.bar(*process, &error),
                }
            }
        }
    }

    fn start_capture(&mut self, id: u64, process: ProcessId, time: Duration) {
        if !self.load() {
            let failure = lock(&self.board).failure.clone().unwrap_or_default();
            let why = anyhow!("heaps cannot be measured: {failure}");
            return self.capture_touches(id, process, time, &why);
        }
        match self.start(process, None) {
            Ok(mut subject) => {
                let without_stacks = self.capture_stacks_for_user(&mut subject, time);
                self.captures.push(Running {
                    id,
                    end: Instant::now() + time,
                    subject,
                    without_stacks,
                });
            }
            Err(error) => self.capture_touches(id, process, time, &error),
        }
    }

    fn start(&self, process: ProcessId, ceiling: Option<Share>) -> Result<Subject> {
        let used: Vec<_> = self
            .subjects
            .iter()
            .chain(self.captures.iter().map(|running| &running.subject))
            .map(Subject::slot)
            .collect();
        let slot = (0..N_SLOTS)
            .find(|slot| !used.contains(slot))
            .context("as many processes are measured as can be")?;
        let tools = self.tools().context("the probes are not loaded")?;
        Subject::start(&tools, process, slot, ceiling).map_err(|error| {
            // Whatever could not be read of a process that has ended, this is why.
            match self.host.start_time_ticks(process.pid) {
                Ok(ticks) if ticks == process.start_time_ticks() => error,
                _ => anyhow!("the process has ended"),
            }
        })
    }

    /// Does what is due in each subject.
    fn tend(&mut self) {
        let now = Instant::now();
        let Some((probes, hit_cost)) = &self.loaded else {
            return;
        };
        let tools = Tools {
            host: &self.host,
            probes,
            hit_cost,
        };
        let mut failed = Vec::new();
        let mut ended = Vec::new();
        for (index, subject) in self.subjects.iter_mut().enumerate() {
            let process = subject.process();
            match pinpointing::tend(subject, &tools, now) {
                Ok(None) => {}
                Ok(Some(resolving)) => self.resolving.push((Asker::Rule(process), resolving)),
                Err(error) => ended.push((process, error)),
            }
            if let Err(error) = subject.tend(&tools, now) {
                failed.push((index, error));
            }
            ended.extend(subject.take_stacks_failure().map(|error| (process, error)));
        }
        let mut over = Vec::new();
        for mut running in std::mem::take(&mut self.captures) {
            if let Err(error) = running.subject.look_at_stacks(&tools, now) {
                running.without_stacks = Some(format!("{error:#}"));
                running.subject.abandon_stacks(&tools);
            }
            let cut = match running.subject.life(&tools) {
                Ok(Life::Same) if now >= running.end => Ok(None),
                Ok(Life::Same) if self.is_wanted(running.id, now) => {
                    self.captures.push(running);
                    continue;
                }
                Ok(Life::Same) => Ok(Some("nobody asked after the capture any more")),
                Ok(Life::Ended) => Ok(Some("the process ended")),
                Ok(Life::Replaced) => Err(anyhow!("{}", Life::Replaced)),
                Err(error) => Err(error),
            };
            let captured = cut.and_then(|why| running.subject.captured(&tools, now, why));
            over.push((running, captured));
        }
        for (process, error) in ended {
            self.pinpoint_ended(process, Err(error));
        }
        for (index, error) in failed.into_iter().rev() {
            let subject = self.subjects.swap_remove(index);
            if subject.stacks().is_some() {
                self.pinpoint_ended(subject.process(), Err(anyhow!("{error:#}")));
            }
            self.bar(subject.process(), &error);
            self.release(vec![subject]);
        }
        for (running, captured) in over {
            self.end_capture(running, captured);
        }
        self.release_unwanted();
        self.hand_out_sites(now);
    }

    fn is_wanted(&self, id: u64, now: Instant) -> bool {
        lock(&self.board).captures.is_wanted(id, now)
    }

    /// Takes the probes out of subjects and forgets their pointers.
    fn release(&self, subjects: Vec<Subject>) {
        let Some(tools) = self.tools() else {
            return;
        };
        for subject in subjects {
            if let Err(error) = subject.release(&tools) {
                tracing::debug!("the table of pointers could not be cleared: {error:#}");
            }
        }
    }

    fn bar(&mut self, process: ProcessId, error: &anyhow::Error) {
        let why = format!("{error:#}");
        tracing::debug!("pid {} is not measured: {why}", process.pid);
        self.barred.insert(process, (Instant::now() + RETRY, why));
    }

    fn finish(&self, id: u64, result: Result<Capture, String>) {
        let mut board = lock(&self.board);
        board.captures.finish(id, result, Instant::now());
    }

    /// Loads the programs at first use, and tries them out.
    fn load(&mut self) -> bool {
        if self.loaded.is_some() {
            return true;
        }
        if self.load_again_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let loaded = Probes::load(self.returns).and_then(|probes| {
            let cost = HitCost::measure(&self.hearer.exe, &self.host, &probes, N_SLOTS - 1)?;
            Ok((probes, cost))
        });
        match loaded {
            Ok(loaded) => {
                self.loaded = Some(loaded);
                lock(&self.board).failure = None;
                true
            }
            Err(error) => {
                self.load_again_at = Some(Instant::now() + RELOAD);
                lock(&self.board).failure = Some(format!("{error:#}"));
                false
            }
        }
    }

    fn tools(&self) -> Option<Tools<'_>> {
        let (probes, hit_cost) = self.loaded.as_ref()?;
        Some(Tools {
            host: &self.host,
            probes,
            hit_cost,
        })
    }

    fn publish(&self) {
        let now = Instant::now();
        let Some(tools) = self.tools() else {
            lock(&self.board).unheard_since = None;
            return;
        };
        let readings = self
            .subjects
            .iter()
            .filter(|subject| self.measured.contains(&subject.process()))
            .filter_map(|subject| subject.reading(&tools, now).ok())
            .collect();
        let failures = self
            .barred
            .iter()
            .map(|(process, (_, why))| (*process, why.clone()))
            .collect();
        let mut board = lock(&self.board);
        board.readings = readings;
        board.failures = failures;
        // What was asked meanwhile has rung again.
        board.unheard_since = None;
    }
}

fn refusal(process: ProcessId, error: &anyhow::Error) -> String {
    format!("process {} cannot be measured: {error:#}", process.pid)
}
