//! The curves of suspects, and of what has an alert: followed in each round, and saved.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::Daemon;
use super::answer::HEAP_SECS;
use super::complaint::Complaints;
use super::state::Store;
use crate::collect::Collector;
use crate::curve::{Heap, MAX_TRACKS, Observation, Tracks};
use crate::sample::Moment;

/// Curves are saved so often, if there is anything new.
const SAVE_EVERY: Duration = Duration::from_secs(600);

/// All curves, with what of them is on disk.
#[derive(Debug)]
pub(super) struct Curves {
    pub tracks: Tracks,
    saved: Instant,
    n_saved: u64,
    /// The thread that saves.
    saving: Option<JoinHandle<Result<()>>>,
}

impl Daemon {
    /// Takes in what those hold that are suspects or have an alert, as of a scan that went well.
    pub(super) fn follow_curves(&mut self, now: &Moment) {
        let alerting = self.state.book.processes();
        if alerting.is_empty() && self.suspects.is_empty() {
            return;
        }
        let (chosen, n_left_out) = self.curves.tracks.choose(&alerting, &self.suspects);
        match n_left_out {
            0 => self.complaints.settle("curves"),
            n => self.complaints.raise(
                "curves",
                &anyhow!("{n} more grow like a leak than the {MAX_TRACKS} whose curves are kept"),
            ),
        }
        // What is remembered is asked of the rest of the daemon.
        let mut tracks = std::mem::take(&mut self.curves.tracks);
        for process in &chosen {
            let Some((sample, _)) = self.pages().find(*process) else {
                continue;
            };
            let (uid, bytes) = (sample.uid, sample.bytes);
            let heap = self.collector.heap(*process, HEAP_SECS);
            let seen = Observation {
                process: *process,
                uid,
                bytes,
                heap: heap.map(|heap| Heap {
                    net_bytes: heap.net_bytes,
                    span_secs: heap.span_secs,
                }),
            };
            tracks.observe(now, &chosen, seen, || self.remembered(now, *process));
        }
        tracks.alerting(&alerting);
        self.curves.tracks = tracks;
    }
}

impl Curves {
    pub fn load(store: &Store, now: &Moment) -> Self {
        Self {
            tracks: Tracks::restore(now, store.boot_id(), store.load_curves()),
            saved: Instant::now(),
            n_saved: 0,
            saving: None,
        }
    }

    pub fn save_when_due(&mut self, now: &Moment, store: &Store, complaints: &mut Complaints) {
        if self.saving.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end_saving(complaints);
        }
        let is_new = self.tracks.n_observed() != self.n_saved;
        if !is_new || self.saving.is_some() || self.saved.elapsed() < SAVE_EVERY {
            return;
        }
        // What cannot be written is tried again as late as what can.
        self.saved = Instant::now();
        self.n_saved = self.tracks.n_observed();
        let kept = self.tracks.kept(now, store.boot_id());
        match store.save_curves_apart(kept) {
            Ok(saving) => self.saving = saving,
            Err(error) => complaints.raise("curves.json", &error.into()),
        }
    }

    /// Saves them before the end.
    pub fn save(&mut self, now: &Moment, store: &Store, complaints: &mut Complaints) {
        self.end_saving(complaints);
        if self.tracks.n_observed() != self.n_saved {
            let kept = self.tracks.kept(now, store.boot_id());
            told(store.save_curves(kept), complaints);
        }
    }

    /// Waits for what is being saved.
    fn end_saving(&mut self, complaints: &mut Complaints) {
        if let Some(saving) = self.saving.take() {
            let ended = saving.join().map_err(|_| anyhow!("its thread has failed"));
            told(ended.and_then(|saved| saved), complaints);
        }
    }
}

fn told(saved: Result<()>, complaints: &mut Complaints) {
    match saved {
        Ok(()) => complaints.settle("curves.json"),
        Err(error) => complaints.raise("curves.json", &error),
    }
}
