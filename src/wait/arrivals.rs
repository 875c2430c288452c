use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::Stop;

/// Files of a directory being renamed to their final name.
#[derive(Debug)]
pub struct Arrivals {
    inotify: OwnedFd,
}

impl Arrivals {
    /// Those from now on.
    pub fn of(directory: &Path) -> Result<Self> {
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
    /// when a file comes.
    pub fn wait(&self, shortest: Duration, longest: Duration, stop: &Stop) -> Result<()> {
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
                Err(error) => return Err(error).context("waiting for files"),
            }
        }
    }

    /// Reads what has been announced; which files came is seen in the directory.
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
