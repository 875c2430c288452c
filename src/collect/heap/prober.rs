//! What the loop knows of the thread that puts probes into processes and takes them out: neither
//! holds up a round.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::captures::{Captures, MAX_CAPTURES};
use super::pinpoint::{Pinpoint, Pinpointed};
use super::probes::N_SLOTS;
use super::reading::{Capture, HeapReading};
use super::relay::{Hearer, Listen, Listener};
use super::release::Release;
use super::worker::Worker;
use crate::config::Returns;
use crate::quantity::Share;
use crate::sample::ProcessId;
use crate::stacks::Resolver;

/// Processes that rules may have measured at a time.
pub const MAX_MEASURED: usize = N_SLOTS as usize - MAX_CAPTURES - 1;
/// Processes whose stacks are wanted, or wait to be fetched.
const MAX_PINPOINTED: usize = 64;
/// A thread that has not looked up for so long hangs: in a file of somebody's own file system, say.
const STUCK: Duration = Duration::from_secs(60);

/// Measures the heap of some processes, on a thread of its own.
#[derive(Debug, Clone)]
pub struct Prober {
    /// Tells the thread that there is something on the board for it.
    bell: SyncSender<()>,
    board: Arc<Mutex<Board>>,
}

/// What is asked of the thread, and what it has to tell.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// These processes are to be measured, and no others.
    pub wanted: Option<(Vec<ProcessId>, Share)>,
    /// Whether the probes are to be loaded before there is anything to measure.
    pub is_trial_wanted: bool,
    /// Captures to be begun.
    pub to_capture: Vec<(u64, ProcessId, Duration)>,
    /// Since when something is asked that the thread has not looked at.
    pub unheard_since: Option<Instant>,
    pub readings: Vec<HeapReading>,
    /// Why nothing can be measured.
    pub failure: Option<String>,
    /// Why some processes cannot.
    pub failures: BTreeMap<ProcessId, String>,
    pub captures: Captures,
    /// Captures of stacks to be begun.
    pub to_pinpoint: Vec<Order>,
    /// Whose stacks are wanted, as long as nothing has come of it.
    pub pinpointing: BTreeSet<ProcessId>,
    /// What has come of it.
    pub pinpointed: Vec<(ProcessId, Result<Pinpointed, String>)>,
}

/// A capture of stacks that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub process: ProcessId,
    pub settings: Pinpoint,
    /// What the probes may cost, if the process is not measured anyway.
    pub ceiling: Share,
}

impl Prober {
    /// Starts the thread. Nothing is loaded before something is to be measured; `exe` is then started
    /// with [`super::CALLS_ARGUMENT`], to try the probes on: memleakd itself.
    pub fn start(exe: PathBuf) -> Result<Self> {
        Self::start_with(exe, Returns::Auto, Self::resolver())
    }

    /// Starts it with return probes where they may be, and with somebody to hear of stacks.
    pub fn start_with(exe: PathBuf, returns: Returns, listen: Listen) -> Result<Self> {
        let (bell, rung) = sync_channel(1);
        let board = Arc::<Mutex<Board>>::default();
        let worker = Worker::new(Arc::clone(&board), Hearer { listen, exe }, returns);
        thread::Builder::new()
            .name("heap".to_owned())
            .spawn(move || worker.run(&rung))
            .context("starting the thread that measures heaps")?;
        Ok(Self { bell, board })
    }

    /// Who hears of stacks in earnest: a process for each capture.
    pub fn resolver() -> Listen {
        Arc::new(|exe, pid| Ok(Box::new(Resolver::start(exe, pid)?) as Box<dyn Listener>))
    }

    /// Has it found out at once whether heaps can be measured, where a kernel lets not every daemon
    /// do that: [`Self::failure`] is the answer.
    pub fn try_old_kernel(&self) {
        if Release::running().is_ok_and(Release::filters_uprobes_by_process) {
            return;
        }
        let mut board = lock(&self.board);
        board.is_trial_wanted = true;
        self.ring(&mut board);
    }

    /// Has these processes measured and no others, at most [`MAX_MEASURED`].
    pub fn measure(&self, processes: Vec<ProcessId>, ceiling: Share) {
        let mut board = lock(&self.board);
        // Most hosts have no suspect most of the time: the thread sleeps on.
        if processes.is_empty() && board.is_idle() {
            return;
        }
        board.wanted = Some((processes, ceiling));
        self.ring(&mut board);
    }

