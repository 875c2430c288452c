use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Alert;

/// Changes that wait for delivery are bounded by this; the oldest give way.
const MAX_WAITING: usize = 1000;
/// A sink that failed is tried again after so long.
const RETRY_SECS: f64 = 60.0;

/// Changes that some sink has not yet had.
///
/// It is kept with the book across restarts, so that a change is neither lost when the daemon is
/// killed nor sent again to a sink that has confirmed it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outbox {
    last_sequence: u64,
    waiting: VecDeque<Waiting>,
    n_dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    sequence: u64,
    alert: Alert,
    addressees: Vec<Addressee>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Addressee {
    sink: String,
    /// On its way, or resting after a failure, until then. Of this run only.
    #[serde(skip)]
    busy_until_secs: f64,
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
        let addressee = |sink: &&str| Addressee {
            sink: (*sink).to_owned(),
            busy_until_secs: f64::NEG_INFINITY,
        };
        let addressees = sinks.iter().map(addressee).collect();
        self.waiting.push_back(Waiting {
            sequence: self.last_sequence,
            alert,
            addressees,
        });
    }

    /// Hands what is due to `offer`, which takes the sink, the sequence number and the change, and
    /// returns whether the sink could take it.
    ///
    /// To each sink one change at a time, in their order: a failure does not let a later change
    /// overtake, and a daemon that is killed has at most one of unknown fate for each sink.
    pub fn dispatch(&mut self, now_secs: f64, mut offer: impl FnMut(&str, u64, &Alert) -> bool) {
        let mut seen: Vec<String> = Vec::new();
        for waiting in &mut self.waiting {
            for addressee in &mut waiting.addressees {
                if seen.contains(&addressee.sink) {
                    continue;
                }
                seen.push(addressee.sink.clone());
                if addressee.busy_until_secs <= now_secs
                    && offer(&addressee.sink, waiting.sequence, &waiting.alert)
                {
                    addressee.busy_until_secs = f64::INFINITY;
                }
            }
        }
    }

    /// A sink has had a change.
    pub fn confirm(&mut self, sequence: u64, sink: &str) {
        for waiting in self
            .waiting
            .iter_mut()
            .filter(|waiting| waiting.sequence == sequence)
        {
            waiting
                .addressees
                .retain(|addressee| addressee.sink != sink);
        }
        self.waiting
            .retain(|waiting| !waiting.addressees.is_empty());
    }

    /// A sink could not take a change: it is tried again later.
    pub fn fail(&mut self, sequence: u64, sink: &str, now_secs: f64) {
        for waiting in self
            .waiting
            .iter_mut()
            .filter(|waiting| waiting.sequence == sequence)
        {
            for addressee in waiting
                .addressees
                .iter_mut()
                .filter(|addressee| addressee.sink == sink)
            {
                addressee.busy_until_secs = now_secs + RETRY_SECS;
            }
        }
    }

    /// Sinks that are no more are no addressees.
    pub fn keep_sinks(&mut self, sinks: &[&str]) {
        for waiting in &mut self.waiting {
            waiting
                .addressees
                .retain(|addressee| sinks.contains(&addressee.sink.as_str()));
        }
        self.waiting
            .retain(|waiting| !waiting.addressees.is_empty());
    }

    /// Whether some sink is at work on a change.
    pub fn is_under_way(&self) -> bool {
        let mut addressees = self.waiting.iter().flat_map(|waiting| &waiting.addressees);
        addressees.any(|addressee| addressee.busy_until_secs == f64::INFINITY)
    }

    /// How many changes wait.
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many were given up, as too many waited.
    pub fn n_dropped(&self) -> u64 {
        self.n_dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;

    /// What `dispatch` offers, as `sink:sequence`, when the sinks in `full` can take nothing.
    fn offered(outbox: &mut Outbox, now_secs: f64, full: &[&str]) -> Vec<String> {
        let mut offered = Vec::new();
        outbox.dispatch(now_secs, |sink, sequence, _| {
            let takes = !full.contains(&sink);
            if takes {
                offered.push(format!("{sink}:{sequence}"));
            }
            takes
        });
        offered
    }

    #[test]
    fn each_change_reaches_each_sink_once_and_in_order() {
        let mut outbox = Outbox::default();
        outbox.put(alert(), &["journal", "mail"]);
        outbox.put(alert(), &["journal", "mail"]);
        assert_eq!(offered(&mut outbox, 0.0, &["mail"]), ["journal:1"]);
        assert_eq!(offered(&mut outbox, 1.0, &[]), ["mail:1"]);
        assert_eq!(offered(&mut outbox, 2.0, &[]), [""; 0]);
        outbox.confirm(1, "journal");
        assert_eq!(offered(&mut outbox, 2.0, &[]), ["journal:2"]);
        for (sequence, sink) in [(2, "journal"), (1, "mail"), (2, "mail")] {
            assert_ne!(outbox.n_waiting(), 0);
            outbox.confirm(sequence, sink);
        }
        assert_eq!(outbox.n_waiting(), 0);
    }

    #[test]
    fn what_fails_is_tried_again_before_what_came_later() {
        let mut outbox = Outbox::default();
        outbox.put(alert(), &["journal"]);
        outbox.put(alert(), &["journal"]);
        assert_eq!(offered(&mut outbox, 0.0, &[]), ["journal:1"]);
        outbox.fail(1, "journal", 0.0);
        assert_eq!(offered(&mut outbox, 59.0, &[]), [""; 0]);
        assert_eq!(offered(&mut outbox, 60.0, &[]), ["journal:1"]);
        outbox.confirm(1, "journal");
        assert_eq!(offered(&mut outbox, 60.0, &[]), ["journal:2"]);
    }

    #[test]
    fn what_was_not_confirmed_before_a_kill_is_due_again() {
        let mut outbox = Outbox::default();
        outbox.put(alert(), &["journal", "mail", "gone"]);
        offered(&mut outbox, 0.0, &[]);
        outbox.confirm(1, "journal");
        let kept = serde_json::to_string(&outbox).expect("JSON");
        let mut outbox: Outbox = serde_json::from_str(&kept).expect("an outbox");
        outbox.keep_sinks(&["journal", "mail"]);
        assert_eq!(offered(&mut outbox, 0.0, &[]), ["mail:1"]);
        outbox.confirm(1, "mail");
        assert_eq!(outbox.n_waiting(), 0);
    }

    #[test]
    fn it_is_bounded() {
        let mut outbox = Outbox::default();
        (0..1005).for_each(|_| outbox.put(alert(), &["mail"]));
        assert_eq!((outbox.n_waiting(), outbox.n_dropped()), (MAX_WAITING, 5));
        outbox.put(alert(), &[]);
        assert_eq!(outbox.n_waiting(), MAX_WAITING);
    }
}
