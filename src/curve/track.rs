use std::collections::VecDeque;

use super::{Curve, NetPoint};
use crate::sample::{Point, ProcessId};

const MINUTE: i32 = 60;
const HOUR: i32 = 60 * MINUTE;
const DAY: i32 = 24 * HOUR;
/// How long a block is of which one mark is kept, and up to which age, the finest first. In seconds.
const TIERS: [(i32, i32); 4] = [
    (20, HOUR),
    (5 * MINUTE, DAY),
    (30 * MINUTE, 7 * DAY),
    (2 * HOUR, 30 * DAY),
];
/// A track has at most so many marks: of each tier the blocks of its time, with one that is cut at
/// either end and one that is open, and the last of all.
pub const MAX_MARKS: usize = 180 + 276 + 288 + 276 + 3 * TIERS.len() + 1;

/// How one process came to its size, as it is kept: of each block of time the moment at which it held
/// least. Fine where it is new, coarse where it is old.
///
/// Times are in seconds since the start of the machine, suspended time included; before 0 is what
/// was before that.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    tiers: [Tier; TIERS.len()],
    last: Option<Mark>,
    /// Its net heap as last known, and what it was when the measuring began that goes on.
    net_bytes: i64,
    net_before_bytes: i64,
    /// For how long that goes on.
    span_secs: f64,
}

/// The net heap of a process that is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heap {
    /// Allocated and not freed since the measuring began, in bytes.
    pub net_bytes: i64,
    /// For how long it has been measured, in seconds. It begins anew if that is less than before.
    pub span_secs: f64,
}

/// A moment of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    pub secs: i32,
    /// Up to 4 TiB.
    pub kib: u32,
    /// Up to 2 TiB, either way.
    pub net_kib: Option<i32>,
}

/// Blocks of one length.
#[derive(Debug, Clone, PartialEq, Default)]
struct Tier {
    marks: VecDeque<Mark>,
    open: Option<Mark>,
}

impl Default for Track {
    /// Nothing is known yet.
    fn default() -> Self {
        Self {
            tiers: Default::default(),
            last: None,
            net_bytes: 0,
            net_before_bytes: 0,
            span_secs: f64::INFINITY,
        }
    }
}

impl Track {
    /// Takes in what a process holds. A time that is not later than the last is ignored.
    pub fn observe(&mut self, secs: f64, bytes: u64, heap: Option<Heap>) {
        let net_kib = heap.map(|heap| kib_of_net(self.net_bytes(heap)));
        self.take(Mark {
            secs: secs.floor() as i32,
            kib: kib(bytes),
            net_kib,
        });
    }

    /// Takes in what else is known of the time since the last observation, the oldest first.
    pub fn catch_up(&mut self, now_secs: f64, curve: &Curve) {
        let mut net_heap = curve.net_heap.iter().peekable();
        let mut net_kib = None;
        for point in &curve.pages {
            while let Some(net) = net_heap.next_if(|net| net.secs_ago >= point.secs_ago) {
                net_kib = Some(kib_of_net(net.net_bytes));
            }
            self.take(Mark {
                secs: (now_secs - point.secs_ago).floor() as i32,
                kib: kib(point.bytes),
                net_kib,
            });
        }
    }

    /// When it was last observed, in seconds; nothing if it never was.
    pub fn last_secs(&self) -> Option<f64> {
        self.last.map(|last| f64::from(last.secs))
    }

    /// How it came to its size, as of a time.
    pub fn curve(&self, now_secs: f64, process: ProcessId) -> Curve {
        let secs_ago = |mark: &Mark| (now_secs - f64::from(mark.secs)).max(0.0);
        let net = |mark: Mark| {
            Some(NetPoint {
                secs_ago: secs_ago(&mark),
                net_bytes: i64::from(mark.net_kib?) << 10,
            })
        };
        let page = |mark: Mark| Point {
            secs_ago: secs_ago(&mark),
            bytes: u64::from(mark.kib) << 10,
        };
        Curve {
            pid: process.pid,
            start_time: process.start_time_ticks(),
            pages: self.marks().map(page).collect(),
            net_heap: self.marks().filter_map(net).collect(),
        }
    }

