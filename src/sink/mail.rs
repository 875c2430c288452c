use std::path::Path;

use anyhow::{Context, Result};
use tracing::warn;

use super::{Delivery, Sink};
use crate::alert::Alert;
use crate::config;
use crate::mail::{Spool, Told, compose, letters};

/// Alerts as messages in the spool, from where `memleakd-mail` sends them.
#[derive(Debug)]
pub struct Mail {
    config: config::Mail,
    spool: Spool,
    told: Told,
}

impl Mail {
    /// Spools below the state directory, and keeps there who was told of what.
    pub fn new(config: config::Mail, state_directory: Option<&Path>) -> Result<Self> {
        let directory = state_directory.context("there is no state directory to spool mail in")?;
        Ok(Self {
            config,
            spool: Spool::open(directory.join("spool"))?,
            told: Told::open(directory.join("mail-told.json")),
        })
    }
}

impl Sink for Mail {
    /// A message that is written again has the same name, and so replaces itself.
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        let letters = letters(&delivery.changes, &self.config, &self.told);
        for letter in &letters {
            let message = compose(letter, &self.config, delivery.sequence)?;
            self.spool.put(&letter.name(delivery.sequence), &message)?;
        }
        // Only now: a delivery that is tried again after a kill is to come to the same letters.
        let is_test = delivery.changes.iter().any(Alert::is_test);
        for letter in letters.iter().filter(|_| !is_test) {
            letter.note(&mut self.told);
        }
        if !(letters.is_empty() || is_test)
            && let Err(error) = self.told.save()
        {
            // The mails are on their way, and sent again they would be no better.
            warn!("{error:#}, continuing");
        }
        Ok(())
    }
}
