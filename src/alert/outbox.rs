mod addressee;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::{Alert, Change};
use crate::config::Severity;
use crate::quantity::Span;
use crate::sample::Moment;
use addressee::Addressee;

/// Changes that wait for delivery are bounded by this; the oldest give way.
const MAX_WAITING: usize = 2000;
/// A sink that failed is tried again after so long.
const RETRY_SECS: f64 = 60.0;
/// One part in so many of an hour's messages is for what is critical.
const RESERVE: u32 = 5;

/// Changes that some sink has not yet had.
///
/// It is kept with the book across restarts, so that a change is neither lost when the daemon is
/// killed nor sent again to a sink that has confirmed it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outbox {
    last_sequence: u64,
    waiting: VecDeque<Waiting>,
    #[serde(default)]
    budgets: BTreeMap<String, Budget>,
    n_dropped: u64,
}

/// How the changes for one sink become messages. A sink that is not packed for has each change by
/// itself, at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Packing {
    /// What comes within so long is one message; what is critical does not wait.
    pub wait: Span,
    /// At most so many messages an hour.
    pub max_per_hour: u32,
    /// At most so many changes a message.
    pub max_changes: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    sequence: u64,
    alert: Alert,
    addressees: Vec<Addressee>,
}

impl Outbox {
    /// Addresses a change to sinks.
    pub fn put(&mut self, alert: Alert, sinks: &[&str]) {
        if sinks.is_empty() {
            return;
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
            self.n_dropped += 1;
        }
        self.last_sequence += 1;
        self.waiting.push_back(Waiting {
            sequence: self.last_sequence,
            alert,
            addressees: sinks.iter().map(|sink| Addressee::new(sink)).collect(),
        });
    }

    /// Makes the next message for a sink of what waits for it, if it is time and none is under way.
    /// Whether it has, which is to be on disk before the message goes out: when it is tried again
    /// it is the same.
    pub fn pack(&mut self, sink: &str, packing: &Packing, now: &Moment) -> bool {
        let mut waiting = self.waiting.iter().filter_map(|waiting| {
            let addressee = waiting.addressee(sink)?;
            Some((waiting, addressee.message))
        });
        let Some((first, None)) = waiting.next() else {
            return false;
        };
        let sequence = first.sequence;
        // A clock that was set back is no reason to wait for ever.
        let waited_secs = now.time.duration_since(first.alert.time).as_secs_f64();
        let mut changes = std::iter::once(first).chain(waiting.map(|(waiting, _)| waiting));
        let is_urgent = changes.any(|waiting| is_urgent(&waiting.alert));
        if !is_urgent && (0.0..packing.wait.secs()).contains(&waited_secs) {
            return false;
        }
        let max = packing.max_per_hour;
        let max = if is_urgent { max } else { max - max / RESERVE };
        let budget = self.budgets.entry(sink.to_owned()).or_default();
        if !budget.take(now.time, max) {
            return false;
        }
        let addressees = self.waiting.iter_mut();
        let addressees = addressees.filter_map(|waiting| waiting.addressee_mut(sink));
        for addressee in addressees.take(packing.max_changes) {
            addressee.message = Some(sequence);
        }
        true
    }

    /// Hands what is due to `offer`, which takes the sink, the sequence number of the first change
    /// and the changes, and returns whether the sink could take them.
    ///
    /// To each sink one message at a time, in their order: a failure does not let a later change
    /// overtake, and a daemon that is killed has at most one of unknown fate for each sink.
    pub fn dispatch(
        &mut self,
        now_secs: f64,
        is_packed: impl Fn(&str) -> bool,
        mut offer: impl FnMut(&str, u64, Vec<Alert>) -> bool,
    ) {
        for sink in self.sinks() {
            let mut of_sink = self
                .waiting
                .iter()
                .filter(|waiting| waiting.addressee(&sink).is_some());
            let Some(first) = of_sink.next() else {
                continue;
            };
            let addressee = first.addressee(&sink).expect("it was found by it");
            let message = addressee.message;
            if !addressee.is_due(now_secs) || (message.is_none() && is_packed(&sink)) {
                continue;
            }
            let sequence = message.unwrap_or(first.sequence);
            let same = of_sink.take_while(|waiting| {
                let addressee = waiting.addressee(&sink);
                message.is_some() && addressee.is_some_and(|other| other.message == message)
            });
            let changes = std::iter::once(first).chain(same);
            let changes = changes.map(|waiting| waiting.alert.clone()).collect();
            if offer(&sink, sequence, changes) {
                self.set_busy(sequence, &sink, f64::INFINITY);
            }
        }
    }

