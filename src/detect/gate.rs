//! The conditions that growth must meet to be taken for a leak, and what each of them found.

mod words;

use serde::{Deserialize, Serialize};

/// A condition that growth must meet, in the order of testing. Its names are public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Enough floors are remembered, of a process that is past its warm-up.
    Remembered,
    /// Enough was gained: `min_growth`, and more the larger the process and the less sure the rate.
    Gain,
    /// The floors rise in the order of time.
    Concordance,
    /// No single step carries the rise: that is a configuration, not a leak.
    Step,
    /// Nor do three.
    FewSteps,
    /// The rise takes most of the time, and not just some of it.
    Spread,
    /// It does not slow down: a warm-up does.
    Pace,
    /// It is above what was held before, and not just the next tooth of a saw.
    NewHeight,
    /// It comes after hours without the like.
    Quiet,
    /// Its steps are alike.
    Even,
    /// The lower bound of its rate reaches `growth`.
    Rate,
    /// The nearest limit would be reached soon: only the fast lane asks that.
    TimeLeft,
    /// It has lasted for as long as growth of its kind must.
    Sustained,
}

/// What a gate found, and what it asks. Both are in bytes, bytes a second, seconds, or parts of a
/// whole, see [`Gate::unit`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub struct Check {
    /// Which one.
    pub gate: Gate,
    /// What was found; infinite or no number where there is nothing to compare with.
    pub value: f64,
    /// What it must be.
    pub bound: Bound,
}

/// What a value must be to pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// No less than this.
    Least(f64),
    /// No more than this.
    Most(f64),
}

impl Check {
    /// Whether it passes. What cannot be told does not.
    pub fn passes(&self) -> bool {
        match self.bound {
            Bound::Least(least) => self.value >= least,
            Bound::Most(most) => self.value <= most,
        }
    }
}

/// What the values of a gate are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A size in bytes.
    Bytes,
    /// A rate in bytes a second.
    BytesPerSec,
    /// A time in seconds.
    Secs,
    /// A part of a whole, which is 1.
    Part,
}

impl Gate {
    /// All of them, in the order of testing.
    pub const ALL: [Self; 13] = [
        Self::Remembered,
        Self::Gain,
        Self::Concordance,
        Self::Step,
        Self::FewSteps,
        Self::Spread,
        Self::Pace,
        Self::NewHeight,
        Self::Quiet,
        Self::Even,
        Self::Rate,
        Self::TimeLeft,
        Self::Sustained,
    ];

    /// What its values are.
    pub fn unit(self) -> Unit {
        match self {
            Self::Gain => Unit::Bytes,
            Self::Rate => Unit::BytesPerSec,
            Self::Remembered | Self::Sustained | Self::TimeLeft => Unit::Secs,
            Self::Concordance
            | Self::Step
            | Self::FewSteps
            | Self::Spread
            | Self::Pace
            | Self::NewHeight
            | Self::Quiet
            | Self::Even => Unit::Part,
        }
    }
}

/// A check as it is written: with `least` or `most`, and no value where it is no finite number.
#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    gate: Gate,
    #[serde(default)]
    value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    least: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    most: Option<f64>,
    passes: bool,
}

impl From<Check> for Flat {
    fn from(check: Check) -> Self {
        let (least, most) = match check.bound {
            Bound::Least(least) => (Some(rounded(least)), None),
            Bound::Most(most) => (None, Some(rounded(most))),
        };
        Self {
            gate: check.gate,
            value: check.value.is_finite().then(|| rounded(check.value)),
            least,
            most,
            passes: check.passes(),
        }
    }
}

impl From<Flat> for Check {
    fn from(flat: Flat) -> Self {
        let bound = match (flat.least, flat.most) {
            (_, Some(most)) => Bound::Most(most),
            (least, None) => Bound::Least(least.unwrap_or(f64::INFINITY)),
        };
        let is_endless = flat.passes == matches!(bound, Bound::Least(_));
        let otherwise = if is_endless { f64::INFINITY } else { f64::NAN };
        Self {
            gate: flat.gate,
            value: flat.value.unwrap_or(otherwise),
            bound,
        }
    }
}

/// To six digits, or to a whole number if it has more: what passes does so rounded as well.
pub(super) fn rounded(value: f64) -> f64 {
    match value.abs() {
        size if !(1e-9..1e5).contains(&size) => value.round(),
        size => {
            let scale = 10f64.powi(5 - size.log10().floor() as i32);
            (value * scale).round() / scale
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(gate: Gate, value: f64, bound: Bound) -> Check {
        Check { gate, value, bound }
    }

    #[test]
    fn a_check_is_written_flat() {
        for (check, expected) in [
            (
                check(Gate::Gain, 1048576.4, Bound::Least(1e6)),
                r#"{"gate":"gain","value":1048576.0,"least":1000000.0,"passes":true}"#,
            ),
            (
                check(Gate::FewSteps, 0.81818181, Bound::Most(0.8)),
                r#"{"gate":"few_steps","value":0.818182,"most":0.8,"passes":false}"#,
            ),
            (
                check(Gate::NewHeight, f64::INFINITY, Bound::Least(0.5)),
                r#"{"gate":"new_height","value":null,"least":0.5,"passes":true}"#,
            ),
            (
                check(Gate::TimeLeft, f64::INFINITY, Bound::Most(1800.0)),
                r#"{"gate":"time_left","value":null,"most":1800.0,"passes":false}"#,
            ),
        ] {
            let text = serde_json::to_string(&check).expect("can be written");
            assert_eq!(text, expected);
            let back: Check = serde_json::from_str(&text).expect("reads back");
            assert_eq!((back.gate, back.passes()), (check.gate, check.passes()));
            assert_eq!(back.value.is_finite(), check.value.is_finite());
        }
        let nothing = check(Gate::Even, f64::NAN, Bound::Least(0.6));
        let text = serde_json::to_string(&nothing).expect("can be written");
        let back: Check = serde_json::from_str(&text).expect("reads back");
        assert!(back.value.is_nan() && !back.passes(), "{text}");
    }

    proptest! {
        #[test]
        fn what_passes_does_so_when_it_was_written(value: f64, bound: f64, is_least: bool) {
            let bound = if is_least { Bound::Least(bound) } else { Bound::Most(bound) };
            let before = check(Gate::Pace, value, bound);
            let flat = Flat::from(before);
            let is_said = flat.passes;
            prop_assert_eq!(is_said, before.passes());
            let is_finite = value.is_finite() && flat.least.or(flat.most).is_some_and(f64::is_finite);
            if is_said && is_finite {
                prop_assert!(Check::from(flat).passes());
            }
        }
    }
}
