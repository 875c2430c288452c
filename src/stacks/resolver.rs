//! The daemon's side of the process that resolves stacks.
//!
//! It never waits for that process for long, nor believes in it: what does not go through its pipe
//! in time is counted as lost, and however it ends, what it has answered before is what is known.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::fcntl_setpipe_size;

use super::resolve::RESOLVE_ARGUMENT;
use super::wire::{self, Class, Standing};
use crate::sample::printable;
use crate::site::Sites;

/// How long a sample may wait for room in the pipe.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a process may take to end that has been killed.
const REAPED_WITHIN: Duration = Duration::from_millis(500);
/// What waits to be written, in messages that must not be lost.
const MAX_UNSENT_BYTES: usize = 8 << 20;
/// All that is answered.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// What it says of its end.
const MAX_WORDS_BYTES: u64 = 1024;
/// Some sixty samples. Less will do.
const PIPE_BYTES: usize = 1 << 20;

/// The process that resolves the stacks of one capture. It ends with this.
#[derive(Debug)]
pub struct Resolver {
    process: Process,
    /// Nothing once that was all.
    input: Option<File>,
    output: File,
    words: File,
    /// The rest of a message that is under way, and those behind it.
    unsent: Vec<u8>,
    /// Whether the pipe has taken something since it was last waited for in vain.
    is_moving: bool,
    n_missed: u64,
}

/// A process of ours, which does not outlive this.
#[derive(Debug)]
struct Process(Option<Child>);

