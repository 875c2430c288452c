//! The thread that hands the stacks of one capture on to who resolves them, so that nothing there
//! holds up the prober.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use libbpf_rs::RingBufferBuilder;

use super::probes::Ring;
use crate::site::Sites;
use crate::stacks::Resolver;
use crate::stacks::wire::{Class, STACK_BYTES_MAX, Standing};

/// How often the ring buffer is looked at. It holds 254 stacks, and before it is known how much a
/// process allocates, these are soon there.
const LOOK: Duration = Duration::from_millis(10);
/// How long the sites may take, once all is said.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Ends of windows that wait to be heard.
const MAX_WINDOWS: usize = 64;
/// Where a record's stack begins, and the length of it before that: see bpf/stack.h.
const STACK_AT: usize = 72;
const LENGTH_AT: usize = 68;

/// Who hears of sampled stacks and says where they come from: [`Resolver`], or a test.
pub trait Listener {
    /// A sample, see [`crate::stacks::wire::StackSample`].
    fn sample(&mut self, record: &[u8]) -> Result<()>;

    /// A window has ended: what stands of those sampled in it, and how sizes have grown if that
    /// is how sites are told.
    fn window(&mut self, secs: f64, standing: &[Standing], classes: &[Class]) -> Result<()>;

    /// That was all; so many samples never came. Says where they are from, within a time.
    fn finish(self: Box<Self>, n_lost: u64, timeout: Duration) -> Result<Sites>;
}

impl Listener for Resolver {
    fn sample(&mut self, record: &[u8]) -> Result<()> {
        Self::sample(self, record)
    }

    fn window(&mut self, secs: f64, standing: &[Standing], classes: &[Class]) -> Result<()> {
        Self::window(self, secs, standing, classes)
    }

    fn finish(self: Box<Self>, n_lost: u64, timeout: Duration) -> Result<Sites> {
        Self::finish(*self, n_lost, timeout)
    }
}

/// Finds a listener for the stacks of a process, by this program's file and the process's id.
pub type Listen = Arc<dyn Fn(&Path, u32) -> Result<Box<dyn Listener>> + Send + Sync>;

/// Who hears of stacks, and this program's file.
#[derive(Clone)]
pub(super) struct Hearer {
    pub listen: Listen,
    pub exe: PathBuf,
}

/// The prober's end of the thread.
pub(super) struct Relay {
    words: SyncSender<Word>,
    result: Receiver<Result<Sites>>,
}

enum Word {
    Window {
        secs: f64,
        standing: Vec<Standing>,
        classes: Vec<Class>,
    },
    Finish {
        n_lost: u64,
    },
}

impl Relay {
    /// Starts the thread.
    pub fn start(hearer: &Hearer, pid: u32, ring: Ring) -> Result<Self> {
        let (words, heard) = sync_channel(MAX_WINDOWS);
        let (done, result) = sync_channel(1);
        let Hearer { listen, exe } = hearer.clone();
        thread::Builder::new()
            .name("stacks".to_owned())
            .spawn(move || {
                let sites = listen(&exe, pid).and_then(|listener| relay(listener, &ring, &heard));
                // Nobody may wait for them any more.
                let _ = done.send(sites);
            })
            .context("starting the thread that hands on stacks")?;
        Ok(Self { words, result })
    }

    /// A window has ended, and all its samples are in the ring buffer.
    pub fn window(&self, secs: f64, standing: Vec<Standing>, classes: Vec<Class>) -> Result<()> {
        self.say(Word::Window {
            secs,
            standing,
            classes,
        })
    }

    /// That was all.
    pub fn finish(&self, n_lost: u64) -> Result<()> {
        self.say(Word::Finish { n_lost })
    }

    fn say(&self, word: Word) -> Result<()> {
        // One that has given up has said why.
        if self.words.try_send(word).is_err() {
            match self.result.recv_timeout(Duration::ZERO) {
                Ok(Err(error)) => return Err(error),
                _ => bail!("the process that resolves stacks does not keep up"),
            }
        }
        Ok(())
    }

    /// What has come of it, if it is over.
    pub fn result(&self) -> Option<Result<Sites>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(anyhow!("the thread that hands on stacks has ended")))
            }
        }
    }
}

impl fmt::Debug for Hearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

/// Hands on what there is until that was all, or nobody is left who wants to know.
fn relay(listener: Box<dyn Listener>, ring: &Ring, heard: &Receiver<Word>) -> Result<Sites> {
    let listener = std::cell::RefCell::new(Hearing {
        listener,
        failure: None,
    });
    let mut rings = RingBufferBuilder::new();
    rings
        .add(ring, |record| listener.borrow_mut().sample(record))
        .context("opening the ring buffer of stacks")?;
    let rings = rings.build().context("opening the ring buffer of stacks")?;
    let drain = || -> Result<()> {
        let drained = rings.consume();
        match listener.borrow_mut().failure.take() {
            Some(failure) => Err(failure),
            None => drained.context("reading the ring buffer of stacks"),
        }
    };
    loop {
        let word = heard.recv_timeout(LOOK);
        // What a window has sampled comes before its end.
        drain()?;
        match word {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the capture was given up"),
            Ok(Word::Window {
                secs,
                standing,
                classes,
            }) => listener
                .borrow_mut()
                .listener
                .window(secs, &standing, &classes)?,
            Ok(Word::Finish { n_lost }) => {
                drop(rings);
                return listener.into_inner().listener.finish(n_lost, PATIENCE);
            }
        }
    }
}

/// Who listens, and why no longer.
struct Hearing {
    listener: Box<dyn Listener>,
    failure: Option<anyhow::Error>,
}

impl Hearing {
    /// Anything but 0 ends the reading of the ring buffer.
    fn sample(&mut self, record: &[u8]) -> i32 {
        match self.listener.sample(shortened(record)) {
            Ok(()) => 0,
            Err(error) => {
                self.failure = Some(error);
                -1
            }
        }
    }
}

/// A record without the room behind its stack.
fn shortened(record: &[u8]) -> &[u8] {
    let length = record.get(LENGTH_AT..STACK_AT);
    let length = length.and_then(|bytes| bytes.try_into().ok());
    let length = length.map_or(0, u32::from_ne_bytes) as usize;
    let end = STACK_AT + length.min(STACK_BYTES_MAX);
    record.get(..end).unwrap_or(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_with_its_stack() {
        let mut record = vec![7; STACK_AT + 100];
        for (length, expected) in [
            (0u32, 72),
            (40, 112),
            (100, 172),
            (101, 172),
            (u32::MAX, 172),
        ] {
            record[LENGTH_AT..STACK_AT].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(shortened(&record).len(), expected, "{length}");
        }
        assert_eq!(shortened(&record[..10]).len(), 10);
    }
}
