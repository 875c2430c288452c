use std::collections::BTreeSet;

use tracing::{info, warn};

/// What does not work at present, so that each is said once and not each time.
#[derive(Debug, Default)]
pub(super) struct Complaints(BTreeSet<&'static str>);

impl Complaints {
    /// What does not work, in the order of the alphabet.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }

    /// Something failed.
    pub fn raise(&mut self, about: &'static str, error: &anyhow::Error) {
        if self.0.insert(about) {
            warn!("{about} fails and will be tried again: {error:#}");
        } else {
            tracing::debug!("{about} still fails: {error:#}");
        }
    }

    /// It worked.
    pub fn settle(&mut self, about: &'static str) {
        if self.0.remove(about) {
            info!("{about} works again");
        }
    }
}
