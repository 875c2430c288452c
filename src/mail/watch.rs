//! Stays with a spool: sends what comes, and tries again what could not be sent.

use std::time::Duration;

use anyhow::Result;
use tracing::warn;

use super::{Courier, Round};
use crate::wait::{Arrivals, Backoff, Stop, random};

/// When to end without being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// Once nothing waits.
    Empty,
}

/// Sends what is and comes into the courier's spool, until then or until stopped.
pub fn watch(courier: &mut Courier, until: Until, stop: &Stop) -> Result<()> {
    // From before the first look, so that no message comes unseen between the two.
    let arrivals = Arrivals::of(courier.spool().path())?;
    let mut backoff = Backoff::default();
    while !stop.is_asked() {
        let round = courier.round(|| stop.is_asked()).unwrap_or_else(|error| {
            warn!("{error:#}, trying again later");
            Round {
                kept: 1,
                ..Round::default()
            }
        });
        if round.sent > 0 || round.kept == 0 {
            backoff.reset();
        }
        if round.kept > 0 {
            arrivals.wait(Backoff::FIRST, backoff.next(random()), stop)?;
        } else if until == Until::Stopped {
            // A message that comes is seen; this is for what is not, such as a spool that was
            // taken away and put back.
            arrivals.wait(Duration::ZERO, Backoff::LONGEST, stop)?;
        } else if courier.spool().waiting()?.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}
