use crate::quantity::Span;
use crate::sample::{MAX_POINTS, Point};

/// Blocks remembered at each scale.
pub(super) const N_FLOORS: usize = 12;
/// Scales; each block is [`RATIO`] times as long as one of the scale below.
pub(super) const N_SCALES: usize = 8;
/// Three: with twelve floors a scale, every time from a minute to a day and a half has a window
/// that it fills at least by a third.
const RATIO: u32 = 3;
/// Blocks of about this time have their peaks remembered.
const PEAK_SECS: f64 = 3600.0;
/// What "recent" is in the recent floor, in blocks: short against any time to keep firing.
const N_RECENT: usize = 4;
/// A silence of so many usual intervals is a gap.
const GAP_INTERVALS: f64 = 6.0;
/// Samples that come more often than this part of a block need not be kept in its middle.
const MIN_STEP: f64 = 0.6;
/// By this part of a block at most is it moved for one sample.
const MAX_NUDGE: f64 = 0.125;
/// A silence of so many blocks is one whatever is usual: it bounds the work of one sample.
const MAX_HELD_BLOCKS: f64 = 240.0;

/// What is remembered of one quantity of one process: floors at several scales, in fixed space.
///
/// A *floor* is the lowest value of a block of time. At the finest scale a block is the scan
/// interval; three floors make one of the next scale. A gap in the samples (machine suspended,
/// daemon stopped) is cut out: neither its time nor what changed in it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// When the first block began; moved forward by what is cut out. Seconds.
    origin_secs: f64,
    last_secs: f64,
    last_bytes: u64,
    /// Change during gaps, which is taken off every later sample.
    cut_bytes: i64,
    /// The usual time between samples; 0 before the second.
    interval_secs: f32,
    block_secs: f32,
    /// Closed blocks of the finest scale; those of the others follow from it.
    n_closed: u32,
    /// Whether the block of the last sample is closed already, as no other comes in it.
    is_closed: bool,
    open_kib: u32,
    /// The highest since the last fall.
    high_kib: u32,
    /// The last fall: from where, and in which block. A collector's tooth ends in one.
    fallen_from_kib: u32,
    fallen_in: u32,
    rings: [[u32; N_FLOORS]; N_SCALES],
    /// The highest of each block of the scale for peaks, the open one's after the closed ones'.
    peaks: [u32; N_FLOORS],
    peak_kib: u32,
}

const _: () = assert!(size_of::<History>() <= 512);

/// The longest time over which growth can be required, at a scan interval.
pub fn longest_window(interval: Span) -> Span {
    let blocks = RATIO.pow(N_SCALES as u32 - 1) as f64 * N_FLOORS as f64;
    Span::from_secs_f64(interval.secs() * blocks)
}

impl History {
    /// Begins with a first sample. `block_secs` is the scan interval.
    pub fn new(block_secs: f64, now_secs: f64, bytes: u64) -> Self {
        let mut history = Self {
            // Half a block early, so that samples fall in the middle of their blocks.
            origin_secs: now_secs - block_secs / 2.0,
            last_secs: now_secs,
            last_bytes: bytes,
            cut_bytes: 0,
            interval_secs: 0.0,
            block_secs: block_secs as f32,
            n_closed: 0,
            is_closed: false,
            open_kib: 0,
            high_kib: 0,
            fallen_from_kib: 0,
            fallen_in: 0,
            rings: [[0; N_FLOORS]; N_SCALES],
            peaks: [0; N_FLOORS],
            peak_kib: 0,
        };
        history.peak_kib = history.kib(bytes);
        history.open_kib = history.kib(bytes);
        history.high_kib = history.open_kib;
        history
    }

    /// Takes a sample in. Returns how many scales, from the finest, have closed a block by it.
    ///
    /// A time that is not later than the last is ignored.
    pub fn observe(&mut self, now_secs: f64, bytes: u64) -> usize {
        let elapsed_secs = now_secs - self.last_secs;
        if elapsed_secs.is_nan() || elapsed_secs <= 0.0 {
            return 0;
        }
        self.cut_gap(elapsed_secs, bytes);
        let held_kib = self.kib(self.last_bytes);
        let kib = self.kib(bytes);
        self.last_secs = now_secs;
        self.last_bytes = bytes;

        let is_sparse = f64::from(self.interval_secs) >= MIN_STEP * f64::from(self.block_secs);
        let block = ((now_secs - self.origin_secs) / f64::from(self.block_secs)) as u32;
        let mut n_scales = 0;
        if block > self.n_closed - u32::from(self.is_closed) {
            if !self.is_closed {
                n_scales = self.close(self.open_kib);
            }
            while block > self.n_closed {
                n_scales = n_scales.max(self.close(held_kib));
            }
            self.is_closed = false;
            self.open_kib = kib;
            if is_sparse {
                self.keep_in_step(now_secs, block);
            }
        }
        self.open_kib = self.open_kib.min(kib);
        self.peak_kib = self.peak_kib.max(kib);
        if is_sparse && !self.is_closed {
            n_scales = n_scales.max(self.close(self.open_kib));
            self.is_closed = true;
        }
        self.follow_falls(kib);
        n_scales
    }