impl Resolver {
    /// Starts it: `exe` is memleakd itself, `pid` the process whose stacks they are.
    ///
    /// The thread that does so must live as long as the resolver: the kernel kills the process
    /// when it ends.
    pub fn start(exe: &Path, pid: u32) -> Result<Self> {
        let mut child = Command::new(exe)
            .arg(RESOLVE_ARGUMENT)
            .arg(pid.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting this program once more")?;
        let (input, output, words) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Process(Some(child));
        let input = without_blocking(OwnedFd::from(input.context("its standard input")?))?;
        // As many bytes as a user without rights may have in pipes, if no more.
        let _ = fcntl_setpipe_size(&input, PIPE_BYTES);
        Ok(Self {
            process,
            input: Some(input),
            output: without_blocking(OwnedFd::from(output.context("its standard output")?))?,
            words: without_blocking(OwnedFd::from(words.context("its standard error")?))?,
            unsent: Vec::new(),
            is_moving: true,
            n_missed: 0,
        })
    }

    /// Hands over one record of the ring buffer, see [`wire::StackSample`]; within 0.2 s, or it
    /// counts as lost. An error says how the process has ended.
    pub fn sample(&mut self, record: &[u8]) -> Result<()> {
        if !self.send(self.patience())? {
            self.n_missed += 1;
            return Ok(());
        }
        wire::write_sample(&mut self.unsent, record).context("a sample")?;
        self.send(Duration::ZERO)?;
        Ok(())
    }

    /// A window has ended in which allocations were sampled: what stands of those sampled in it,
    /// and by how much each size of blocks has grown where that is how sites are told.
    pub fn window(&mut self, secs: f64, standing: &[Standing], classes: &[Class]) -> Result<()> {
        if self.unsent.len() > MAX_UNSENT_BYTES {
            bail!("the resolver does not listen");
        }
        wire::write_window(&mut self.unsent, secs, standing, classes).context("a window")?;
        self.send(self.patience())?;
        Ok(())
    }

    /// Waits for the sites, for so long at the most; `n_lost` samples never came.
    pub fn finish(mut self, n_lost: u64, timeout: Duration) -> Result<Sites> {
        let deadline = Instant::now() + timeout;
        let n_lost = n_lost.saturating_add(self.n_missed);
        wire::write_finish(&mut self.unsent, n_lost).context("the end")?;
        let sent = self.send(timeout);
        let (answer, end) = match sent {
            Ok(true) => {
                self.input = None;
                self.answer(deadline)
            }
            Ok(false) => (Vec::new(), Some(late(timeout))),
            Err(error) => return Err(error),
        };
        let end = end.or_else(|| self.how_it_ended(deadline));
        // The last line that is whole and has sites.
        let mut lines = answer.split(|byte| *byte == b'\n').rev();
        let sites = lines.find_map(|line| serde_json::from_slice::<Sites>(line).ok());
        match (sites, end) {
            (Some(mut sites), end) => {
                sites
                    .loss
                    .extend(end.map(|end| format!("better names: the resolver {end}")));
                Ok(sites)
            }
            (None, Some(end)) => bail!("the resolver {end}"),
            (None, None) => bail!("the resolver has not answered"),
        }
    }

    fn patience(&self) -> Duration {
        if self.is_moving {
            PATIENCE
        } else {
            Duration::ZERO
        }
    }

    /// Writes what is unsent; whether all was written within a time.
    fn send(&mut self, within: Duration) -> Result<bool> {
        let deadline = Instant::now() + within;
        let mut n_sent = 0;
        let Some(mut input) = self.input.as_ref() else {
            return Ok(false);
        };
        while n_sent < self.unsent.len() {
            match input.write(&self.unsent[n_sent..]) {
                Ok(n) => {
                    n_sent += n;
                    self.is_moving = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !wait_for(input, PollFlags::OUT, deadline) {
                        self.is_moving &= within.is_zero();
                        break;
                    }
                }
                Err(error) => return Err(self.end_of(error)),
            }
        }
        self.unsent.drain(..n_sent);
        Ok(self.unsent.is_empty())
    }

    /// Reads what is answered, up to its end; a phrase if that did not come.
    fn answer(&mut self, deadline: Instant) -> (Vec<u8>, Option<String>) {
        let started = Instant::now();
        let (mut answer, mut block) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match self.output.read(&mut block) {
                Ok(0) => return (answer, None),
                Ok(n) => answer.extend_from_slice(&block[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !wait_for(&self.output, PollFlags::IN, deadline) {
                        return (answer, Some(late(started.elapsed())));
                    }
                }
                Err(error) => return (answer, Some(format!("cannot be read: {error}"))),
            }
            if answer.len() > MAX_ANSWER_BYTES {
                return (answer, Some("answered at too great a length".to_owned()));
            }
        }
    }

    fn end_of(&mut self, error: io::Error) -> Error {
        match self.how_it_ended(Instant::now() + REAPED_WITHIN) {
            Some(end) => anyhow!("the resolver {end}"),
            None => Error::new(error).context("writing to the resolver"),
        }
    }

    /// What is to be said of how it ended, nothing if it ended well.
    fn how_it_ended(&mut self, deadline: Instant) -> Option<String> {
        let deadline = deadline.max(Instant::now() + REAPED_WITHIN);
        let Some(status) = self.process.ended(deadline) else {
            return Some("has not ended".to_owned());
        };
        if status.success() {
            return None;
        }
        let mut words = Vec::new();
        // What it cannot say, its status says.
        let _ = (&self.words).take(MAX_WORDS_BYTES).read_to_end(&mut words);
        let words = printable(words.trim_ascii());
        Some(match status.signal() {
            Some(signal) => format!("was killed by signal {signal}{}", name_of(signal)),
            None if words.is_empty() => format!("ended with {status}"),
            None => format!("says: {words}"),
        })
    }
}

impl Process {
    /// Its status, once it has ended.
    fn ended(&mut self, deadline: Instant) -> Option<ExitStatus> {
        let child = self.0.as_mut()?;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
        }
        if self.ended(Instant::now() + REAPED_WITHIN).is_some() {
            return;
        }
        // One that reads from a disk that does not answer ends when that does.
        if let Some(mut child) = self.0.take() {
            let _ = thread::Builder::new().spawn(move || child.wait());
        }
    }
}

fn late(waited: Duration) -> String {
    format!("has not answered within {:.0} s", waited.as_secs_f64())
}

fn without_blocking(fd: OwnedFd) -> Result<File> {
    let flags = fcntl_getfl(&fd).context("a pipe's flags")?;
    fcntl_setfl(&fd, flags | OFlags::NONBLOCK).context("a pipe's flags")?;
    Ok(File::from(fd))
}

/// Whether a pipe is ready before a time.
fn wait_for(pipe: &impl AsFd, flags: PollFlags, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(pipe, flags)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(n) => return n > 0,
            Err(error) if error == rustix::io::Errno::INTR => {}
            Err(_) => return false,
        }
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        31 => " (SIGSYS)",
        _ => "",
    }
}
