//! Stays with a directory: posts what comes, and again what fires and what could not be posted.

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use tracing::warn;

use super::Reporter;
use super::reporter::REFRESH;
use crate::wait::{Arrivals, Backoff, Stop, random};

/// When to end without being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// Once there have been no incidents for a while.
    Empty,
}

/// What comes together goes together.
const GATHER: Duration = Duration::from_millis(200);

/// So long it stays where nothing is left: a program that is started for each alert anew is more
/// work, and a service manager starts one that often no more.
const LINGER: Duration = Duration::from_secs(10);

/// Posts what is and comes in the reporter's directory, until then or until stopped.
pub fn watch(reporter: &mut Reporter, until: Until, stop: &Stop) -> Result<()> {
    // From before the first look, so that no file comes unseen between the two.
    let arrivals = Arrivals::of(reporter.incidents().path())?;
    let mut backoff = Backoff::default();
    let mut is_left = true;
    while !stop.is_asked() {
        let now = Instant::now();
        let round = reporter.round(Timestamp::now(), now, || stop.is_asked());
        let round = round.inspect_err(|error| warn!("{error:#}, trying again later"));
        match round {
            Ok(round) if round.is_said && round.left == 0 && until == Until::Empty => {
                if !is_left {
                    return Ok(());
                }
                is_left = false;
                arrivals.wait(GATHER, LINGER, stop)?;
            }
            Ok(round) if round.is_said => {
                is_left = true;
                backoff.reset();
                let wait = round.next.saturating_duration_since(Instant::now());
                arrivals.wait(GATHER, wait, stop)?;
            }
            Ok(_) | Err(_) => {
                is_left = true;
                // What fires is to be put off in time, as soon as that can be.
                let longest = REFRESH.mul_f64(1.0 - 0.2 * random());
                let wait = backoff.next(random()).min(longest);
                arrivals.wait(Backoff::FIRST, wait, stop)?;
            }
        }
    }
    Ok(())
}
