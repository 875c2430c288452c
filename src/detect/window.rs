//! A row of floors, and what can be measured in it.

use super::history::{History, N_FLOORS, N_SCALES};
use super::statistics::{Slope, slope};

/// Fewer floors than this say nothing about a trend.
pub(super) const MIN_FLOORS: usize = 6;
/// Fewer floors have no halves that could be compared.
const MIN_HALVES: usize = 4;
/// What is within this part of the rise from its ends is level.
const LEVEL: f64 = 0.1;
/// What is remembered tells of the growth in a window if it has at least this part of its gain.
const MIN_WHOLE: f64 = 0.5;
/// A tooth longer than so many windows is not taken for one.
const MAX_TOOTH_WINDOWS: f64 = 8.0;

/// What "lately" is in a list of the fastest growing.
const RECENT_SECS: f64 = 300.0;

/// The newest floors of one scale, in KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    scale: usize,
    floors: [f64; N_FLOORS],
    n_floors: usize,
    block_secs: f64,
}

impl Window {
    pub fn new(history: &History, scale: usize, n_floors: usize) -> Self {
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

    pub fn floors(&self) -> &[f64] {
        &self.floors[..self.n_floors]
    }

    /// From the beginning of the first floor's block to the end of the last one's.
    pub fn secs(&self) -> f64 {
        self.n_floors as f64 * self.block_secs
    }

    /// From the first floor to the last, in KiB.
    pub fn gain(&self) -> f64 {
        match self.floors() {
            [first, .., last] => last - first,
            _ => 0.0,
        }
    }

    /// The last floor, in KiB.
    pub fn last(&self) -> f64 {
        self.floors().last().copied().unwrap_or(0.0)
    }

    /// In bytes a second.
    pub fn slope(&self) -> Slope {
        let Slope { low, median, high } = slope(self.floors());
        let to_bytes_per_sec = 1024.0 / self.block_secs;
        Slope {
            low: low * to_bytes_per_sec,
            median: median * to_bytes_per_sec,
            high: high * to_bytes_per_sec,
        }
    }

    /// How sure the rate is, from 0 to 1: its lower bound as a part of itself.
    pub fn sureness(&self) -> f64 {
        let Slope { low, median, .. } = slope(self.floors());
        match median > 0.0 {
            true => (low / median).clamp(0.0, 1.0),
            false => 0.0,
        }
    }

    /// The three largest steps between floors, the largest first, as parts of the gain.
    pub fn largest_steps(&self) -> [f64; 3] {
        let mut largest = [0.0; 3];
        for mut step in self.steps() {
            for kept in &mut largest {
                if step > *kept {
                    std::mem::swap(kept, &mut step);
                }
            }
        }
        largest.map(|step| step / self.gain())
    }

    /// The least step as a part of the largest. The first one does not count, as growth may have
    /// begun in its middle.
    pub fn evenness(&self) -> f64 {
        let largest = self.steps().fold(0.0, f64::max);
        self.steps().skip(1).fold(f64::INFINITY, f64::min) / largest
    }

    /// Which part of the time the rise takes, from its first tenth to its last.
    pub fn spread(&self) -> f64 {
        let floors = self.floors();
        let rising = rising(floors);
        let top = self.last() - LEVEL * self.gain();
        let n_steps = rising.iter().position(|floor| *floor >= top).unwrap_or(0);
        n_steps as f64 / (floors.len().max(2) - 1) as f64
    }

    /// How fast the second half rises, compared with the first: that of the window, or of all that
    /// is remembered at this scale or a coarser one, whichever slows down most. Over a short time
    /// a warm-up looks like a line. The block that a process started in does not count.
    pub fn pace(&self, history: &History) -> f64 {
        let of_all = (self.scale..N_SCALES).filter_map(|scale| {
            let all = Self::new(history, scale, history.n_settled_floors(scale));
            let is_of_size = all.gain() >= MIN_WHOLE * self.gain();
            is_of_size.then(|| pace(rising(all.floors())))
        });
        of_all.fold(pace(rising(self.floors())), f64::min)
    }

    /// Which part of the gain is above all that was held before, as far as is remembered: above
    /// former floors, and above what it last fell from, unless that is long ago.
    pub fn new_height(&self, history: &History) -> f64 {
        let fall = history.last_fall().filter(|(ago_secs, _)| {
            let is_before = *ago_secs > self.secs() - self.block_secs;
            is_before && *ago_secs < MAX_TOOTH_WINDOWS * self.secs()
        });
        let fallen_from = fall.map_or(f64::NEG_INFINITY, |(_, from_kib)| f64::from(from_kib));
        let before = self.before(history, f64::INFINITY).map(f64::from);
        self.part_above(before.fold(fallen_from, f64::max))
    }

    /// Which part of the gain is above all that was held before, even for a moment.
    pub fn new_peak(&self, history: &History) -> f64 {
        let peak = history.peak_before(self.secs()).map(f64::from);
        self.part_above(peak.unwrap_or(f64::NEG_INFINITY))
    }

    /// How much memory went up and down before, as a part of the gain: from the lowest floor of this
    /// time to the highest that is remembered, even if that is longer ago. Not known if less than
    /// this time is remembered: infinite.
    pub fn unrest(&self, history: &History, quiet_secs: f64) -> f64 {
        let within_secs = self.secs() + quiet_secs;
        let Some(peak) = history
            .peak_before(self.secs())
            .filter(|_| history.age_secs() >= within_secs)
        else {
            return f64::INFINITY;
        };
        let Some(lowest) = self.before(history, within_secs).min() else {
            return f64::INFINITY;
        };
        f64::from(peak.saturating_sub(lowest)) / self.gain()
    }

    /// How many floors it has without a level beginning.
    pub fn n_rising(&self) -> usize {
        rising(self.floors()).len()
    }

    /// Floors that lie before it, at its scale and coarser ones, within a time.
    fn before(&self, history: &History, within_secs: f64) -> impl Iterator<Item = u32> {
        (self.scale..N_SCALES).flat_map(move |scale| {
            let n_within = (within_secs / history.block_secs(scale)).ceil() as usize;
            let n_floors = history.n_floors(scale).min(n_within);
            // A coarse block may have ended before the newest of the window's.
            let n_inside = match scale == self.scale {
                true => self.n_floors,
                false => (self.secs() / history.block_secs(scale)).ceil() as usize + 1,
            };
            let n_before = n_floors.saturating_sub(n_inside);
            history.floors(scale, n_floors).take(n_before)
        })
    }

    fn part_above(&self, former_kib: f64) -> f64 {
        match former_kib.is_finite() {
            true => (self.last() - former_kib) / self.gain(),
            false => f64::INFINITY,
        }
    }

    fn steps(&self) -> impl Iterator<Item = f64> {
        self.floors().windows(2).map(|pair| pair[1] - pair[0])
    }
}

/// How a process has changed lately, in bytes a second: over the finest scale that spans five
/// minutes, or else the coarsest that has enough floors.
pub fn recent_slope(history: &History) -> Slope {
    let usable = (0..N_SCALES).take_while(|scale| history.n_floors(*scale) >= MIN_FLOORS);
    let spans = |scale: &usize| history.block_secs(*scale) * N_FLOORS as f64 >= RECENT_SECS;
    match usable.clone().find(spans).or_else(|| usable.last()) {
        Some(scale) => Window::new(history, scale, history.n_floors(scale)).slope(),
        None => Slope::LEVEL,
    }
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

/// How fast the second half rises, compared with the first. A first half that does not rise, or
/// too few floors for halves: infinite.
fn pace(floors: &[f64]) -> f64 {
    if floors.len() < MIN_HALVES {
        return f64::INFINITY;
    }
    let half = floors.len() / 2;
    let first = slope(&floors[..floors.len() - half]).median;
    let second = slope(&floors[half..]).median;
    if first <= 0.0 {
        f64::INFINITY
    } else {
        second / first
    }
}
