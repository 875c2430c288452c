//! A capture of the page faults of one process, with the sites that they come to, on a thread of
//! its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use libbpf_rs::RingBufferBuilder;

use super::Faults;
use crate::collect::{Host, Pinpointed};
use crate::sample::ProcessId;
use crate::stacks::Resolver;

/// How often the ring buffer is emptied.
const LOOK: Duration = Duration::from_millis(50);
/// How often the sampling follows the rate of faults.
const ADAPT: Duration = Duration::from_millis(250);
/// How long the sites may take, once all is said.
const PATIENCE: Duration = Duration::from_secs(60);

/// Captures that run at a time, in the whole program: each takes a process, some 10 MiB, and a file
/// descriptor for each thread of the captured process.
const MAX_RUNNING: usize = 4;

/// What a process touches for the first time, and keeps, for a while. To be asked for its result
/// now and then; if it is dropped, it ends.
#[derive(Debug)]
pub struct TouchCapture {
    result: Receiver<Result<Pinpointed>>,
    /// As long as there are two of these, somebody wants the result.
    _wanted: Arc<()>,
}

/// One of those that may run.
struct Turn;

impl Turn {
    fn take() -> Option<Self> {
        let more = |n| (n < MAX_RUNNING).then_some(n + 1);
        let taken = N_RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        taken.ok().map(|_| Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        N_RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

static N_RUNNING: AtomicUsize = AtomicUsize::new(0);

impl TouchCapture {
    /// Begins it; `exe` is memleakd itself.
    pub fn start(exe: PathBuf, process: ProcessId, time: Duration) -> Result<Self> {
        let turn = Turn::take().with_context(|| {
            format!("the page faults of {MAX_RUNNING} processes are being captured")
        })?;
        let (done, result) = channel();
        let wanted = Arc::new(());
        let is_wanted = Arc::clone(&wanted);
        thread::Builder::new()
            .name("faults".to_owned())
            .spawn(move || {
                // Whoever asked may have gone.
                drop(done.send(capture(&exe, process, time, &is_wanted)));
                drop(turn);
            })
            .context("starting the thread that captures page faults")?;
        Ok(Self {
            result,
            _wanted: wanted,
        })
    }

    /// What has come of it, if it is over; once.
    pub fn result(&self) -> Option<Result<Pinpointed>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(anyhow!(
                "the thread that captures page faults has ended"
            ))),
        }
    }
}

fn capture(exe: &Path, process: ProcessId, time: Duration, wanted: &Arc<()>) -> Result<Pinpointed> {
    let host = Host::new("/");
    let mut resolver = Resolver::start(exe, process.pid)?;
    let mut faults = Faults::start(process)?;
    let began = Instant::now();
    let mut failure = None;
    let ring = faults.ring()?;
    let mut rings = RingBufferBuilder::new();
    rings
        .add(&ring, |record| match resolver.sample(record) {
            Ok(()) => 0,
            Err(error) => {
                failure = Some(error);
                -1
            }
        })
        .context("opening the ring buffer of page faults")?;
    let rings = rings
        .build()
        .context("opening the ring buffer of page faults")?;
    let mut adapted = began;
    // An error of polling is that of a sample, which is told below, or a signal.
    while began.elapsed() < time && (rings.poll(LOOK).is_ok() || rings.consume().is_ok()) {
        if adapted.elapsed() < ADAPT {
            continue;
        }
        adapted = Instant::now();
        faults.tend()?;
        ensure!(Arc::strong_count(wanted) > 1, "nobody waits for it");
        let ticks = host.start_time_ticks(process.pid);
        let lives = ticks.is_ok_and(|ticks| ticks == process.start_time_ticks());
        ensure!(lives, "the process has ended");
    }
    // An error here is that of a sample, which is told below.
    let drained = rings.consume();
    drop(rings);
    if let Some(failure) = failure {
        return Err(failure);
    }
    drained.context("reading the ring buffer of page faults")?;
    let standing = faults.standing()?;
    let totals = faults.totals()?;
    let secs = began.elapsed().as_secs_f64();
    drop(faults);
    resolver.window(secs, &standing, &[])?;
    let mut sites = resolver.finish(totals.lost, PATIENCE)?;
    if totals.threads_unseen > 0 {
        let n = totals.threads_unseen;
        sites.loss.push(format!("page faults of {n} threads"));
    }
    Ok(Pinpointed {
        sites,
        span_secs: secs,
        seen_secs: secs,
        method: "page faults".to_owned(),
        cost_secs: 0.0,
    })
}