    /// The last value seen, in bytes.
    pub fn bytes(&self) -> u64 {
        self.last_bytes
    }

    /// How much it is above the lowest floor that is remembered, in bytes.
    pub fn gained_bytes(&self) -> u64 {
        let lowest = (0..N_SCALES)
            .flat_map(|scale| self.rings[scale][..self.n_floors(scale)].iter())
            .fold(self.open_kib, |lowest, floor| lowest.min(*floor));
        u64::from(self.kib(self.last_bytes).saturating_sub(lowest)) << 10
    }

    /// The lowest value of the last few blocks of the finest scale, in bytes.
    pub fn recent_floor_bytes(&self) -> u64 {
        let n_recent = self.n_floors(0).min(N_RECENT);
        let recent = self.floors(0, n_recent).fold(self.open_kib, u32::min);
        self.with_gaps(recent)
    }

    /// How it came to its size within a time before now: floors, the oldest first, of the finest
    /// scale as far as that reaches, then of coarser ones. At most [`MAX_POINTS`].
    pub fn curve(&self, now_secs: f64, within_secs: f64) -> Vec<Point> {
        let mut points = vec![Point {
            secs_ago: 0.0,
            bytes: self.last_bytes,
        }];
        let mut reached_secs = 0.0;
        for scale in 0..N_SCALES {
            let n_floors = self.n_floors(scale);
            let n_closed = self.closed_at(scale) as usize;
            let floors: Vec<u32> = self.floors(scale, n_floors).collect();
            for (index, floor) in (n_closed - n_floors..n_closed).zip(floors).rev() {
                let middle_secs = (index as f64 + 0.5) * self.block_secs(scale);
                let secs_ago = (now_secs - self.origin_secs - middle_secs).max(0.0);
                if points.len() == MAX_POINTS || secs_ago > within_secs {
                    break;
                }
                if secs_ago > reached_secs {
                    reached_secs = secs_ago;
                    let bytes = self.with_gaps(floor);
                    points.push(Point { secs_ago, bytes });
                }
            }
        }
        points.reverse();
        points
    }

    /// A floor in bytes, with what changed in gaps.
    pub(super) fn with_gaps(&self, floor_kib: u32) -> u64 {
        let counted = i64::from(floor_kib) << 10;
        counted
            .saturating_add(self.cut_bytes)
            .max(0)
            .cast_unsigned()
    }

    /// How many floors a scale has.
    pub(super) fn n_floors(&self, scale: usize) -> usize {
        N_FLOORS.min(self.closed_at(scale) as usize)
    }

    /// How many floors a scale has without that of the block in which the history began.
    pub(super) fn n_settled_floors(&self, scale: usize) -> usize {
        N_FLOORS.min(self.closed_at(scale).saturating_sub(1) as usize)
    }

    /// The newest floors of a scale, oldest first, in KiB. `n` is at most [`Self::n_floors`].
    pub(super) fn floors(&self, scale: usize, n: usize) -> impl Iterator<Item = u32> {
        let end = self.closed_at(scale) as usize;
        (end - n..end).map(move |index| self.rings[scale][index % N_FLOORS])
    }

    /// How long a block of a scale is.
    pub(super) fn block_secs(&self, scale: usize) -> f64 {
        f64::from(self.block_secs) * f64::from(RATIO.pow(scale as u32))
    }

    /// The last fall: how long ago in seconds, and from how much in KiB.
    pub(super) fn last_fall(&self) -> Option<(f64, u32)> {
        let ago_blocks = self.n_closed - self.fallen_in;
        (self.fallen_from_kib > 0).then(|| {
            (
                f64::from(ago_blocks) * f64::from(self.block_secs),
                self.fallen_from_kib,
            )
        })
    }

