//! Which places keep memory: samples by their stacks, and what stands of them.
//!
//! Pure: places are numbers here, and nothing is read.

use std::collections::HashMap;
use std::sync::Arc;

use super::unwind::{Cut, Stack};
use super::wire::{Class, Kind, StackSample, Standing};
use crate::site::Attribution;

/// Distinct stacks; what is allocated at others is told as a whole.
const MAX_STACKS: usize = 65_536;
/// Frames of all of them.
const MAX_FRAMES: usize = 4 << 20;
/// Samples of one window.
const MAX_SAMPLES: usize = 262_144;
/// Blocks whose ages are kept.
const MAX_AGES: usize = 262_144;

/// A place in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which file, [`NO_FILE`] if none.
    file: u32,
    /// The address as the file counts it, the process's own where there is no file. Of a call, an
    /// address within the instruction.
    pub(super) address: u64,
}

const NO_FILE: u32 = u32::MAX;

/// What is known of a place that allocates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tally {
    /// How its bytes are known.
    pub(super) attribution: Attribution,
    /// Numbers of places, see [`Ranking::place`].
    pub(super) stack: Arc<[u32]>,
    /// Why that is not all of it.
    pub(super) cut: Option<Cut>,
    allocated_bytes: f64,
    bytes: f64,
    blocks: f64,
    old_bytes: f64,
    /// Of blocks that stand, in seconds, each with its bytes.
    ages: Vec<(f32, f32)>,
}

/// All stacks of a capture.
#[derive(Debug)]
pub(super) struct Ranking {
    max_stacks: usize,
    places: Vec<Place>,
    numbers: HashMap<Place, u32>,
    stacks: HashMap<(Attribution, Arc<[u32]>), u32>,
    tallies: Vec<Tally>,
    n_frames: usize,
    n_ages: usize,
    secs: f64,
    samples: HashMap<u64, Sampled>,
    missed: Missed,
}

/// A sample of the window that is running.
#[derive(Debug, Clone, Copy)]
struct Sampled {
    tally: u32,
    kind: Kind,
    bytes: f64,
    blocks: f64,
}

impl Sampled {
    /// The same block, if it holds another number of bytes by now. What it has gained since it was
    /// sampled is known and stands for itself; what it has lost is lost by all that it stands for.
    fn resized(self, holds_bytes: u64) -> Self {
        let (holds, held) = (holds_bytes as f64, self.bytes / self.blocks);
        let bytes = match holds_bytes {
            0 => self.bytes,
            _ if holds > held => self.bytes + (holds - held),
            _ => self.blocks * holds,
        };
        Self { bytes, ..self }
    }
}

/// What is counted nowhere else.
#[derive(Debug, Default)]
struct Missed {
    samples: u64,
    standing: u64,
    stacks_bytes: f64,
    classes_bytes: f64,
}

impl Place {
    /// In a file, by its number.
    pub(super) fn of_file(file: usize, address: u64) -> Self {
        let file = u32::try_from(file).unwrap_or(NO_FILE);
        Self { file, address }
    }

    /// In no file.
    pub(super) fn absolute(address: u64) -> Self {
        Self {
            file: NO_FILE,
            address,
        }
    }

    /// The number of its file.
    pub(super) fn file(self) -> Option<usize> {
        (self.file != NO_FILE).then_some(self.file as usize)
    }
}

impl Default for Ranking {
    fn default() -> Self {
        Self::of_at_most(MAX_STACKS)
    }
}

impl Ranking {
    fn of_at_most(max_stacks: usize) -> Self {
        Self {
            max_stacks,
            places: Vec::new(),
            numbers: HashMap::new(),
            stacks: HashMap::new(),
            tallies: Vec::new(),
            n_frames: 0,
            n_ages: 0,
            secs: 0.0,
            samples: HashMap::new(),
            missed: Missed::default(),
        }
    }

