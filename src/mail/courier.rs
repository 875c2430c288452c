//! Carries what waits in the spool to where it is taken.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use tracing::{error, info, warn};

use super::connection::Verdict;
use super::envelope::Envelope;
use super::progress::Progress;
use super::spool::{Spool, Waiting};
use super::text::shorten;
use super::transport::{Carrier, Transport};
use crate::sample::printable;

/// A message that could not be sent for so long is parked.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// A server that breaks off so many messages in a row is left alone until later.
const MAX_BREAKS: usize = 3;

/// Sends the messages of one spool by one way.
#[derive(Debug)]
pub struct Courier {
    spool: Spool,
    transport: Transport,
    progress: HashMap<OsString, Progress>,
}

/// What one round over the spool came to, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Taken by the server.
    pub sent: usize,
    /// Given up and put aside.
    pub parked: usize,
    /// Left for later.
    pub kept: usize,
}

/// What becomes of a message now.
enum Outcome {
    Sent,
    Hopeless(String),
    Kept(String),
}

impl Courier {
    /// Sends nothing yet.
    pub fn new(spool: Spool, transport: Transport) -> Self {
        Self {
            spool,
            transport,
            progress: HashMap::new(),
        }
    }

    /// The spool it empties.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Tries once to send each message that waits, the oldest first, and logs what came of it.
    ///
    /// Between two messages it asks whether to stop. Only a spool that cannot be read at all is an
    /// error.
    pub fn round(&mut self, stop: impl Fn() -> bool) -> Result<Round> {
        let _lock = self.spool.lock()?;
        let mut waiting = self.spool.waiting()?;
        self.progress
            .retain(|name, _| waiting.iter().any(|message| message.name() == name));
        // One that broke off the last time does not keep the others from their turn.
        waiting.sort_by_key(|message| {
            self.progress
                .get(message.name())
                .map_or(0, |progress| progress.n_tries)
        });
        let mut round = Round::default();
        let mut carrier: Option<Carrier> = None;
        let mut n_breaks = 0;
        for (index, message) in waiting.iter().enumerate() {
            if stop() {
                round.kept += waiting.len() - index;
                break;
            }
            if n_breaks == MAX_BREAKS {
                let reason = "it fails again and again";
                self.postpone(&waiting[index..], reason, &mut round);
                break;
            }
            let (envelope, text) = match self.open(message) {
                Ok(Some(opened)) => opened,
                Ok(None) => continue,
                Err(outcome) => {
                    self.settle(message, outcome, &mut round);
                    continue;
                }
            };
            let open = match carrier.take().map_or_else(|| self.transport.open(), Ok) {
                Ok(open) => carrier.insert(open),
                Err(reason) => {
                    self.postpone(&waiting[index..], &reason, &mut round);
                    break;
                }
            };
            let outcome = self.deliver(open, message, envelope, &text);
            let broke = !open.is_usable();
            n_breaks = if broke { n_breaks + 1 } else { 0 };
            if broke {
                carrier = None;
            }
            self.settle(message, outcome, &mut round);
        }
        if let Some(carrier) = carrier {
            carrier.close();
        }
        Ok(round)
    }

    /// Reads a message and its envelope. `None`: it is gone. Or what becomes of it instead.
    fn open(&self, message: &Waiting) -> Result<Option<(Envelope, Vec<u8>)>, Outcome> {
        let text = match self.spool.read(message) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                return Err(Outcome::Hopeless(error.to_string()));
            }
            // A permission can be given, and a disk may come back.
            Err(error) => return Err(Outcome::Kept(format!("it cannot be read: {error}"))),
        };
        let envelope =
            Envelope::of(&text).map_err(|error| Outcome::Hopeless(format!("{error:#}")))?;
        Ok(Some((envelope, text)))
    }

    fn deliver(
        &mut self,
        carrier: &mut Carrier,
        message: &Waiting,
        mut envelope: Envelope,
        text: &[u8],
    ) -> Outcome {
        let spool = &self.spool;
        let progress = self
            .progress
            .entry(message.name().to_owned())
            .or_insert_with(|| Progress::parse(&spool.progress(message)));
        progress.n_tries += 1;
        envelope
            .to
            .retain(|address| !progress.settled.contains_key(address));
        let mut delay = None;
        let n_settled = progress.settled.len();
        for (address, verdict) in envelope.to.iter().zip(carrier.send(&envelope, text)) {
            match verdict {
                Verdict::Later(why) => delay = delay.or(Some(format!("{address}: {why}"))),
                settled => {
                    progress.settled.insert(address.clone(), settled);
                }
            }
        }
        if let Some(delay) = delay {
            // Only who is still to get it is to get it, also from the next run of this program.
            if progress.settled.len() > n_settled
                && let Err(error) = spool.note_progress(message, &progress.to_text())
            {
                warn!("{error:#}, continuing");
            }
            return Outcome::Kept(delay);
        }
        let refusals = progress.refusals();
        let refused = shorten(&refusals.join("; "), 1000);
        if refusals.len() == progress.settled.len() {
            return Outcome::Hopeless(refused);
        }
        if !refusals.is_empty() {
            warn!(
                "{} is not taken for everybody: {refused}, continuing",
                shown(message.name())
            );
        }
        Outcome::Sent
    }

    /// Does with a message what is to be done, and says so. One that is sent and cannot be
    /// removed is remembered, so that nobody gets it again.
    fn settle(&mut self, message: &Waiting, outcome: Outcome, round: &mut Round) {
        let name = shown(message.name());
        let done = match &outcome {
            Outcome::Kept(why) if message.age(SystemTime::now()) <= GIVE_UP => {
                warn!("{name} is kept for later: {why}");
                round.kept += 1;
                return;
            }
            Outcome::Sent => self.spool.remove(message),
            Outcome::Kept(_) | Outcome::Hopeless(_) => self.spool.park(message),
        };
        if let Err(error) = done {
            warn!("{error:#}, trying again later");
            round.kept += 1;
            return;
        }
        match outcome {
            Outcome::Sent => {
                info!("{name} is sent");
                round.sent += 1;
            }
            Outcome::Kept(why) | Outcome::Hopeless(why) => {
                let whom = match self.progress.get(message.name()) {
                    Some(progress) if progress.refusals().len() < progress.settled.len() => {
                        "not sent to everybody"
                    }
                    _ => "not sent",
                };
                error!(
                    "{name} is {whom} and put into {}: {why}",
                    self.spool.rejected().display()
                );
                round.parked += 1;
            }
        }
        self.progress.remove(message.name());
    }

    /// Nothing more goes through now: one line for all that wait, and the too old ones are parked.
    fn postpone(&mut self, waiting: &[Waiting], why: &str, round: &mut Round) {
        let now = SystemTime::now();
        let transport = self.transport.name();
        let (old, young): (Vec<_>, Vec<_>) = waiting
            .iter()
            .partition(|message| message.age(now) > GIVE_UP);
        for message in old {
            self.settle(
                message,
                Outcome::Hopeless(format!("{transport}: {why}")),
                round,
            );
        }
        if !young.is_empty() {
            warn!("{transport}: {why}; {} kept for later", count(young.len()));
        }
        round.kept += young.len();
    }
}

fn count(n_messages: usize) -> String {
    match n_messages {
        1 => "1 message is".to_owned(),
        n => format!("{n} messages are"),
    }
}

fn shown(name: &OsStr) -> String {
    printable(name.as_encoded_bytes())
}
