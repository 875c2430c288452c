//! The ways in which a leak is found: which windows of a history each looks at, and what it asks.

use serde::{Deserialize, Serialize};

use super::gate::{Bound, Check, Gate};
use super::history::History;
use super::statistics::{Slope, concordance};
use super::window::{MIN_FLOORS, Window};
use crate::config::Rule;

/// Floors of a window for growth that comes out of quiet.
const SUDDEN_FLOORS: usize = 4;
/// Growth must keep a steady pace over so many floors to be believed within minutes.
const FAST_FLOORS: usize = 8;

/// Of what a process holds, growth must have added this part.
const MIN_SHARE: f64 = 0.02;
/// The less sure the rate, the more must have been gained: if nothing is sure of it, so many times
/// as much again,
const UNSURE_GAIN: f64 = 2.0;
/// and this part of what the process holds besides.
const UNSURE_SHARE: f64 = 0.5;
/// How well the order of the floors agrees with time.
const MIN_CONCORDANCE: f64 = 0.8;
/// Floors that are apart by no more than this part of the rise are level: noise between two steps
/// is no order.
const TIE: f64 = 0.02;
/// No single step between floors carries more of the rise; of few floors, each step is large.
const MAX_STEP: f64 = 0.5;
const MAX_STEP_OF_FEW: f64 = 0.55;
/// Nor do three of them: a leak goes on.
const MAX_FEW_STEPS: f64 = 0.8;
/// Of the window, the rise takes more than this part; the rest is level before or after it.
const MIN_SPREAD: f64 = 0.6;
/// The second half grows at least so fast, compared with the first.
const MIN_PACE: f64 = 0.65;
/// Of the gain, this part at least is above what was held before.
const MIN_NEW_HEIGHT: f64 = 0.5;
/// A rate that should be the threshold exactly is measured in whole KiB a block.
pub(super) const ROUNDING: f64 = 0.98;
/// Of the gain, what went up and down in so many seconds before, or up to its peak at any time that is
/// remembered, is no more than this part.
const QUIET_SECS: f64 = 4.0 * 3600.0;
const CALM_SECS: f64 = 3600.0;
const MAX_UNREST: f64 = 0.125;
/// Growth that takes more than this part of a life or of what is remembered has nothing before it.
const MOST_OF: f64 = 0.6;
/// The smallest step is at least this part of the largest.
const MIN_EVENNESS: f64 = 0.6;

/// Which way a leak was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Growth that has gone on for long.
    Slow,
    /// Growth that comes, evenly, after hours without the like.
    Sudden,
    /// Steady growth that leaves little time: a leak only if a limit is near.
    Fast,
}

/// Growth as it was measured in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Which lane it was found in.
    pub lane: Lane,
    /// What was gained, from floor to floor.
    pub gained_bytes: f64,
    /// In what time: between the first floor and the last.
    pub secs: f64,
    /// For how long it counts as having lasted: with the first floor's own block and the last one's,
    /// but for the sudden lane.
    pub lasted_secs: f64,
    /// The rate, in bytes a second, with its bounds at 95 %.
    pub bytes_per_sec: Slope,
    /// What is known of the time before.
    pub before: Before,
}

/// What is known of a process before it began to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// It held about the same for hours.
    Quiet,
    /// For an hour at least.
    Calm,
    /// It has grown ever since it is looked at, and is much older than that.
    Unknown,
    /// It has grown since its start.
    Start,
    /// It went up and down.
    Restless,
}

/// The gates of one lane for one rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asks<'a> {
    pub lane: Lane,
    pub rule: &'a Rule,
    pub min_gain_bytes: f64,
    /// Which part of the rule's rate is enough.
    pub share: f64,
    /// What it must last at least, whatever else is known.
    pub least_secs: f64,
    /// The age of the process.
    pub age_secs: f64,
}

/// The gates that look at a window, in the order of testing.
const GATES: [Gate; 10] = [
    Gate::Gain,
    Gate::Concordance,
    Gate::Step,
    Gate::FewSteps,
    Gate::Spread,
    Gate::Pace,
    Gate::NewHeight,
    Gate::Quiet,
    Gate::Even,
    Gate::Rate,
];

impl Lane {
    /// How many floors a window of this lane has at least.
    pub(super) fn min_floors(self) -> usize {
        match self {
            Self::Slow => MIN_FLOORS,
            Self::Sudden => SUDDEN_FLOORS,
            Self::Fast => FAST_FLOORS,
        }
    }
}

