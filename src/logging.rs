//! The programs' own log lines: to the journal where there is one, else to standard error.
//!
//! Alerts are not log lines; they go through their sinks.

use std::env;
use std::io;

use rustix::fs::fstat;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// The variable that says what is logged, as `memleakd=debug,warn`.
const VARIABLE: &str = "MEMLEAKD_LOG";

/// zbus tells every message it handles at debug, and some of it at info.
const DEFAULT: &str = "info,zbus=warn";

/// Sends log lines to the journal under a name if standard error leads there, else to standard
/// error as plain text.
///
/// To be called once, first thing in `main`. A filter that cannot be read is told and not used.
pub fn start(identifier: &str) {
    let wanted = env::var(VARIABLE).unwrap_or_default();
    let filter = if wanted.is_empty() { DEFAULT } else { &wanted };
    let read = |filter: &str| filter.parse::<Targets>();
    let (filter, unreadable) = match read(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (read(DEFAULT).expect("the default is a filter"), Some(error)),
    };
    let journal = journal(identifier);
    let plain = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(false)
            .with_target(false)
            .without_time()
    });
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(journal)
        .with(plain)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging has been started before, ignoring");
    }
    if let Some(error) = unreadable {
        tracing::warn!(
            "{VARIABLE}={wanted:?} is not a filter such as \"info,zbus=warn\": {error}, ignoring"
        );
    }
}

/// The journal by its native protocol, if it is there and standard error leads to it.
fn journal(identifier: &str) -> Option<tracing_journald::Layer> {
    if !leads_to_journal(&env::var("JOURNAL_STREAM").ok()?) {
        return None;
    }
    // Without a prefix, fields such as MESSAGE_ID keep the names that journalctl knows.
    let layer = tracing_journald::layer().ok()?.with_field_prefix(None);
    let mappings = PriorityMappings {
        info: Priority::Informational,
        ..PriorityMappings::new()
    };
    Some(
        layer
            .with_syslog_identifier(identifier.to_owned())
            .with_priority_mappings(mappings),
    )
}

/// Whether `$JOURNAL_STREAM` (`DEVICE:INODE`) is our standard error. A program whose standard
/// error was redirected since has inherited the variable but must write where it was told to.
fn leads_to_journal(stream: &str) -> bool {
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_standard_error_is_counts() {
        let stat = fstat(io::stderr()).expect("standard error is open");
        assert!(leads_to_journal(&format!(
            "{}:{}",
            stat.st_dev, stat.st_ino
        )));
        for stream in ["", "1", "0:0", "x:y", "8:1:2"] {
            assert!(!leads_to_journal(stream), "{stream:?}");
        }
    }
}
