//! Captures that were asked for: whose they are, and what has come of them. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::reading::Capture;

/// Captures that run at a time; the other slots are for the rules.
pub(super) const MAX_CAPTURES: usize = 8;
/// So many of them may be of one user, if that is not root.
const MAX_OF_USER: usize = 4;
/// Results that wait to be fetched.
const MAX_KEPT: usize = 64;
/// One that nobody asks after for so long is given up, as its probes cost the process.
const PATIENCE: Duration = Duration::from_secs(20);
/// Results that nobody has fetched are kept for so long.
const KEEP: Duration = Duration::from_secs(600);

/// What is known of captures, by their ids.
#[derive(Debug, Default)]
pub(super) struct Captures {
    asked: BTreeMap<u64, Asked>,
    n_begun: u64,
}

#[derive(Debug)]
struct Asked {
    uid: u32,
    /// When somebody last asked after it, or when it was done.
    touched: Instant,
    /// `None` as long as it runs.
    result: Option<Result<Capture, String>>,
}

impl Captures {
    /// Takes in a user's wish, and gives it an id. The error is a sentence.
    pub fn begin(&mut self, uid: u32, now: Instant) -> Result<u64, String> {
        self.make_room(now);
        let running = || self.asked.values().filter(|asked| asked.result.is_none());
        if running().count() >= MAX_CAPTURES {
            return Err(format!(
                "{MAX_CAPTURES} captures are running: wait for one to end"
            ));
        }
        if uid != 0 && running().filter(|asked| asked.uid == uid).count() >= MAX_OF_USER {
            return Err(format!(
                "{MAX_OF_USER} captures of this user are running: wait for one to end"
            ));
        }
        self.n_begun += 1;
        let asked = Asked {
            uid,
            touched: now,
            result: None,
        };
        self.asked.insert(self.n_begun, asked);
        Ok(self.n_begun)
    }

    /// The result of a user's capture, `None` as long as it runs. It is handed out once.
    pub fn ask(&mut self, id: u64, uid: u32, now: Instant) -> Option<Result<Capture, String>> {
        let asked = self.asked.get_mut(&id).filter(|asked| asked.uid == uid);
        let Some(asked) = asked else {
            return Some(Err("there is no such capture".to_owned()));
        };
        asked.touched = now;
        let result = asked.result.take()?;
        self.asked.remove(&id);
        Some(result)
    }

    /// Whether somebody still asks after a capture that runs.
    pub fn is_wanted(&self, id: u64, now: Instant) -> bool {
        let asked = self.asked.get(&id);
        asked.is_some_and(|asked| now.saturating_duration_since(asked.touched) < PATIENCE)
    }

    /// A capture has ended.
    pub fn finish(&mut self, id: u64, result: Result<Capture, String>, now: Instant) {
        if let Some(asked) = self.asked.get_mut(&id) {
            asked.touched = now;
            asked.result = Some(result);
        }
        self.make_room(now);
    }

    fn make_room(&mut self, now: Instant) {
        self.asked.retain(|_, asked| {
            asked.result.is_none() || now.saturating_duration_since(asked.touched) < KEEP
        });
        let done = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.result.is_some());
        let done: Vec<_> = done.map(|(id, _)| *id).collect();
        for id in done.iter().rev().skip(MAX_KEPT) {
            self.asked.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: u32 = 0;

    fn fail(captures: &mut Captures, id: u64, now: Instant) {
        captures.finish(id, Err("done".to_owned()), now);
    }

    #[test]
    fn a_result_is_handed_out_once_and_only_to_whom_it_belongs() {
        let now = Instant::now();
        let mut captures = Captures::default();
        let id = captures.begin(1000, now).expect("room");
        let unknown = Some(Err("there is no such capture".to_owned()));
        assert_eq!(captures.ask(id, 1000, now), None);
        for (id, uid) in [(id, 1001), (id, ROOT), (id + 1, 1000)] {
            assert_eq!(captures.ask(id, uid, now), unknown, "{id} {uid}");
        }
        fail(&mut captures, id, now);
        assert_eq!(captures.ask(id, 1001, now), unknown);
        assert_eq!(captures.ask(id, 1000, now), Some(Err("done".to_owned())));
        assert_eq!(captures.ask(id, 1000, now), unknown);
    }

    #[test]
    fn no_user_takes_all_the_room() {
        let now = Instant::now();
        let mut captures = Captures::default();
        let begun = (0..9).map(|_| captures.begin(1000, now).is_ok());
        assert_eq!(begun.filter(|is_ok| *is_ok).count(), MAX_OF_USER);
        let begun = (0..9).map(|_| captures.begin(ROOT, now).is_ok());
        assert_eq!(
            begun.filter(|is_ok| *is_ok).count(),
            MAX_CAPTURES - MAX_OF_USER
        );
        fail(&mut captures, 1, now);
        assert!(captures.begin(1000, now).is_ok());
    }

    #[test]
    fn what_nobody_asks_after_is_given_up_and_forgotten() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut captures = Captures::default();
        let id = captures.begin(ROOT, start).expect("room");
        assert!(captures.is_wanted(id, at(19)));
        assert_eq!(captures.ask(id, ROOT, at(19)), None);
        assert!(captures.is_wanted(id, at(38)));
        assert!(!captures.is_wanted(id, at(39)));
        fail(&mut captures, id, at(39));
        captures.make_room(at(39 + 599));
        assert_eq!(captures.asked.len(), 1);
        captures.make_room(at(39 + 600));
        assert_eq!(captures.asked.len(), 0);
    }

    #[test]
    fn results_that_wait_are_bounded_the_latest_stay() {
        let now = Instant::now();
        let mut captures = Captures::default();
        for _ in 0..1000 {
            let id = captures.begin(1000, now).expect("room");
            fail(&mut captures, id, now);
        }
        let kept: Vec<_> = captures.asked.keys().copied().collect();
        assert_eq!(
            kept,
            (1000 - MAX_KEPT as u64 + 1..=1000).collect::<Vec<_>>()
        );
    }
}
