use super::history::{History, N_FLOORS, N_SCALES};
use super::statistics::{Slope, concordance, slope};
use crate::config::Rule;
use crate::quantity::Bytes;

/// Fewer floors than this say nothing about a trend.
pub(super) const MIN_FLOORS: usize = 6;
/// How well the order of the floors agrees with time.
const MIN_CONCORDANCE: f64 = 0.8;
/// Floors that are apart by no more than this part of the rise are level: noise between two steps
/// is no order.
const TIE: f64 = 0.02;
/// No single step between floors carries more of the rise: that is a configuration, not a leak.
const MAX_STEP: f64 = 0.5;
/// Nor do three of them: a leak goes on.
const MAX_FEW_STEPS: f64 = 0.8;
/// Fewer floors have no halves that could be compared.
const MIN_HALVES: usize = 4;
/// Of the window, the rise takes more than this part; the rest is level before or after it.
const MIN_SPREAD: f64 = 0.6;
/// What is within this part of the rise from its ends is level.
const LEVEL: f64 = 0.1;
/// The second half grows at least so fast, compared with the first: a warm-up slows down.
const MIN_PACE: f64 = 0.5;
/// A rate that should be the threshold exactly is measured in whole KiB a block.
const ROUNDING: f64 = 0.98;
/// A tooth longer than so many windows is not taken for one.
const MAX_TOOTH_WINDOWS: f64 = 8.0;

/// What "lately" is in a list of the fastest growing.
const RECENT_SECS: f64 = 300.0;

/// A condition that growth must meet to be taken for a leak, in the order of testing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// Enough floors, of a process that is past its warm-up.
    Remembered,
    /// At least `min_growth`.
    Gain,
    /// The floors rise in the order of time.
    Concordance,
    /// No single step carries the rise.
    Step,
    /// The rise takes most of the time, and not just some of it.
    Spread,
    /// It does not slow down.
    Pace,
    /// It is above what it fell from before: not just the next tooth of a saw.
    NewHeight,
    /// The lower bound of its rate reaches `growth`.
    Rate,
}

/// The newest floors of one scale, in KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    scale: usize,
    floors: [f64; N_FLOORS],
    n_floors: usize,
    block_secs: f64,
}

/// A rise that passed every gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rise {
    pub gained_bytes: f64,
    pub secs: f64,
    pub bytes_per_sec: f64,
    pub bytes_per_sec_low: f64,
}

impl Window {
    pub(super) fn new(history: &History, scale: usize, n_floors: usize) -> Self {
        let mut floors = [0.0; N_FLOORS];
        for (to, from) in floors.iter_mut().zip(history.floors(scale, n_floors)) {
            *to = f64::from(from);
        }
        Self {
            scale,
            floors,
            n_floors,
            block_secs: history.block_secs(scale),
        }
    }

    fn floors(&self) -> &[f64] {
        &self.floors[..self.n_floors]
    }

    /// From the first floor's block to the end of the last one's.
    fn secs(&self) -> f64 {
        self.n_floors as f64 * self.block_secs
    }

    /// The rise, if it passes every gate, or the first gate that it does not pass.
    pub(super) fn rise(
        &self,
        history: &History,
        rule: &Rule,
        min_gain: Bytes,
    ) -> Result<Rise, Gate> {
        let floors = self.floors();
        if floors.len() < MIN_FLOORS {
            return Err(Gate::Remembered);
        }
        let first = floors[0];
        let last = floors[floors.len() - 1];
        let gain = last - first;
        if gain <= 0.0 || gain * 1024.0 < min_gain.0 as f64 {
            return Err(Gate::Gain);
        }
        if concordance(floors, TIE * gain) < MIN_CONCORDANCE {
            return Err(Gate::Concordance);
        }
        let [largest, second, third] = largest_steps(floors);
        if largest > MAX_STEP * gain || largest + second + third > MAX_FEW_STEPS * gain {
            return Err(Gate::Step);
        }
        if spread(floors) <= MIN_SPREAD {
            return Err(Gate::Spread);
        }
        if pace(rising(floors)) < MIN_PACE || self.slows_down(history) {
            return Err(Gate::Pace);
        }
        if self.is_tooth(history, last, gain) {
            return Err(Gate::NewHeight);
        }
        let slope = self.slope_bytes_per_sec();
        let rise = Rise {
            gained_bytes: gain * 1024.0,
            secs: self.secs() - self.block_secs,
            bytes_per_sec: slope.median,
            bytes_per_sec_low: slope.low,
        };
        match rise.bytes_per_sec_low >= ROUNDING * rule.growth.bytes_per_sec() {
            true => Ok(rise),
            false => Err(Gate::Rate),
        }
    }