    /// All marks, the oldest first.
    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        let blocks = self.tiers.iter().rev();
        let blocks = blocks.flat_map(|tier| tier.marks.iter().copied().chain(tier.open));
        // The open block of the finest tier may be that of the last.
        let newest = self.tiers[0].open;
        blocks.chain(self.last.filter(|last| Some(*last) != newest))
    }

    /// Takes a mark in that is later than all others.
    pub(super) fn take(&mut self, mark: Mark) {
        if self.last.is_some_and(|last| mark.secs <= last.secs) {
            return;
        }
        self.last = Some(mark);
        self.put(0, mark);
    }

    /// What comes after what was read from disk begins anew.
    pub(super) fn resume(&mut self) {
        let known = self.marks().filter_map(|mark| mark.net_kib).last();
        self.net_bytes = known.map_or(0, |kib| i64::from(kib) << 10);
        self.span_secs = f64::INFINITY;
    }

    /// Puts a mark into a tier, and what is too old for that by now into the next.
    fn put(&mut self, index: usize, mark: Mark) {
        let now_secs = self.last.map_or(mark.secs, |last| last.secs);
        let Some(tier) = self.tiers.get_mut(index) else {
            return;
        };
        let (block_secs, age_secs) = TIERS[index];
        let block = |mark: &Mark| mark.secs.div_euclid(block_secs);
        match &mut tier.open {
            Some(open) if block(open) == block(&mark) => *open = lower(*open, mark),
            open => tier.marks.extend(open.replace(mark)),
        }
        let is_old = |mark: &Mark| now_secs.saturating_sub(mark.secs) > age_secs;
        while let Some(old) = self.tiers[index].marks.front().copied().filter(is_old) {
            self.tiers[index].marks.pop_front();
            self.put(index + 1, old);
        }
    }

    /// A measuring that has begun anew goes on from what the one before it had come to.
    fn net_bytes(&mut self, heap: Heap) -> i64 {
        if heap.span_secs < self.span_secs {
            self.net_before_bytes = self.net_bytes;
        }
        self.span_secs = heap.span_secs;
        self.net_bytes = self.net_before_bytes.saturating_add(heap.net_bytes);
        self.net_bytes
    }
}

/// The moment that stands for both: that at which less was held, with what its heap was then.
fn lower(before: Mark, after: Mark) -> Mark {
    match after.kib < before.kib {
        true => after,
        false => before,
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 10).unwrap_or(u32::MAX)
}

