//! SIGTERM and SIGINT as something that can be asked for and waited for.

use std::io::Result;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// So long what is under way may take to be finished. Its answer may be half a minute away, and
/// whoever stops a program does not wait that long; its file stays where it is then.
const GRACE: Duration = Duration::from_millis(500);

/// Whether the program was told to end.
///
/// Its descriptor becomes readable then. A program that has not ended by itself half a second
/// later is ended with success.
#[derive(Debug)]
pub struct Stop {
    reader: UnixStream,
}

impl Stop {
    /// Takes SIGTERM and SIGINT from now on. One of these is enough for a program.
    pub fn on_signals() -> Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                if signals.forever().next().is_some() {
                    // The reader sees the end of the stream.
                    drop(writer);
                    thread::sleep(GRACE);
                    process::exit(0);
                }
            })?;
        Ok(Self { reader })
    }

    /// Whether it was.
    pub fn is_asked(&self) -> bool {
        let mut ready = [PollFd::new(&self.reader, PollFlags::IN)];
        poll(&mut ready, Some(&Timespec::default())).is_ok_and(|n_ready| n_ready > 0)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
