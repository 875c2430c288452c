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
mod tests {
    use super::*;

    fn stack(addresses: &[u64]) -> Stack {
        Stack {
            places: addresses
                .iter()
                .map(|address| Place::of_file(0, *address))
                .collect(),
            cut: None,
        }
    }

    fn sample(id: u64, kind: Kind, bytes: u64, sampling_bytes: u64) -> StackSample<'static> {
        StackSample {
            id,
            time_ns: id * 1_000_000_000,
            bytes,
            sampling_bytes,
            ip: 0,
            sp: 0,
            fp: 0,
            kind,
            stack: &[],
        }
    }

    fn standing(id: u64, age_secs: u64) -> Standing {
        Standing {
            id,
            age_ns: age_secs * 1_000_000_000,
            bytes: 0,
        }
    }

    /// Outermost address, attribution, bytes and blocks of what is ranked.
    fn told(ranking: &Ranking) -> Vec<(u64, Attribution, u64, u64)> {
        let tell = |tally: &&Tally| {
            let place = ranking
                .place(tally.stack[tally.stack.len() - 1])
                .expect("a place");
            let (bytes, blocks) = (tally.bytes().round(), tally.blocks().round());
            (
                place.address,
                tally.attribution,
                bytes as u64,
                blocks as u64,
            )
        };
        ranking.ranked().iter().map(tell).collect()
    }

    #[test]
    fn a_slow_leak_comes_before_what_a_busy_place_has_in_flight() {
        let mut ranking = Ranking::default();
        for id in 0..1000 {
            // Of those in flight at the end, all are young.
            ranking.sample(&sample(id, Kind::Heap, 1 << 20, 1 << 16), &stack(&[1, 2]));
        }
        ranking.sample(&sample(1000, Kind::Heap, 64, 1 << 16), &stack(&[1, 3]));
        let in_flight = (900..1000).map(|id| standing(id, 1));
        let standing: Vec<_> = in_flight.chain([standing(1000, 8)]).collect();
        ranking.window(10.0, &standing, &[]);
        let paired = Attribution::Paired;
        let expected = [(3, paired, 1 << 16, 1024), (2, paired, 100 << 20, 100)];
        assert_eq!(told(&ranking), expected);
        let ranked = ranking.ranked();
        assert_eq!(ranked[0].median_age_secs(), Some(8.0));
        assert_eq!(ranked[1].median_age_secs(), Some(1.0));
        let mib = f64::from(1 << 20);
        assert_eq!(
            ranked[1].allocated_and_freed_bytes(),
            (1000.0 * mib, 900.0 * mib)
        );
        assert_eq!(ranking.secs(), 10.0);
        assert_eq!(ranking.loss(), Vec::<String>::new());
    }

    #[test]
    fn windows_add_up_and_numbers_are_of_one() {
        let mut ranking = Ranking::default();
        for secs in [1.0, 2.0] {
            ranking.sample(&sample(7, Kind::Mapping, 4096, 1), &stack(&[1]));
            ranking.window(secs, &[standing(7, 0)], &[]);
        }
        ranking.window(f64::NAN, &[standing(7, 0), standing(8, 0)], &[]);
        assert_eq!(told(&ranking), [(1, Attribution::Mapping, 8192, 2)]);
        assert_eq!(ranking.secs(), 3.0);
        assert_eq!(ranking.loss(), ["stacks of 2 sampled blocks that stand"]);
    }

    #[test]
    fn what_a_size_has_grown_is_shared_by_those_that_allocate_it() {
        let mut ranking = Ranking::default();
        for (id, bytes, address) in [
            (1, 30, 10),
            (2, 30, 11),
            (3, 32, 10),
            (4, 500, 12),
            (5, 33, 13),
        ] {
            ranking.sample(&sample(id, Kind::Size, bytes, 1000), &stack(&[address]));
        }
        let class = |from_bytes, to_bytes, net_bytes| Class {
            from_bytes,
            to_bytes,
            net_bytes,
        };
        let classes = [
            class(25, 32, 3000),
            class(33, 48, -100),
            class(400, 600, 0),
            class(1000, 2000, 77),
        ];
        ranking.window(10.0, &[], &classes);
        // Each sample is of 1000 bytes by its weight.
        let by_size = Attribution::BySize;
        assert_eq!(
            told(&ranking),
            [(10, by_size, 2000, 65), (11, by_size, 1000, 33)]
        );
        assert_eq!(ranking.ranked()[0].median_age_secs(), None);
        let lost = "growth of 77 bytes in sizes of which no allocation was sampled";
        assert_eq!(ranking.loss(), [lost]);
    }

    #[test]
    fn a_block_that_changes_its_size_counts_as_it_is() {
        // One byte in a thousand: a block of 100 stands for ten.
        for (holds_bytes, bytes) in [(0, 1000), (100, 1000), (400, 1300), (5000, 5900), (10, 100)] {
            let mut ranking = Ranking::default();
            ranking.sample(&sample(1, Kind::Heap, 100, 1000), &stack(&[1]));
            let standing = Standing {
                bytes: holds_bytes,
                ..standing(1, 9)
            };
            ranking.window(10.0, &[standing], &[]);
            assert_eq!(told(&ranking), [(1, Attribution::Paired, bytes, 10)]);
        }
    }

    #[test]
    fn what_was_freed_is_not_told() {
        let mut ranking = Ranking::default();
        ranking.sample(&sample(1, Kind::Heap, 100, 1), &stack(&[1]));
        ranking.window(1.0, &[], &[]);
        assert_eq!(told(&ranking), []);
    }

    #[test]
    fn stacks_beyond_so_many_are_told_as_a_whole() {
        let mut ranking = Ranking::of_at_most(1000);
        let path = |last: u64| stack(&(0..20).chain([last]).collect::<Vec<_>>());
        for id in 0..3000 {
            ranking.sample(&sample(id, Kind::Heap, 8, 8), &path(1000 + id));
        }
        let standing: Vec<_> = (0..3000).map(|id| standing(id, id)).collect();
        ranking.window(3000.0, &standing, &[]);
        assert_eq!(told(&ranking).len(), 1000);
        let expected = [
            "stacks of 2000 sampled blocks that stand",
            "16000 bytes allocated at stacks beyond the first 1000",
        ];
        assert_eq!(ranking.loss(), expected);
        assert_eq!(ranking.places.len(), 1020);
    }
}