    fn ring(&self, board: &mut Board) {
        board.unheard_since.get_or_insert_with(Instant::now);
        // One ring is enough, and the thread ends with the program only.
        let _ = self.bell.try_send(());
    }

    /// What is known of the measured processes, as of the last time that they were looked at.
    pub fn readings(&self) -> Vec<HeapReading> {
        let board = lock(&self.board);
        match board.is_stuck() {
            true => Vec::new(),
            false => board.readings.clone(),
        }
    }

    /// How many processes are measured.
    pub fn n_measured(&self) -> usize {
        lock(&self.board).readings.len()
    }

    /// What is known of one of them.
    pub fn reading(&self, process: ProcessId) -> Option<HeapReading> {
        let board = lock(&self.board);
        let mut readings = board.readings.iter();
        readings.find(|reading| reading.process == process).cloned()
    }

    /// Why a process that was to be measured is not.
    pub fn failure_of(&self, process: ProcessId) -> Option<String> {
        lock(&self.board).failures.get(&process).cloned()
    }

    /// Why nothing can be measured on this machine, if so, as of the last time that it was tried.
    pub fn failure(&self) -> Option<String> {
        let board = lock(&self.board);
        match board.is_stuck() {
            true => Some(
                "the thread that measures heaps hangs, probably in reading a file of a process"
                    .to_owned(),
            ),
            false => board.failure.clone(),
        }
    }

    /// Measures one process for a time, whatever it costs, for a user. Returns what to ask the
    /// result by. A capture that is not asked after for long is given up.
    pub fn capture(&self, process: ProcessId, time: Duration, uid: u32) -> Result<u64, String> {
        let mut board = lock(&self.board);
        let id = board.captures.begin(uid, Instant::now())?;
        board.to_capture.push((id, process, time));
        self.ring(&mut board);
        Ok(id)
    }

    /// Has the stacks of a process captured, whether it is measured or not: if not, it is for that
    /// time, within a ceiling. A few at a time; others wait in the order in which they came.
    pub fn pinpoint(&self, process: ProcessId, settings: Pinpoint, ceiling: Share) {
        let mut board = lock(&self.board);
        if board.pinpointing.len() >= MAX_PINPOINTED {
            let error = format!("the stacks of {MAX_PINPOINTED} processes are being captured");
            return board.pinpoint_ended(process, Err(error));
        }
        if board.pinpointing.insert(process) {
            board.to_pinpoint.push(Order {
                process,
                settings,
                ceiling,
            });
            self.ring(&mut board);
        }
    }

    /// Whether the stacks of a process are wanted, and nothing has come of it yet.
    pub fn is_pinpointing(&self, process: ProcessId) -> bool {
        lock(&self.board).pinpointing.contains(&process)
    }

    /// Takes what has come of captures of stacks.
    pub fn pinpointed(&self) -> Vec<(ProcessId, Result<Pinpointed, String>)> {
        std::mem::take(&mut lock(&self.board).pinpointed)
    }

    /// The result of a user's capture, `None` as long as it runs. It is handed out once.
    pub fn captured(&self, id: u64, uid: u32) -> Option<Result<Capture, String>> {
        lock(&self.board).captures.ask(id, uid, Instant::now())
    }
}

impl Board {
    /// Whether nothing is measured, nothing is asked, and nothing has gone wrong in a process.
    fn is_idle(&self) -> bool {
        self.wanted.is_none() && self.readings.is_empty() && self.failures.is_empty()
    }

    /// A capture of stacks is over. What nobody takes gives way to what comes later.
    pub fn pinpoint_ended(&mut self, process: ProcessId, result: Result<Pinpointed, String>) {
        self.pinpointing.remove(&process);
        if self.pinpointed.len() >= MAX_PINPOINTED {
            drop(self.pinpointed.remove(0));
        }
        self.pinpointed.push((process, result));
    }

    fn is_stuck(&self) -> bool {
        self.unheard_since
            .is_some_and(|since| since.elapsed() >= STUCK)
    }
}

/// The board, for a moment.
pub(super) fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    // Each change of it is made in one go.
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