    /// Counts a sample.
    pub(super) fn sample(&mut self, sample: &StackSample, stack: &Stack) {
        if self.samples.len() >= MAX_SAMPLES {
            self.missed.samples += 1;
            return;
        }
        let blocks = sample.weight();
        let bytes = blocks * sample.bytes as f64;
        let Some(number) = self.tally(attribution(sample.kind), stack) else {
            self.missed.stacks_bytes += bytes;
            return;
        };
        self.tallies[number as usize].allocated_bytes += bytes;
        let sampled = Sampled {
            tally: number,
            kind: sample.kind,
            bytes,
            blocks,
        };
        self.samples.insert(sample.id, sampled);
    }

    /// Ends a window: what stands of the samples that came in it, and how sizes have grown.
    pub(super) fn window(&mut self, secs: f64, standing: &[Standing], classes: &[Class]) {
        let secs = if secs.is_finite() { secs.max(0.0) } else { 0.0 };
        let samples = std::mem::take(&mut self.samples);
        self.secs += secs;
        for standing in standing {
            match samples.get(&standing.id) {
                Some(sampled) => {
                    self.stands(&sampled.resized(standing.bytes), standing.age_ns, secs)
                }
                None => self.missed.standing += 1,
            }
        }
        let of_sizes = samples.values().filter(|s| s.kind == Kind::Size);
        self.share(of_sizes.copied().collect(), classes);
    }

