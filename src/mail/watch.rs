//! Stays with a spool: sends what comes, and tries again what could not be sent.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tracing::warn;

use super::{Backoff, Courier, Round, Stop};

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

/// From 0 to 1. The standard library seeds its hash maps from the system's random numbers.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

/// Messages being renamed to their final name.
struct Arrivals {
    inotify: OwnedFd,
}

impl Arrivals {
    fn of(directory: &Path) -> Result<Self> {
        let watch = || {
            let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            inotify::add_watch(
                &inotify,
                directory,
                WatchFlags::MOVED_TO | WatchFlags::ONLYDIR,
            )?;
            Ok::<_, Errno>(Self { inotify })
        };
        watch().with_context(|| format!("watching {}", directory.display()))
    }

    /// Waits as long as given, at most until stopped; less, but not less than the shortest time,
    /// when a message comes.
    fn wait(&self, shortest: Duration, longest: Duration, stop: &Stop) -> Result<()> {
        let begin = Instant::now();
        let mut wait = longest;
        loop {
            let left = wait.saturating_sub(begin.elapsed());
            let timeout = Timespec::try_from(left).context("waiting for so long")?;
            let mut ready = [
                PollFd::new(&self.inotify, PollFlags::IN),
                PollFd::new(stop, PollFlags::IN),
            ];
            match poll(&mut ready, Some(&timeout)) {
                Ok(0) => return Ok(()),
                Ok(_) if !ready[1].revents().is_empty() => return Ok(()),
                Ok(_) => {
                    self.forget()?;
                    wait = wait.min(shortest);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for messages"),
            }
        }
    }

    /// Reads what has been announced; which messages came is seen in the directory.
    fn forget(&self) -> Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error).context("reading what inotify has to say"),
            }
        }
    }
}
