//! What the loop knows of the thread that puts probes into processes and takes them out: neither
//! holds up a round.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::captures::{Captures, MAX_CAPTURES};
use super::probes::N_SLOTS;
use super::reading::{Capture, HeapReading};
use super::worker::Worker;
use crate::quantity::Share;
use crate::sample::ProcessId;

/// Processes that rules may have measured at a time.
pub const MAX_MEASURED: usize = N_SLOTS as usize - MAX_CAPTURES - 1;
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
}

impl Prober {
    /// Starts the thread. Nothing is loaded before something is to be measured; `exe` is then started
    /// with [`super::CALLS_ARGUMENT`], to try the probes on: memleakd itself.
    pub fn start(exe: PathBuf) -> Result<Self> {
        let (bell, rung) = sync_channel(1);
        let board = Arc::<Mutex<Board>>::default();
        let worker = Worker::new(Arc::clone(&board), exe);
        thread::Builder::new()
            .name("heap".to_owned())
            .spawn(move || worker.run(&rung))
            .context("starting the thread that measures heaps")?;
        Ok(Self { bell, board })
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

    /// Why nothing can be measured on this machine, if so.
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

    /// The result of a user's capture, `None` as long as it runs. It is handed out once.
    pub fn captured(&self, id: u64, uid: u32) -> Option<Result<Capture, String>> {
        lock(&self.board).captures.ask(id, uid, Instant::now())
    }
}

impl Board {
    /// Whether nothing is measured, nothing is asked, and nothing has gone wrong.
    fn is_idle(&self) -> bool {
        self.wanted.is_none()
            && self.readings.is_empty()
            && self.failures.is_empty()
            && self.failure.is_none()
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
