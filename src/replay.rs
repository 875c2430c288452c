//! Runs a recorded history through the very same detection and alert logic, on its own clock.

use std::io::Read;

use anyhow::Result;

use crate::alert::{Alert, Book, Surroundings};
use crate::collect::{Recorded, Recording};
use crate::config::Config;
use crate::past::Past;
use crate::sample::Source;
use crate::watch::{End, Watch};

/// Replays a recording and hands each change of an alert to `say`, in the order of time.
pub fn replay(
    source: impl Read,
    config: &Config,
    mut say: impl FnMut(Alert) -> Result<()>,
) -> Result<()> {
    let mut recording = Recording::new(source)?;
    let scan_secs = config.scan.interval.secs();
    let interval_secs = recording.interval_secs()?.unwrap_or(scan_secs);
    let mut recorded = Recorded::new(recording, interval_secs);
    let mut watch = Watch::new(config, Source::Pages, interval_secs.max(scan_secs));
    let mut past = Past::default();
    let mut book = Book::default();
    while let Some(now) = recorded.advance()? {
        let leaks = watch.round(&now, &mut recorded, &mut past)?;
        let surroundings = Surroundings {
            host: "replay",
            memory: None,
        };
        for said in book.round(&now, &config.alert, surroundings, leaks, |_, process| {
            watch.pulse(process).ok_or(End::Exited)
        }) {
            say(Alert {
                time_secs: Some(now.monotonic_secs),
                ..said.alert
            })?;
        }
    }
    Ok(())
}
