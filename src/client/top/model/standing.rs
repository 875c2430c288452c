//! How things stand with the daemon: whether what is on the screen is of now.

use crate::quantity::Span;

/// An answer may be so old before that is said, in renewals.
const LATE_RENEWALS: f64 = 3.0;
/// And at least so old.
const LATE_SECS: f64 = 6.0;

/// How things stand with the daemon. Times are in seconds since the program started.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::client::top) struct Standing {
    /// When it last answered.
    answered_secs: f64,
    trouble: Option<Trouble>,
}

#[derive(Debug, Clone, PartialEq)]
enum Trouble {
    Away { since_secs: f64 },
    Failing { why: String },
}

impl Standing {
    /// It is to be asked now.
    pub fn new() -> Self {
        Self {
            answered_secs: 0.0,
            trouble: None,
        }
    }

    /// It has answered. Returns whether it was away before.
    pub fn is_up(&mut self, now_secs: f64) -> bool {
        self.answered_secs = now_secs;
        matches!(self.trouble.take(), Some(Trouble::Away { .. }))
    }

    /// Nobody has its name on the bus.
    pub fn is_away(&mut self, now_secs: f64) {
        if !matches!(self.trouble, Some(Trouble::Away { .. })) {
            self.trouble = Some(Trouble::Away {
                since_secs: now_secs,
            });
        }
    }

    /// It could not be asked.
    pub fn fails(&mut self, why: String, now_secs: f64) {
        // That it is away is the better reason, until it answers.
        match self.trouble {
            Some(Trouble::Away { .. }) => self.is_away(now_secs),
            _ => self.trouble = Some(Trouble::Failing { why }),
        }
    }
}

/// What is to be said of it; nothing if all is well. `interval_secs` is how often it is asked.
pub(in crate::client::top) fn told(
    standing: &Standing,
    interval_secs: f64,
    now_secs: f64,
) -> Option<String> {
    let age_secs = now_secs - standing.answered_secs;
    let late_secs = (LATE_RENEWALS * interval_secs).max(LATE_SECS);
    let span = |secs: f64| Span::from_secs_f64(secs.max(0.0).floor());
    match &standing.trouble {
        Some(Trouble::Away { since_secs }) => Some(format!(
            "memleakd does not run, for {} now: waiting for it",
            span(now_secs - since_secs)
        )),
        Some(Trouble::Failing { why }) => Some(why.clone()),
        None if age_secs > late_secs => {
            Some(format!("memleakd has not answered for {}", span(age_secs)))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_absence_and_return_are_said() {
        let mut standing = Standing::new();
        standing.is_up(10.0);
        let told = |standing: &Standing, now_secs| told(standing, 1.0, now_secs);
        assert_eq!(told(&standing, 15.0), None);
        assert_eq!(
            told(&standing, 19.0).as_deref(),
            Some("memleakd has not answered for 9 s")
        );
        standing.fails("no".to_owned(), 20.0);
        assert_eq!(told(&standing, 21.0).as_deref(), Some("no"));
        assert!(!standing.is_up(22.0));
        standing.is_away(30.0);
        standing.is_away(35.0);
        standing.fails("no".to_owned(), 40.0);
        assert_eq!(
            told(&standing, 42.5).as_deref(),
            Some("memleakd does not run, for 12 s now: waiting for it")
        );
        assert!(standing.is_up(43.0));
        assert_eq!(told(&standing, 44.0), None);
    }
}
