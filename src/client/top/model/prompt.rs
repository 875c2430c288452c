//! What is written or chosen in front of everything else.

use crate::alert::Matcher;
use crate::quantity::Span;

/// For how long alerts may be silenced by a key.
pub(in crate::client::top) const TIMES: [Span; 6] = [
    Span::from_mins(30),
    Span::from_mins(60),
    Span::from_mins(4 * 60),
    Span::from_mins(24 * 60),
    Span::from_mins(7 * 24 * 60),
    Span::from_mins(30 * 24 * 60),
];
/// An hour, as "memleakctl silence" has it.
const DEFAULT_TIME: usize = 1;

/// What is written or chosen.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::client::top) enum Prompt {
    /// The filter.
    Filter {
        /// What it was before.
        before: String,
    },
    /// Which alerts nobody is to be told of, and for how long.
    Silence(Choosing),
}

/// A silence that is not yet made.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::client::top) struct Choosing {
    /// Which alerts.
    pub matcher: Box<Matcher>,
    /// For how long, of [`TIMES`].
    pub choice: usize,
    /// Whether the time is chosen, and only a yes is missing.
    pub is_sure: bool,
}

impl Choosing {
    /// For an hour, unless another time is chosen.
    pub fn new(matcher: Matcher) -> Self {
        Self {
            matcher: Box::new(matcher),
            choice: DEFAULT_TIME,
            is_sure: false,
        }
    }

    /// The time that is chosen.
    pub fn time(&self) -> Span {
        TIMES
            .get(self.choice)
            .copied()
            .unwrap_or(TIMES[DEFAULT_TIME])
    }

    /// The next longer time.
    pub fn next(&mut self) {
        self.choice = (self.choice + 1).min(TIMES.len() - 1);
    }

    /// The next shorter time.
    pub fn previous(&mut self) {
        self.choice = self.choice.saturating_sub(1);
    }
}