    /// A sink has had a message.
    pub fn confirm(&mut self, sequence: u64, sink: &str) {
        for waiting in &mut self.waiting {
            let own = waiting.sequence;
            waiting.addressees.retain(|addressee| {
                addressee.sink != sink || addressee.message.unwrap_or(own) != sequence
            });
        }
        self.forget_delivered();
    }

    /// A sink could not take a message: it is tried again later.
    pub fn fail(&mut self, sequence: u64, sink: &str, now_secs: f64) {
        self.set_busy(sequence, sink, now_secs + RETRY_SECS);
    }

    /// Sinks that are no more are no addressees.
    pub fn keep_sinks(&mut self, sinks: &[&str]) {
        for waiting in &mut self.waiting {
            waiting
                .addressees
                .retain(|addressee| sinks.contains(&addressee.sink.as_str()));
        }
        self.budgets
            .retain(|sink, _| sinks.contains(&sink.as_str()));
        self.forget_delivered();
    }

    /// Whether some sink is at work on a change.
    pub fn is_under_way(&self) -> bool {
        let mut addressees = self.waiting.iter().flat_map(|waiting| &waiting.addressees);
        addressees.any(Addressee::is_at_work)
    }

    /// How many changes wait.
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many of them wait for their time or for the hour's share of messages of a sink.
    pub fn n_held(&self, is_packed: impl Fn(&str) -> bool) -> usize {
        let is_held = |waiting: &&Waiting| {
            let mut addressees = waiting.addressees.iter();
            addressees.any(|addressee| addressee.message.is_none() && is_packed(&addressee.sink))
        };
        self.waiting.iter().filter(is_held).count()
    }

    /// How many were given up, as too many waited.
    pub fn n_dropped(&self) -> u64 {
        self.n_dropped
    }

    /// The sinks that something waits for, each once.
    fn sinks(&self) -> Vec<String> {
        let addressees = self.waiting.iter().flat_map(|waiting| &waiting.addressees);
        let mut sinks: Vec<_> = addressees.map(|addressee| addressee.sink.clone()).collect();
        sinks.sort_unstable();
        sinks.dedup();
        sinks
    }

    fn set_busy(&mut self, sequence: u64, sink: &str, until_secs: f64) {
        for waiting in &mut self.waiting {
            let own = waiting.sequence;
            if let Some(addressee) = waiting.addressee_mut(sink)
                && addressee.message.unwrap_or(own) == sequence
            {
                addressee.busy_until_secs = until_secs;
            }
        }
    }

    fn forget_delivered(&mut self) {
        self.waiting
            .retain(|waiting| !waiting.addressees.is_empty());
    }
}

impl Waiting {
    fn addressee(&self, sink: &str) -> Option<&Addressee> {
        let mut addressees = self.addressees.iter();
        addressees.find(|addressee| addressee.sink == sink)
    }

    fn addressee_mut(&mut self, sink: &str) -> Option<&mut Addressee> {
        let mut addressees = self.addressees.iter_mut();
        addressees.find(|addressee| addressee.sink == sink)
    }
}

fn is_urgent(alert: &Alert) -> bool {
    let begins = matches!(alert.change, Change::Raised | Change::Escalated);
    begins && alert.severity == Severity::Critical
}

#[cfg(test)]
mod tests;