    /// The places where most stays, in that order, and none where nothing does.
    pub(super) fn ranked(&self) -> Vec<&Tally> {
        let mut ranked: Vec<_> = self.tallies.iter().filter(|t| t.bytes >= 1.0).collect();
        ranked.sort_by(|one, other| {
            other
                .order()
                .partial_cmp(&one.order())
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        ranked
    }

    /// A place by its number.
    pub(super) fn place(&self, number: u32) -> Option<Place> {
        self.places.get(number as usize).copied()
    }

    /// How long was looked, in seconds.
    pub(super) fn secs(&self) -> f64 {
        self.secs
    }

    /// What was not counted, a phrase each.
    pub(super) fn loss(&self) -> Vec<String> {
        let missed = &self.missed;
        let mut loss = Vec::new();
        if missed.samples > 0 {
            loss.push(format!(
                "{} samples beyond the first {MAX_SAMPLES} of a window",
                missed.samples
            ));
        }
        if missed.standing > 0 {
            loss.push(format!(
                "stacks of {} sampled blocks that stand",
                missed.standing
            ));
        }
        if missed.stacks_bytes >= 1.0 {
            loss.push(format!(
                "{:.0} bytes allocated at stacks beyond the first {}",
                missed.stacks_bytes, self.max_stacks
            ));
        }
        if missed.classes_bytes >= 1.0 {
            loss.push(format!(
                "growth of {:.0} bytes in sizes of which no allocation was sampled",
                missed.classes_bytes
            ));
        }
        loss
    }

    fn stands(&mut self, sampled: &Sampled, age_ns: u64, secs: f64) {
        let age_secs = age_ns as f64 / 1e9;
        let Some(tally) = self.tallies.get_mut(sampled.tally as usize) else {
            return;
        };
        tally.bytes += sampled.bytes;
        tally.blocks += sampled.blocks;
        if age_secs > secs / 2.0 {
            tally.old_bytes += sampled.bytes;
        }
        if self.n_ages < MAX_AGES {
            self.n_ages += 1;
            tally.ages.push((age_secs as f32, sampled.bytes as f32));
        }
    }

    /// Shares what sizes have grown among those that allocate them, by how much they do.
    fn share(&mut self, mut samples: Vec<Sampled>, classes: &[Class]) {
        let size = |sampled: &Sampled| sampled.bytes / sampled.blocks;
        samples.sort_by(|one, other| size(one).total_cmp(&size(other)));
        for class in classes.iter().filter(|class| class.net_bytes > 0) {
            let start = samples.partition_point(|s| size(s) < class.from_bytes as f64);
            let end = samples.partition_point(|s| size(s) <= class.to_bytes as f64);
            let of_class = samples.get(start..end).unwrap_or_default();
            let sampled_bytes: f64 = of_class.iter().map(|sampled| sampled.bytes).sum();
            let net_bytes = class.net_bytes as f64;
            if sampled_bytes <= 0.0 {
                self.missed.classes_bytes += net_bytes;
                continue;
            }
            for sampled in of_class {
                let share = sampled.bytes / sampled_bytes;
                let Some(tally) = self.tallies.get_mut(sampled.tally as usize) else {
                    continue;
                };
                tally.bytes += net_bytes * share;
                tally.blocks += net_bytes * share / size(sampled).max(1.0);
                // It has stayed for the whole window, by what is known.
                tally.old_bytes += net_bytes * share;
            }
        }
    }

    fn tally(&mut self, attribution: Attribution, stack: &Stack) -> Option<u32> {
        let n_frames = self.n_frames + stack.places.len();
        let is_full = self.tallies.len() >= self.max_stacks || n_frames > MAX_FRAMES;
        let mut number_of = |place: &Place| match is_full {
            true => self.numbers.get(place).copied(),
            false => Some(self.number(*place)),
        };
        let numbers: Arc<[u32]> = stack
            .places
            .iter()
            .map(&mut number_of)
            .collect::<Option<_>>()?;
        if let Some(number) = self.stacks.get(&(attribution, Arc::clone(&numbers))) {
            return Some(*number);
        }
        if is_full {
            return None;
        }
        self.n_frames = n_frames;
        let number = u32::try_from(self.tallies.len()).ok()?;
        self.tallies.push(Tally {
            attribution,
            stack: Arc::clone(&numbers),
            cut: stack.cut,
            allocated_bytes: 0.0,
            bytes: 0.0,
            blocks: 0.0,
            old_bytes: 0.0,
            ages: Vec::new(),
        });
        self.stacks.insert((attribution, numbers), number);
        Some(number)
    }

    fn number(&mut self, place: Place) -> u32 {
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(place).or_insert(next);
        if number == next {
            self.places.push(place);
        }
        number
    }
}

impl Tally {
    /// What it keeps, in bytes.
    pub(super) fn bytes(&self) -> f64 {
        self.bytes
    }

    /// Blocks that it keeps.
    pub(super) fn blocks(&self) -> f64 {
        self.blocks
    }

    /// What it has allocated, and what of that is freed again, in bytes.
    pub(super) fn allocated_and_freed_bytes(&self) -> (f64, f64) {
        (
            self.allocated_bytes,
            (self.allocated_bytes - self.bytes).max(0.0),
        )
    }

    /// How long ago half of the bytes that it keeps had been allocated, in seconds.
    pub(super) fn median_age_secs(&self) -> Option<f64> {
        let mut ages = self.ages.clone();
        ages.sort_by(|one, other| one.0.total_cmp(&other.0));
        let half = ages.iter().map(|(_, bytes)| f64::from(*bytes)).sum::<f64>() / 2.0;
        let mut bytes = 0.0;
        let median = ages.iter().find(|(_, of_block)| {
            bytes += f64::from(*of_block);
            bytes >= half
        });
        median.map(|(age_secs, _)| f64::from(*age_secs))
    }

    /// Adds what is known of another place that is to be told as one with this.
    pub(super) fn merge(&mut self, other: &Self) {
        self.allocated_bytes += other.allocated_bytes;
        self.bytes += other.bytes;
        self.blocks += other.blocks;
        self.old_bytes += other.old_bytes;
        self.ages.extend(&other.ages);
        self.cut = self.cut.or(other.cut);
    }

    /// What stays longest comes first, so that what a busy place has in flight does not.
    pub(super) fn order(&self) -> (f64, f64) {
        (self.old_bytes, self.bytes)
    }
}

fn attribution(kind: Kind) -> Attribution {
    match kind {
        Kind::Heap => Attribution::Paired,
        Kind::Size => Attribution::BySize,
        Kind::Mapping => Attribution::Mapping,
        Kind::Fault => Attribution::Touched,
    }
}

#[cfg(test)]
mod tests;