    /// The longest time that growth can be seen to last: a window of the coarsest scale.
    pub(super) fn longest_secs(&self) -> f64 {
        self.block_secs(N_SCALES - 1) * N_FLOORS as f64
    }

    /// How long it has been remembering, without gaps.
    pub fn age_secs(&self) -> f64 {
        f64::from(self.n_closed) * f64::from(self.block_secs)
    }

    /// The highest that was held, in KiB, but for the last seconds. Nothing if that is all.
    pub(super) fn peak_before(&self, secs: f64) -> Option<u32> {
        let scale = self.peak_scale();
        let n_closed = self.closed_at(scale) as usize;
        let n_inside = (secs / self.block_secs(scale)).ceil() as usize;
        let n_before = N_FLOORS.min(n_closed).saturating_sub(n_inside);
        let newest = n_closed.saturating_sub(n_inside);
        let before = (newest - n_before..newest).map(|index| self.peaks[index % N_FLOORS]);
        before.max()
    }

    /// The scale whose blocks have their peaks remembered: those of about an hour, twelve of which
    /// are half a day.
    fn peak_scale(&self) -> usize {
        let is_long = |scale: &usize| self.block_secs(*scale) * 1.5 >= PEAK_SECS;
        (0..N_SCALES).find(is_long).unwrap_or(N_SCALES - 1)
    }

    fn closed_at(&self, scale: usize) -> u32 {
        self.n_closed / RATIO.pow(scale as u32)
    }

    /// In KiB, without what changed in gaps; up to 4 TiB.
    fn kib(&self, bytes: u64) -> u32 {
        let counted = i64::try_from(bytes)
            .unwrap_or(i64::MAX)
            .saturating_sub(self.cut_bytes);
        u32::try_from(counted.max(0) >> 10).unwrap_or(u32::MAX)
    }

    fn cut_gap(&mut self, elapsed_secs: f64, bytes: u64) {
        let usual_secs = f64::from(self.interval_secs);
        let block_secs = f64::from(self.block_secs);
        let longest_secs =
            (GAP_INTERVALS * usual_secs.max(block_secs)).min(MAX_HELD_BLOCKS * block_secs);
        if elapsed_secs > longest_secs {
            self.origin_secs += elapsed_secs - usual_secs;
            let change = bytes
                .cast_signed()
                .saturating_sub(self.last_bytes.cast_signed());
            self.cut_bytes = self.cut_bytes.saturating_add(change);
        }
        // What was gained in a gap and is freed later is a fall like any other.
        self.cut_bytes = self.cut_bytes.min(i64::try_from(bytes).unwrap_or(i64::MAX));
        // Follows samples that become sparser for good, but not a single long gap.
        let counted_secs = elapsed_secs.min(longest_secs);
        self.interval_secs = match usual_secs == 0.0 {
            true => counted_secs,
            false => usual_secs + (counted_secs - usual_secs) / 8.0,
        } as f32;
    }

    /// Moves the blocks a little so that samples keep falling in the middle of theirs: on an edge,
    /// one block would get two and the next none.
    fn keep_in_step(&mut self, now_secs: f64, block: u32) {
        let block_secs = f64::from(self.block_secs);
        let middle_secs = self.origin_secs + (f64::from(block) + 0.5) * block_secs;
        let most_secs = MAX_NUDGE * block_secs;
        self.origin_secs += (now_secs - middle_secs).clamp(-most_secs, most_secs);
    }

    fn close(&mut self, floor_kib: u32) -> usize {
        let mut floor_kib = floor_kib;
        let mut closed = self.n_closed;
        self.n_closed += 1;
        let peak_scale = self.peak_scale();
        for scale in 0..N_SCALES {
            self.rings[scale][closed as usize % N_FLOORS] = floor_kib;
            if scale == peak_scale {
                self.peaks[closed as usize % N_FLOORS] = self.peak_kib;
                self.peak_kib = 0;
            }
            if !(closed + 1).is_multiple_of(RATIO) {
                return scale + 1;
            }
            floor_kib = (0..RATIO).fold(u32::MAX, |lowest, back| {
                lowest.min(self.rings[scale][(closed - back) as usize % N_FLOORS])
            });
            closed /= RATIO;
        }
        N_SCALES
    }

