use std::time::{Duration, Instant};

use super::complaint::Complaints;
use super::state::Store;
use crate::past::Past;

/// What has been learnt is saved so often, if there is anything new.
const SAVE_EVERY: Duration = Duration::from_secs(600);

/// What programs did before, with what of it is on disk.
#[derive(Debug)]
pub(super) struct Memory {
    pub past: Past,
    saved: Instant,
    n_saved: u64,
}

impl Memory {
    pub fn load(store: &Store) -> Self {
        let past = store.load_past();
        Self {
            saved: Instant::now(),
            n_saved: past.n_lessons(),
            past,
        }
    }

    pub fn save_when_due(&mut self, store: &Store, complaints: &mut Complaints) {
        if self.past.n_lessons() != self.n_saved && self.saved.elapsed() >= SAVE_EVERY {
            self.save(store, complaints);
        }
    }

    pub fn save(&mut self, store: &Store, complaints: &mut Complaints) {
        // What cannot be written is tried again as late as what can.
        self.saved = Instant::now();
        match store.save_past(&self.past) {
            Ok(()) => {
                self.n_saved = self.past.n_lessons();
                complaints.settle("past");
            }
            Err(error) => complaints.raise("past", &error),
        }
    }
}
