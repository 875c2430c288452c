//! The prober's own side: whom it measures, what it captures, what it puts on the board.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::cost::HitCost;
use super::prober::{Board, MAX_MEASURED, lock};
use super::probes::{N_SLOTS, Probes};
use super::reading::Capture;
use super::subject::{Life, Subject, Tools};
use crate::collect::Host;
use crate::quantity::Share;
use crate::sample::ProcessId;

/// What could not be measured is tried again after this time.
const RETRY: Duration = Duration::from_secs(300);
/// Programs that could not be loaded are tried again after this time.
const RELOAD: Duration = Duration::from_secs(600);
/// How often it is looked whether captured processes still live.
const LOOK: Duration = Duration::from_millis(250);

/// What runs on the thread.
#[derive(Debug)]
pub(super) struct Worker {
    host: Host,
    exe: PathBuf,
    board: Arc<Mutex<Board>>,
    loaded: Option<(Probes, HitCost)>,
    load_again_at: Option<Instant>,
    subjects: Vec<Subject>,
    captures: Vec<(u64, Instant, Subject)>,
    /// When to try again what has failed.
    barred: BTreeMap<ProcessId, (Instant, String)>,
}

impl Worker {
    /// Nothing is loaded yet.
    pub fn new(board: Arc<Mutex<Board>>, exe: PathBuf) -> Self {
        Self {
            host: Host::new("/"),
            exe,
            board,
            loaded: None,
            load_again_at: None,
            subjects: Vec::new(),
            captures: Vec::new(),
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
            let (wanted, to_capture) = {
                let mut board = lock(&self.board);
                (board.wanted.take(), std::mem::take(&mut board.to_capture))
            };
            if let Some((processes, ceiling)) = wanted {
                self.measure(&processes, ceiling);
            }
            for (id, process, time) in to_capture {
                self.start_capture(id, process, time);
            }
            self.tend();
            self.publish();
        }
    }

    fn next_change(&self) -> Option<Instant> {
        let subjects = self.subjects.iter().map(Subject::change_at);
        let look_at = Instant::now() + LOOK;
        let captures = self.captures.iter().map(|(_, end, _)| look_at.min(*end));
        subjects.chain(captures).min()
    }

    fn measure(&mut self, processes: &[ProcessId], ceiling: Share) {
        let now = Instant::now();
        self.barred
            .retain(|process, (until, _)| *until > now && processes.contains(process));
        let (stay, go): (Vec<_>, Vec<_>) = self
            .subjects
            .drain(..)
            .partition(|subject| processes.contains(&subject.process()));
        self.subjects = stay;
        self.release(go);
        if processes.is_empty() {
            lock(&self.board).failure = None;
            return;
        }
        if !self.load() {
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
            return self.finish(id, Err(format!("heaps cannot be measured: {failure}")));
        }
        match self.start(process, None) {
            Ok(subject) => self.captures.push((id, Instant::now() + time, subject)),
            Err(error) => self.finish(id, Err(refusal(process, &error))),
        }
    }

    fn start(&self, process: ProcessId, ceiling: Option<Share>) -> Result<Subject> {
        let used: Vec<_> = self
            .subjects
            .iter()
            .chain(self.captures.iter().map(|(_, _, subject)| subject))
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
        for (index, subject) in self.subjects.iter_mut().enumerate() {
            if let Err(error) = subject.tend(&tools, now) {
                failed.push((index, error));
            }
        }
        let mut over = Vec::new();
        for (id, end, subject) in std::mem::take(&mut self.captures) {
            let cut = match subject.life(&tools) {
                Ok(Life::Same) if now >= end => Ok(None),
                Ok(Life::Same) if self.is_wanted(id, now) => {
                    self.captures.push((id, end, subject));
                    continue;
                }
                Ok(Life::Same) => Ok(Some("nobody asked after the capture any more")),
                Ok(Life::Ended) => Ok(Some("the process ended")),
                Ok(Life::Replaced) => Err(anyhow!("{}", Life::Replaced)),
                Err(error) => Err(error),
            };
            let captured = cut.and_then(|why| subject.captured(&tools, now, why));
            over.push((id, captured, subject));
        }
        for (index, error) in failed.into_iter().rev() {
            let subject = self.subjects.swap_remove(index);
            self.bar(subject.process(), &error);
            self.release(vec![subject]);
        }
        for (id, captured, subject) in over {
            let captured = captured.map_err(|error| refusal(subject.process(), &error));
            self.release(vec![subject]);
            self.finish(id, captured);
        }
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
        match Probes::load() {
            Ok(probes) => {
                let hit_cost = HitCost::measure(&self.exe, &self.host, &probes, N_SLOTS - 1);
                let mut board = lock(&self.board);
                board.failure = None;
                self.loaded = Some((probes, hit_cost));
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
