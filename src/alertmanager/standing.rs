use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Incident;
use crate::wait::{Backoff, random};

/// What is refused again and again for so long is parked.
const GIVE_UP: Duration = Duration::from_secs(600);

/// An incident, and how it stands with the server.
#[derive(Debug)]
pub(super) struct Standing {
    pub path: PathBuf,
    pub incident: Incident,
    /// When this change of it was last taken.
    taken: Option<Instant>,
    refusal: Option<Refusal>,
}

/// The server's refusing it.
#[derive(Debug)]
struct Refusal {
    since: Instant,
    again: Instant,
    backoff: Backoff,
    words: String,
}

/// What becomes of one that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is tried again, and the words are new.
    Newly,
    /// It is tried again.
    Still,
    /// It is given up.
    ForGood,
}

impl Standing {
    /// One that nobody has been told of.
    pub fn new(path: PathBuf, incident: Incident) -> Self {
        Self {
            path,
            incident,
            taken: None,
            refusal: None,
        }
    }

    /// Takes in what its file says now. A change of it is to be told.
    pub fn renew(&mut self, incident: Incident) {
        if self.incident != incident {
            self.incident = incident;
            self.taken = None;
        }
    }

    /// Whether this change of it was taken.
    pub fn is_told(&self) -> bool {
        self.taken.is_some()
    }

    /// When it is to be posted next, one that fires so long after it was taken.
    pub fn due(&self, now: Instant, refresh: Duration) -> Instant {
        let refused = self.refusal.as_ref().map(|refusal| refusal.again);
        let taken = self.taken.map(|taken| taken + refresh);
        refused.or(taken).unwrap_or(now)
    }

    /// The server has taken it. Whether it had not had this change before.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refusal = None;
        self.taken.replace(now).is_none()
    }

    /// The server has refused it.
    pub fn refuse(&mut self, now: Instant, words: &str) -> Refused {
        let refusal = self.refusal.get_or_insert_with(|| Refusal {
            since: now,
            again: now,
            backoff: Backoff::default(),
            words: String::new(),
        });
        refusal.again = now + refusal.backoff.next(random());
        if now.duration_since(refusal.since) >= GIVE_UP {
            return Refused::ForGood;
        }
        if refusal.words == words {
            return Refused::Still;
        }
        words.clone_into(&mut refusal.words);
        Refused::Newly
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::leak;

    #[test]
    fn what_is_refused_is_tried_less_and_less_and_given_up() {
        let start = Instant::now();
        let mut standing = Standing::new(PathBuf::new(), Incident::after(None, &leak()));
        let mut now = start;
        let mut told = Vec::new();
        loop {
            told.push(standing.refuse(now, "400 no"));
            if told.last() == Some(&Refused::ForGood) {
                break;
            }
            let due = standing.due(now, Duration::from_secs(60));
            assert!(due > now, "at once");
            now = due;
        }
        assert_eq!(told[..2], [Refused::Newly, Refused::Still]);
        assert!((5..=12).contains(&told.len()), "{told:?}");
        let secs = now.duration_since(start).as_secs();
        assert!((600..=1300).contains(&secs), "{secs} s");
    }

    #[test]
    fn one_that_is_taken_is_due_after_the_time_and_after_a_change() {
        let now = Instant::now();
        let refresh = Duration::from_secs(60);
        let incident = Incident::after(None, &leak());
        let mut standing = Standing::new(PathBuf::new(), incident.clone());
        assert_eq!(standing.due(now, refresh), now);
        assert!(standing.take(now) && !standing.take(now));
        assert_eq!(standing.due(now, refresh), now + refresh);
        standing.renew(incident.clone());
        assert!(standing.is_told());
        standing.renew(incident.ended(leak().time));
        assert!(!standing.is_told());
        assert_eq!(standing.due(now, refresh), now);
    }
}
