//! What is known of a process that has grown.

use crate::collect::{Facts, Headroom};
use crate::config::{RuleName, Rules, Subject};
use crate::detect::Growth;
use crate::past::Prior;
use crate::sample::{Moment, Sample, Source};

/// Growth is believed for this part of its time until it is measured anew: a window has six floors
/// at the least, and the next of them comes within a sixth of it.
pub(super) const BELIEF: f64 = 0.25;
/// A limit of which no more than this part is left counts as reached.
const FULL: f64 = 0.05;

/// What was read of a process that has grown.
#[derive(Debug)]
pub(super) struct Known {
    pub facts: Facts,
    /// Its rule for the source that is watched.
    pub rule: Option<RuleName>,
    /// Its rule for the heap, where that is another source.
    pub heap_rule: Option<RuleName>,
    /// What its program did before, as far as this source goes by it.
    pub prior: Prior,
    /// Its growth, however small: what it may share with others of its program.
    pub shared: Belief,
    /// Its growth that is a leak if only it lasts.
    pub slow: Belief,
    /// How far it was from a limit, and what it held then.
    pub headroom: Option<(Headroom, u64)>,
    /// Until when its growth is taken for an error of the scan, or is confirmed.
    pub doubted_until_secs: f64,
    pub trusted_until_secs: f64,
    /// What could not be seen of its exact size.
    pub loss: Vec<String>,
}

/// Growth that was measured a while ago, as its blocks are long.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Belief {
    growth: Option<Growth>,
    until_secs: f64,
}

impl Known {
    pub fn new(rules: &Rules, source: Source, sample: &Sample, facts: Facts) -> Self {
        let comm = sample.comm.to_string();
        let subject = subject(sample, &comm, &facts);
        let rule_for = |source| {
            let rule = rules.most_specific(&subject, source);
            rule.map(|(name, _)| name.clone())
        };
        let (rule, heap_rule) = (rule_for(source), rule_for(Source::Heap));
        Self {
            facts,
            rule,
            heap_rule,
            prior: Prior::default(),
            shared: Belief::default(),
            slow: Belief::default(),
            headroom: None,
            doubted_until_secs: f64::NEG_INFINITY,
            trusted_until_secs: f64::NEG_INFINITY,
            loss: Vec::new(),
        }
    }

    /// Whether its process has reached its limit, as far as is known from the last time it was
    /// looked up and what the process has gained since.
    pub fn is_full(&self, sample: &Sample) -> bool {
        self.headroom
            .as_ref()
            .is_some_and(|(headroom, bytes)| is_full(headroom, sample.bytes.saturating_sub(*bytes)))
    }
}

impl Belief {
    /// What is believed now.
    pub fn believed(&self, now: &Moment) -> Option<Growth> {
        self.growth
            .filter(|_| now.monotonic_secs <= self.until_secs)
    }

    /// A shorter window says nothing against a longer one.
    pub fn renew(&mut self, now: &Moment, growth: &Growth) {
        let is_longer = |old: Growth| growth.lasted_secs >= old.lasted_secs;
        if self.believed(now).is_none_or(is_longer) {
            self.growth = Some(*growth);
            self.until_secs = now.monotonic_secs + BELIEF * growth.lasted_secs;
        }
    }
}

/// What rules match on.
pub(super) fn subject<'a>(sample: &Sample, comm: &'a str, facts: &'a Facts) -> Subject<'a> {
    Subject {
        unit: facts.unit.as_deref().unwrap_or_default(),
        user_unit: facts.user_unit.as_deref().unwrap_or_default(),
        exe: facts.exe.as_deref().unwrap_or_default(),
        comm,
        user: facts.user.as_deref().unwrap_or_default(),
        uid: sample.uid,
        cgroup: &facts.cgroup,
    }
}

/// Whether a limit is reached by what has been gained since it was looked up.
fn is_full(headroom: &Headroom, gained_bytes: u64) -> bool {
    let left_bytes = headroom.headroom_bytes.saturating_sub(gained_bytes);
    left_bytes as f64 <= FULL * headroom.limit_bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::LimitKind;
    use crate::detect::{Lane, Slope};

    #[test]
    fn a_limit_is_reached_when_a_twentieth_is_left() {
        for (headroom_bytes, gained_bytes, expected) in [
            (1000, 0, false),
            (51, 0, false),
            (50, 0, true),
            (300, 249, false),
            (300, 250, true),
            (300, 5000, true),
            (0, 0, true),
        ] {
            let headroom = Headroom {
                kind: LimitKind::CgroupMax,
                limit_bytes: 1000,
                headroom_bytes,
            };
            let found = is_full(&headroom, gained_bytes);
            assert_eq!(found, expected, "{headroom_bytes}, {gained_bytes}");
        }
    }

    #[test]
    fn growth_is_believed_until_it_must_have_been_measured_anew() {
        let at = |secs: f64| Moment {
            monotonic_secs: secs,
            boot_secs: secs,
            time: jiff::Timestamp::UNIX_EPOCH,
        };
        let lasted = |lasted_secs: f64| Growth {
            lane: Lane::Slow,
            before: crate::detect::Before::Calm,
            gained_bytes: 0.0,
            secs: lasted_secs,
            lasted_secs,
            bytes_per_sec: Slope::LEVEL,
        };
        let mut belief = Belief::default();
        // When growth was measured that had lasted for so long, and what is believed then.
        for (secs, measured, believed) in [
            (0.0, None, None),
            (1000.0, Some(1000.0), Some(1000.0)),
            (1100.0, Some(600.0), Some(1000.0)),
            (1200.0, Some(1000.0), Some(1000.0)),
            (1450.0, None, Some(1000.0)),
            (1451.0, None, None),
            (1451.0, Some(600.0), Some(600.0)),
            (1500.0, Some(2000.0), Some(2000.0)),
            (2000.0, None, Some(2000.0)),
            (2001.0, None, None),
        ] {
            let now = at(secs);
            if let Some(measured) = measured {
                belief.renew(&now, &lasted(measured));
            }
            let found = belief.believed(&now).map(|growth| growth.lasted_secs);
            assert_eq!(found, believed, "{secs}");
        }
    }
}