impl Asks<'_> {
    /// The growth in the longest window of a scale, in that which begins with the rise, or in a
    /// short one, whichever passes every gate first; or else the furthest gate that one got to.
    ///
    /// The long one sees through noise, the short one sees what has begun lately.
    pub fn growth(
        &self,
        history: &History,
        scale: usize,
        counted_secs: f64,
    ) -> Result<Growth, Gate> {
        let mut furthest = Gate::Remembered;
        for window in self.windows(history, scale, counted_secs) {
            match self.failed(history, &window) {
                None => return Ok(self.measure(history, &window)),
                Some(gate) => furthest = furthest.max(gate),
            }
        }
        Err(furthest)
    }

    /// The windows of a scale that this lane looks at, the longest first.
    pub fn windows(
        &self,
        history: &History,
        scale: usize,
        counted_secs: f64,
    ) -> impl Iterator<Item = Window> {
        let block_secs = history.block_secs(scale);
        let spanning = (self.least_secs / block_secs).ceil() as usize;
        let shortest = self.lane.min_floors().max(spanning);
        let counted = (counted_secs / block_secs).max(0.0) as usize;
        let longest = history.n_floors(scale).min(counted);
        let n_rising = Window::new(history, scale, longest).n_rising();
        let mut lengths = match self.lane {
            Lane::Slow | Lane::Fast => [longest, n_rising, shortest],
            // What was before is not of its kind.
            Lane::Sudden => [n_rising, shortest + 1, shortest],
        };
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let mut last = usize::MAX;
        lengths.into_iter().filter_map(move |n_floors| {
            let is_other = n_floors < std::mem::replace(&mut last, n_floors);
            let fits = (shortest..=longest).contains(&n_floors);
            (is_other && fits).then(|| Window::new(history, scale, n_floors))
        })
    }

    /// What every gate of this lane finds in a window.
    pub fn checks(&self, history: &History, window: &Window) -> Vec<Check> {
        let checks = GATES
            .into_iter()
            .map(|gate| self.check(gate, history, window));
        checks.flatten().collect()
    }

    fn failed(&self, history: &History, window: &Window) -> Option<Gate> {
        GATES.into_iter().find(|gate| {
            let check = self.check(*gate, history, window);
            check.is_some_and(|check| !check.passes())
        })
    }

    /// What one gate finds; none if this lane has no such gate.
    fn check(&self, gate: Gate, history: &History, window: &Window) -> Option<Check> {
        let is_short = window.floors().len() < MIN_FLOORS;
        let (value, bound) = match (gate, self.lane) {
            (Gate::Remembered | Gate::Sustained | Gate::TimeLeft, _) => return None,
            (Gate::Gain, _) => {
                let unsure = match self.lane {
                    // That its steps are even is asked for apart.
                    Lane::Sudden => 0.0,
                    Lane::Slow | Lane::Fast => 1.0 - window.sureness(),
                };
                let held_bytes = window.last() * 1024.0;
                let min_gain = self.min_gain_bytes.max(MIN_SHARE * held_bytes);
                let for_sure = min_gain * (1.0 + UNSURE_GAIN * unsure);
                let least = for_sure + UNSURE_SHARE * unsure * held_bytes;
                (window.gain() * 1024.0, Bound::Least(least.max(1.0)))
            }
            (Gate::Concordance, _) => (
                concordance(window.floors(), TIE * window.gain()),
                Bound::Least(MIN_CONCORDANCE),
            ),
            (Gate::Step, _) => (
                window.largest_steps()[0],
                Bound::Most(if is_short { MAX_STEP_OF_FEW } else { MAX_STEP }),
            ),
            (Gate::FewSteps, _) if is_short => return None,
            (Gate::FewSteps, _) => (
                window.largest_steps().iter().sum(),
                Bound::Most(MAX_FEW_STEPS),
            ),
            (Gate::Spread, _) => (window.spread(), Bound::Least(MIN_SPREAD)),
            (Gate::Pace, _) => (window.pace(history), Bound::Least(MIN_PACE)),
            (Gate::NewHeight, Lane::Slow) => {
                (window.new_height(history), Bound::Least(MIN_NEW_HEIGHT))
            }
            (Gate::NewHeight, Lane::Sudden | Lane::Fast) => (
                window.new_height(history).min(window.new_peak(history)),
                Bound::Least(MIN_NEW_HEIGHT),
            ),
            (Gate::Quiet, Lane::Sudden) => {
                (window.unrest(history, QUIET_SECS), Bound::Most(MAX_UNREST))
            }
            (Gate::Even, Lane::Sudden) => (window.evenness(), Bound::Least(MIN_EVENNESS)),
            (Gate::Quiet | Gate::Even, _) => return None,
            (Gate::Rate, _) => (
                window.slope().low,
                Bound::Least(ROUNDING * self.share * self.rule.growth.bytes_per_sec()),
            ),
        };
        Some(Check { gate, value, bound })
    }

    /// The growth in a window.
    pub fn measure(&self, history: &History, window: &Window) -> Growth {
        let n_floors = window.floors().len() as f64;
        let secs = window.secs() * (n_floors - 1.0) / n_floors;
        Growth {
            lane: self.lane,
            gained_bytes: window.gain() * 1024.0,
            secs,
            lasted_secs: match self.lane {
                Lane::Slow | Lane::Fast => window.secs(),
                // It may have begun late in the first block, and the next steps are large.
                Lane::Sudden => secs,
            },
            bytes_per_sec: window.slope(),
            before: self.before(history, window),
        }
    }

    fn before(&self, history: &History, window: &Window) -> Before {
        let lasted_secs = window.secs();
        if lasted_secs > MOST_OF * self.age_secs {
            Before::Start
        } else if lasted_secs > MOST_OF * history.age_secs() {
            Before::Unknown
        } else if window.unrest(history, QUIET_SECS) <= MAX_UNREST {
            Before::Quiet
        } else if window.unrest(history, CALM_SECS) <= MAX_UNREST {
            Before::Calm
        } else {
            Before::Restless
        }
    }
}