fn kib_of_net(bytes: i64) -> i32 {
    let kib = (bytes >> 10).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    kib as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROCESS: ProcessId = ProcessId {
        pid: 7,
        start_time_ns: 0,
    };

    fn pages(track: &Track, now_secs: f64) -> Vec<(f64, u64)> {
        let curve = track.curve(now_secs, PROCESS);
        curve
            .pages
            .iter()
            .map(|point| (point.secs_ago, point.bytes >> 10))
            .collect()
    }

    fn observed(marks: impl IntoIterator<Item = (i32, u64)>) -> Track {
        let mut track = Track::default();
        for (secs, kib) in marks {
            track.observe(f64::from(secs), kib << 10, None);
        }
        track
    }

    #[test]
    fn each_block_is_its_lowest_moment_and_the_end_is_as_it_is() {
        // A sawtooth, every 5 seconds.
        let saw = [40, 60, 80, 30].into_iter().cycle();
        let track = observed((0..60).step_by(5).zip(saw).chain([(60, 90), (65, 95)]));
        assert_eq!(
            pages(&track, 70.0),
            [(55.0, 30), (35.0, 30), (15.0, 30), (10.0, 90), (5.0, 95)]
        );
    }

    #[test]
    fn it_is_fine_for_an_hour_and_coarser_the_older() {
        // A day and two hours, growing by a KiB a second.
        let end = 26 * HOUR;
        let track = observed((0..=end).step_by(5).map(|secs| (secs, secs as u64)));
        let points = pages(&track, f64::from(end));
        for pair in points.windows(2) {
            let ((older, less), (newer, more)) = (pair[0], pair[1]);
            let step = older - newer;
            let longest = match older {
                ..=3620.0 => 20.0,
                ..=86_700.0 => 320.0,
                _ => 2100.0,
            };
            assert!(step > 0.0 && step <= longest, "{step} at {older}");
            // What is shown was there at that very time.
            assert_eq!((more - less) as f64, step, "at {older}");
        }
        assert_eq!(points.first(), Some(&(f64::from(end), 0)));
        assert_eq!(points.last(), Some(&(0.0, end as u64)));
        assert!(points.len() > 180 + 270, "{}", points.len());
    }

    #[test]
    fn a_year_fits_and_no_more_than_thirty_days_are_kept() {
        let track = observed((0..365 * DAY).step_by(20).map(|secs| (secs, 7)));
        let n_marks = track.marks().count();
        assert!((1015..=MAX_MARKS).contains(&n_marks), "{n_marks}");
        let oldest = pages(&track, f64::from(365 * DAY))[0].0;
        let most = f64::from(30 * DAY + 2 * HOUR + 20);
        assert!((f64::from(30 * DAY - 2 * HOUR)..=most).contains(&oldest));
    }

    #[test]
    fn a_gap_is_a_gap() {
        let before = (0..100).map(|step| (step * 20, 50));
        let after = (0..100).map(|step| (step * 20 + 2 * DAY, 70));
        let track = observed(before.chain(after));
        let points = pages(&track, f64::from(2 * DAY + 2000));
        let longest = points.windows(2).map(|pair| pair[0].0 - pair[1].0);
        assert_eq!(longest.fold(0.0, f64::max), f64::from(2 * DAY - 1800));
        let n_after = points.iter().filter(|(_, kib)| *kib == 70).count();
        assert_eq!(n_after, 100);
        // What was before is coarse by now: 1980 seconds, in two blocks of half an hour.
        assert_eq!(points.len() - n_after, 2);
    }

    #[test]
    fn time_does_not_go_back() {
        let mut track = observed([(0, 10), (20, 20), (40, 30)]);
        let before = track.clone();
        for secs in [40.0, 39.0, -1e12, f64::NAN, f64::NEG_INFINITY] {
            track.observe(secs, 99 << 10, None);
        }
        // What is no time is taken for 0.
        assert_eq!(track, before);
    }

    #[test]
    fn a_measuring_that_begins_anew_goes_on() {
        let mut track = Track::default();
        for (secs, heap) in [
            (0.0, None),
            (20.0, Some((0, 5.0))),
            (40.0, Some((100, 25.0))),
            (60.0, None),
            (80.0, Some((4, 1.0))),
            (100.0, Some((-16, 21.0))),
        ] {
            let heap = heap.map(|(net_kib, span_secs): (i64, f64)| Heap {
                net_bytes: net_kib << 10,
                span_secs,
            });
            track.observe(secs, 1 << 20, heap);
        }
        let nets = |track: &Track| {
            let net_heap = track.curve(100.0, PROCESS).net_heap;
            let net = |point: &NetPoint| (point.secs_ago, point.net_bytes >> 10);
            net_heap.iter().map(net).collect::<Vec<_>>()
        };
        // While it was not measured it is taken to have stood still.
        let expected = [(80.0, 0), (60.0, 100), (20.0, 104), (0.0, 84)];
        assert_eq!(nets(&track), expected);
        // Nor does a restart of the daemon lose any of it.
        track.resume();
        let heap = Heap {
            net_bytes: 1024,
            span_secs: 30.0,
        };
        track.observe(120.0, 1 << 20, Some(heap));
        assert_eq!(nets(&track).last(), Some(&(0.0, 85)));
    }

    #[test]
    fn what_was_remembered_before_comes_first_and_only_where_nothing_is_known() {
        let remembered = Curve {
            pages: [(300.0, 10u64), (200.0, 20), (100.0, 30), (0.0, 40)]
                .map(|(secs_ago, kib)| Point {
                    secs_ago,
                    bytes: kib << 10,
                })
                .into(),
            net_heap: [(200.0, 5i64), (150.0, 7), (0.0, 9)]
                .map(|(secs_ago, kib)| NetPoint {
                    secs_ago,
                    net_bytes: kib << 10,
                })
                .into(),
            ..Curve::default()
        };
        let mut track = Track::default();
        track.catch_up(1000.0, &remembered);
        let expected = [(300.0, 10), (200.0, 20), (100.0, 30), (0.0, 40)];
        assert_eq!(pages(&track, 1000.0), expected);
        let net: Vec<_> = track.marks().map(|mark| mark.net_kib).collect();
        assert_eq!(net, [None, Some(5), Some(7), Some(9)]);
        let mut track = observed([(700, 11), (850, 21)]);
        track.catch_up(1000.0, &remembered);
        let expected = [(300.0, 11), (150.0, 21), (100.0, 30), (0.0, 40)];
        assert_eq!(pages(&track, 1000.0), expected);
    }

    #[test]
    fn the_largest_is_bounded_and_the_smallest_is_not_lost() {
        let mut track = Track::default();
        let heap = |net_bytes| {
            Some(Heap {
                net_bytes,
                span_secs: 0.0,
            })
        };
        track.observe(f64::INFINITY, u64::MAX, heap(i64::MIN));
        assert_eq!(pages(&track, 0.0), [(0.0, u64::from(u32::MAX))]);
        let mut track = Track::default();
        track.observe(-5.0, 0, heap(i64::MAX));
        track.observe(0.0, 1024, heap(i64::MAX));
        assert_eq!(pages(&track, 1.0), [(6.0, 0), (1.0, 1)]);
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_in_order(
            steps in proptest::collection::vec((0..5 * DAY, any::<u64>()), 0..3000),
            dense in 1..200i32,
        ) {
            let mut track = Track::default();
            let mut secs = -3 * DAY;
            for (step, bytes) in steps {
                secs = secs.saturating_add(if step % 50 == 0 { step } else { step % dense });
                track.observe(f64::from(secs), bytes, None);
            }
            let times: Vec<_> = track.marks().map(|mark| mark.secs).collect();
            prop_assert!(times.is_sorted_by(|a, b| a < b));
            prop_assert!(times.len() <= MAX_MARKS);
        }
    }
}
