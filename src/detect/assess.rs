//! Holds a history against a rule.

use super::gate::Gate;
use super::history::{History, N_SCALES};
use super::lane::{Asks, Growth, Lane};
use super::patience::Patience;
use crate::config::Rule;

/// What is less than this part of what makes a leak is none together with anything.
const LEAST_SHARE: f64 = 1.0 / 64.0;
/// A suspect has gained this part of what makes a leak.
const SUSPECT_GAIN: u64 = 4;

/// What the floors say, held against a rule: in each lane, the growth that passed its gates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assessment {
    /// Growth that may have to last for longer yet.
    pub slow: Option<Growth>,
    /// Growth out of quiet.
    pub sudden: Option<Growth>,
    /// Growth that is a leak if a limit is near.
    pub fast: Option<Growth>,
    /// Whether it grows like a leak, if only by little.
    pub is_suspect: bool,
    /// How far the likeliest window of the slow lane got.
    pub furthest: Gate,
}

impl Assessment {
    /// Whether any lane has growth that may be a leak.
    pub fn grows(&self) -> bool {
        self.slow.is_some() || self.sudden.is_some() || self.fast.is_some()
    }

    /// The growth that is a leak, given how long it must last. `headroom_bytes` is what is left to
    /// the nearest limit, if there is one.
    pub fn leak(&self, patience: &Patience, headroom_bytes: Option<u64>) -> Option<Growth> {
        let lanes = [self.slow, self.sudden, self.fast];
        lanes
            .into_iter()
            .flatten()
            .find(|growth| growth.lasted_secs >= patience.needed_secs(growth, headroom_bytes))
    }
}

/// Holds a history against a rule. `age_secs` is the process's age, `n_scales` what
/// [`History::observe`] returned: only scales that have just closed a block can have changed.
pub fn assess(history: &History, rule: &Rule, age_secs: f64, n_scales: usize) -> Assessment {
    let mut assessment = Assessment {
        slow: None,
        sudden: None,
        fast: None,
        is_suspect: false,
        furthest: Gate::Remembered,
    };
    let [slow, sudden, fast] = lanes(rule, age_secs);
    let some = Asks {
        min_gain_bytes: notable_bytes(rule) as f64,
        least_secs: 0.0,
        ..slow
    };
    let counted_secs = age_secs - rule.warm_up.secs();
    // What has lasted longest is seen at the coarsest scale.
    for scale in (0..n_scales.min(N_SCALES)).rev() {
        if assessment.slow.is_none() {
            match slow.growth(history, scale, counted_secs) {
                Ok(growth) => assessment.slow = Some(growth),
                Err(gate) => assessment.furthest = assessment.furthest.max(gate),
            }
        }
        let or_else = |found: Option<Growth>, asks: &Asks<'_>, counted_secs| {
            found.or_else(|| asks.growth(history, scale, counted_secs).ok())
        };
        assessment.sudden = or_else(assessment.sudden, &sudden, counted_secs);
        assessment.fast = or_else(assessment.fast, &fast, age_secs);
        assessment.is_suspect |= some.growth(history, scale, age_secs).is_ok();
    }
    assessment
}

/// The growth of the slow lane at a small part of the rate and the gain that a rule asks: several
/// processes may come to a leak together. The other arguments are those of [`assess()`].
pub fn share(history: &History, rule: &Rule, age_secs: f64, n_scales: usize) -> Option<Growth> {
    let [slow, ..] = lanes(rule, age_secs);
    let asks = Asks {
        min_gain_bytes: LEAST_SHARE * slow.min_gain_bytes,
        share: LEAST_SHARE,
        ..slow
    };
    let counted_secs = age_secs - rule.warm_up.secs();
    let mut scales = (0..n_scales.min(N_SCALES)).rev();
    scales.find_map(|scale| asks.growth(history, scale, counted_secs).ok())
}

/// The gain from which a process is worth a look under a rule.
pub fn notable_bytes(rule: &Rule) -> u64 {
    rule.min_growth.0 / SUSPECT_GAIN
}

/// What each lane asks under a rule.
pub(super) fn lanes(rule: &Rule, age_secs: f64) -> [Asks<'_>; 3] {
    let of = |lane, least_secs| Asks {
        lane,
        rule,
        min_gain_bytes: rule.min_growth.0 as f64,
        share: 1.0,
        least_secs,
        age_secs,
    };
    let least_secs = Patience::least_secs(rule);
    [
        of(Lane::Slow, least_secs),
        of(Lane::Sudden, least_secs),
        of(Lane::Fast, rule.fast.sustained.secs()),
    ]
}
