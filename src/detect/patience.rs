//! For how long growth must last before it is a leak.

use super::history::History;
use super::lane::{Before, Growth, Lane};
use crate::config::{Rule, Sustained};

const MINUTE: f64 = 60.0;
/// No growth is told from work in less, but where little time is left.
const LEAST_SECS: f64 = 10.0 * MINUTE;
/// Growth that leaves little time must have lasted for this part of what is left.
const PART_OF_LITTLE_TIME: f64 = 0.25;

/// For how long growth must last under a rule, given what else is known of the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience<'a> {
    pub(super) rule: &'a Rule,
    /// The factor that the past of its program makes.
    factor: f64,
    /// What is remembered at the most: nothing can be seen to have lasted longer.
    longest_secs: f64,
}

impl<'a> Patience<'a> {
    /// With the factor that the past of the program makes; 1 is nothing known.
    pub fn new(rule: &'a Rule, factor: f64) -> Self {
        Self {
            rule,
            factor,
            longest_secs: f64::INFINITY,
        }
    }

    /// With no more than can be seen in such a history.
    pub fn within(self, history: &History) -> Self {
        Self {
            longest_secs: history.longest_secs(),
            ..self
        }
    }

    /// What any growth must last but for the fast lane.
    pub fn least_secs(rule: &Rule) -> f64 {
        match rule.sustained {
            Sustained::For(span) => span.secs(),
            Sustained::Auto => LEAST_SECS,
        }
    }

    /// How long this growth must last. `headroom_bytes` is what is left to the nearest limit, if
    /// there is one. What never is a leak must last forever.
    ///
    /// By itself, growth must last as long as it leaves: what has gone on for a time is as likely
    /// as not to go on for as long again (J. R. Gott, "Implications of the Copernican principle
    /// for our future prospects", Nature 363, 1993).
    pub fn needed_secs(&self, growth: &Growth, headroom_bytes: Option<u64>) -> f64 {
        let left_secs = headroom_bytes.map_or(f64::INFINITY, |headroom_bytes| {
            headroom_bytes as f64 / growth.bytes_per_sec.low
        });
        let is_urgent = left_secs <= self.rule.fast.exhausts_within.secs();
        let least_secs = Self::least_secs(self.rule);
        let needed_secs = match (growth.lane, self.rule.sustained) {
            (Lane::Fast, _) if !is_urgent => return f64::INFINITY,
            (Lane::Fast, Sustained::Auto) => PART_OF_LITTLE_TIME * left_secs,
            (Lane::Fast, Sustained::For(_)) => 0.0,
            (Lane::Slow, Sustained::Auto) => {
                let most_secs = (before_secs(growth.before) * self.factor).min(left_secs);
                most_secs.max(least_secs)
            }
            (Lane::Sudden, Sustained::Auto) => least_secs * self.factor.max(1.0),
            (Lane::Slow | Lane::Sudden, Sustained::For(span)) => {
                // What was asked for is not made less.
                span.secs() * self.factor.max(1.0)
            }
        };
        needed_secs.min(self.longest_secs)
    }
}

/// How long growth must last for what is known of the time before it. A cache that fills and load
/// that rises look just like a leak until they end; what has long been quiet seldom begins with them.
fn before_secs(before: Before) -> f64 {
    MINUTE
        * match before {
            Before::Quiet => 10.0,
            Before::Unknown => 45.0,
            Before::Calm => 60.0,
            Before::Start => 80.0,
            Before::Restless => 180.0,
        }
}
