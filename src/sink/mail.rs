use std::path::Path;

use anyhow::{Context, Result};

use super::{Delivery, Sink};
use crate::config;
use crate::mail::{Spool, compose, name};

/// Alerts as messages in the spool, from where `memleakd-mail` sends them.
#[derive(Debug)]
pub struct Mail {
    config: config::Mail,
    spool: Spool,
}

impl Mail {
    /// Spools below the state directory.
    pub fn new(config: config::Mail, state_directory: Option<&Path>) -> Result<Self> {
        let directory = state_directory.context("there is no state directory to spool mail in")?;
        Ok(Self {
            config,
            spool: Spool::open(directory.join("spool"))?,
        })
    }
}

impl Sink for Mail {
    /// A change that is tried again has the same name, and so replaces itself.
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        for change in &delivery.changes {
            if change.severity >= self.config.min_severity {
                let message = compose(change, &self.config, delivery.sequence)?;
                self.spool.put(&name(change, delivery.sequence), &message)?;
            }
        }
        Ok(())
    }
}