    /// A fall is by an eighth of the height and a MiB at least. One in several steps is one.
    fn follow_falls(&mut self, kib: u32) {
        self.high_kib = self.high_kib.max(kib);
        if kib.saturating_add((self.high_kib / 8).max(1024)) < self.high_kib {
            let same = self.fallen_from_kib > 0 && self.n_closed - self.fallen_in <= 2;
            let before = if same { self.fallen_from_kib } else { 0 };
            self.fallen_from_kib = self.high_kib.max(before);
            self.fallen_in = self.n_closed;
            self.high_kib = kib;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn floors(history: &History, scale: usize) -> Vec<u32> {
        history.floors(scale, history.n_floors(scale)).collect()
    }

    #[test]
    fn floors_are_the_minima_of_their_blocks() {
        let mut history = History::new(10.0, 0.0, 9 * MIB);
        for second in 1..=90u32 {
            history.observe(f64::from(second), u64::from(10 + second % 7) * MIB);
        }
        let expected: Vec<u32> = (0..9u32)
            .map(|block| {
                let seconds = (block * 10).saturating_sub(5)..block * 10 + 5;
                seconds
                    .map(|second| if second == 0 { 9 } else { 10 + second % 7 })
                    .min()
                    .expect("ten seconds")
                    << 10
            })
            .collect();
        assert_eq!(floors(&history, 0), expected);
        let thirds: Vec<u32> = expected
            .chunks_exact(3)
            .map(|three| *three.iter().min().expect("three"))
            .collect();
        assert_eq!(floors(&history, 1), thirds);
    }

    #[test]
    fn a_gap_is_neither_time_nor_growth() {
        let mut with_gap = History::new(5.0, 0.0, MIB);
        let mut without = with_gap.clone();
        for step in 1..200u32 {
            let now_secs = f64::from(step) * 5.0;
            let bytes = MIB + u64::from(step) * 4096;
            without.observe(now_secs, bytes);
            match step < 100 {
                true => with_gap.observe(now_secs, bytes),
                false => with_gap.observe(now_secs + 28_800.0, bytes + 700 * MIB),
            };
        }
        for scale in 0..N_SCALES {
            let apart = floors(&with_gap, scale)
                .into_iter()
                .zip(floors(&without, scale));
            // The gap's own step is one sample's growth, which is cut out with it.
            assert!(apart.clone().all(|(a, b)| b.abs_diff(a) <= 4), "{apart:?}");
        }
        assert!(with_gap.bytes() > 700 * MIB);
    }

    #[test]
    fn a_sparse_recording_is_no_row_of_gaps() {
        let mut history = History::new(5.0, 0.0, 0);
        for minute in 1..60u32 {
            history.observe(f64::from(minute) * 60.0, u64::from(minute) * MIB);
        }
        assert!(history.gained_bytes() > 50 * MIB);
    }

    #[test]
    fn remembers_the_last_fall() {
        let mut history = History::new(1.0, 0.0, 100 * MIB);
        for (second, mib) in [(1, 200), (2, 150), (3, 90), (4, 95), (5, 96)] {
            history.observe(f64::from(second), mib * MIB);
        }
        assert_eq!(history.last_fall(), Some((2.0, 200 << 10)));
    }

    proptest! {
        #[test]
        fn any_samples_are_taken(samples in proptest::collection::vec((any::<f64>(), any::<u64>()), 0..50)) {
            let mut history = History::new(5.0, 0.0, 0);
            let mut now_secs = 0.0;
            for (elapsed, bytes) in samples {
                now_secs += elapsed.abs().min(1e9);
                prop_assert!(history.observe(now_secs, bytes) <= N_SCALES);
                history.gained_bytes();
            }
        }

        #[test]
        fn no_floor_is_above_what_was_seen_in_its_time(values in proptest::collection::vec(0u64..1 << 20, 40..400)) {
            let mut history = History::new(5.0, 0.0, values[0] << 10);
            for (step, kib) in values.iter().enumerate().skip(1) {
                history.observe(step as f64 * 5.0, kib << 10);
            }
            for scale in 0..N_SCALES {
                let length = RATIO.pow(scale as u32) as usize;
                let blocks: Vec<u64> = values
                    .chunks_exact(length)
                    .map(|block| *block.iter().min().expect("not empty"))
                    .collect();
                let kept: Vec<u64> = floors(&history, scale).into_iter().map(u64::from).collect();
                prop_assert_eq!(&blocks[blocks.len() - kept.len()..], &kept[..]);
            }
        }
    }
}
