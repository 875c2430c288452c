//! memleakd's own detector, by way of a replay.

use anyhow::Result;
use memleakd::alert::Change;
use memleakd::config::Config;
use memleakd::replay;

/// An alert that was raised.
#[derive(Debug, Clone, PartialEq)]
pub struct Raised {
    /// In seconds of the recording.
    pub secs: f64,
    /// The process that it speaks of.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

/// The alerts that a table raises with the default configuration, but without its budget of
/// messages: what is held back has been found all the same.
pub fn raised(table: &str) -> Result<Vec<Raised>> {
    let mut config = Config::default();
    config.alert.max_per_hour = u32::MAX;
    let mut raised = Vec::new();
    replay::replay(table.as_bytes(), &config, |alert| {
        if alert.change == Change::Raised {
            raised.push(Raised {
                secs: alert.time_secs.unwrap_or_default(),
                pid: alert.pid,
                comm: alert.comm,
            });
        }
        Ok(())
    })?;
    Ok(raised)
}