    fn slope_bytes_per_sec(&self) -> Slope {
        let Slope { median, low } = slope(self.floors());
        let to_bytes_per_sec = 1024.0 / self.block_secs;
        Slope {
            median: median * to_bytes_per_sec,
            low: low * to_bytes_per_sec,
        }
    }

    /// Whether growth slows down over all that is remembered at this scale or a coarser one, from
    /// where it begins: over a short time a warm-up looks like a line. The block that a process
    /// started in does not count.
    fn slows_down(&self, history: &History) -> bool {
        (self.scale..N_SCALES).any(|scale| {
            let all = Self::new(history, scale, history.n_settled_floors(scale));
            let rising = rising(all.floors());
            rising.len() >= MIN_HALVES && pace(rising) < MIN_PACE
        })
    }

    /// Whether all of this may be one tooth: it began after a fall and does not rise well above it.
    fn is_tooth(&self, history: &History, last: f64, gain: f64) -> bool {
        history.last_fall().is_some_and(|(ago_secs, from_kib)| {
            let before = ago_secs > self.secs() - self.block_secs;
            let recent = ago_secs < MAX_TOOTH_WINDOWS * self.secs();
            before && recent && last - f64::from(from_kib) < gain / 2.0
        })
    }
}

/// How a process has changed lately, in bytes a second: over the finest scale that spans five
/// minutes, or else the coarsest that has enough floors.
pub fn recent_slope(history: &History) -> Slope {
    let usable = (0..N_SCALES).take_while(|scale| history.n_floors(*scale) >= MIN_FLOORS);
    let spans = |scale: &usize| history.block_secs(*scale) * N_FLOORS as f64 >= RECENT_SECS;
    match usable.clone().find(spans).or_else(|| usable.last()) {
        Some(scale) => Window::new(history, scale, history.n_floors(scale)).slope_bytes_per_sec(),
        None => Slope {
            median: 0.0,
            low: 0.0,
        },
    }
}

/// The three largest steps between floors, the largest first.
fn largest_steps(floors: &[f64]) -> [f64; 3] {
    let mut largest = [0.0; 3];
    for pair in floors.windows(2) {
        let mut step = pair[1] - pair[0];
        for kept in &mut largest {
            if step > *kept {
                std::mem::swap(kept, &mut step);
            }
        }
    }
    largest
}

/// The floors without a level beginning, of which one is left. What fell back to that level later
/// is no beginning: the fall tells that this is the next tooth.
fn rising(floors: &[f64]) -> &[f64] {
    let (Some(first), Some(last)) = (floors.first(), floors.last()) else {
        return floors;
    };
    let level = first + LEVEL * (last - first);
    let n_level = floors.iter().take_while(|floor| **floor <= level).count();
    &floors[n_level.saturating_sub(1)..]
}

/// Which part of the time the rise takes, from its first tenth to its last.
fn spread(floors: &[f64]) -> f64 {
    let rising = rising(floors);
    let (Some(first), Some(last)) = (floors.first(), floors.last()) else {
        return 0.0;
    };
    let top = last - LEVEL * (last - first);
    let n_steps = rising.iter().position(|floor| *floor >= top).unwrap_or(0);
    n_steps as f64 / (floors.len() - 1).max(1) as f64
}

/// How fast the second half rises, compared with the first. A first half that does not rise: infinite.
fn pace(floors: &[f64]) -> f64 {
    let half = floors.len() / 2;
    let first = slope(&floors[..floors.len() - half]).median;
    let second = slope(&floors[half..]).median;
    if first <= 0.0 {
        f64::INFINITY
    } else {
        second / first
    }
}
