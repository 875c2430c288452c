use std::io::Write;

use anyhow::{Context, Result};

use super::{Delivery, Sink};
use crate::alert::{Alert, message};

/// Alerts on standard output or standard error.
#[derive(Debug)]
pub struct Console<W> {
    output: W,
    form: Form,
}

/// How an alert is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    Json,
    /// A sentence, and the figures below it.
    Text,
}

impl<W: Write> Console<W> {
    /// Writes to an output.
    pub fn new(output: W, form: Form) -> Self {
        Self { output, form }
    }

    /// Writes one change and flushes, so that a reader at the other end has it at once.
    pub fn write(&mut self, alert: &Alert) -> Result<()> {
        let text = match self.form {
            Form::Json => serde_json::to_string(alert).context("writing an alert as JSON")? + "\n",
            Form::Text => {
                let head = format!("{} {}: {}\n", alert.severity, alert.change, alert.message);
                head + &message::text(alert)
            }
        };
        self.output
            .write_all(text.as_bytes())
            .and_then(|()| self.output.flush())
            .context("writing an alert")
    }
}

impl<W: Write + Send> Sink for Console<W> {
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        delivery
            .changes
            .iter()
            .try_for_each(|change| self.write(change))
    }
}
