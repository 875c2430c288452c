use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many messages were sent in the last hour, so that a storm of leaks is no storm of messages.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Budget {
    /// Times of the last messages, the oldest first; never more than are allowed.
    sent: VecDeque<Timestamp>,
}

const HOUR_SECS: i64 = 3600;

impl Budget {
    /// Takes one message out of the budget, if there is one left of the first so many an hour.
    pub fn take(&mut self, now: Timestamp, max_per_hour: u32) -> bool {
        // A clock that was set back leaves times in the future, which would block for ever.
        self.sent
            .retain(|sent| (0..HOUR_SECS).contains(&now.duration_since(*sent).as_secs()));
        let is_left = self.sent.len() < max_per_hour as usize;
        if is_left {
            self.sent.push_back(now);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_its_share() {
        let at = |secs: i64| Timestamp::from_second(1_000_000 + secs).expect("in range");
        let mut budget = Budget::default();
        for (secs, taken) in [
            (0, true),
            (1, true),
            (2, false),
            (3599, false),
            (3600, true),
            (3600, false),
            (3601, true),
            (100, true),
        ] {
            assert_eq!(budget.take(at(secs), 2), taken, "{secs}");
        }
    }
}
