//! How finely stacks of each class of sizes are sampled, so that all together are not too many, and
//! what grows is seen well beside what is busy. Pure.

use std::collections::VecDeque;

use crate::stacks::wire::Class;

/// Classes of sizes: `HEAP_CLASSES` of bpf/heap.h.
pub(super) const N_CLASSES: usize = 128;
/// Samples a second, in all.
const RATE: f64 = 500.0;
/// Samples of a capture, in all: as many as can stand.
const MOST: f64 = 60_000.0;
/// The share of it that is for classes that grow, as many for each of them: who leaks may be one of
/// many that allocate blocks of that size.
const SHARE_OF_GROWING: f64 = 0.8;
/// Looks over which it is seen whether a class grows: what is in flight comes and goes.
const LOOKS: usize = 8;
/// The coarsest sampling, which the kernel's arithmetic can do.
const COARSEST: f64 = (1u64 << 30) as f64;

/// What has been allocated and freed of a class of sizes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    pub allocated_bytes: u64,
    pub freed_bytes: u64,
}

/// What classes have done in the time of one capture.
#[derive(Debug)]
pub(super) struct Sampling {
    /// For classes that do not grow, at least.
    coarse_bytes: f64,
    rate: f64,
    /// Bytes allocated a second, lately.
    rates: [f64; N_CLASSES],
    has_rates: bool,
    /// Net bytes since the capture began, at the last looks.
    nets: VecDeque<[i64; N_CLASSES]>,
    /// All that was counted since it began.
    sum: [Counted; N_CLASSES],
}

impl Sampling {
    /// For a capture of that time at the most.
    pub fn new(sampling_bytes: u64, secs: f64) -> Self {
        Self {
            coarse_bytes: (sampling_bytes as f64).clamp(1.0, COARSEST),
            rate: RATE.min(MOST / secs.max(1.0)),
            rates: [0.0; N_CLASSES],
            has_rates: false,
            nets: VecDeque::with_capacity(LOOKS + 1),
            sum: [Counted::default(); N_CLASSES],
        }
    }

    /// What it begins with: so many bytes a second, in classes that are not known yet.
    pub fn first(&self, bytes_per_sec: f64) -> [u64; N_CLASSES] {
        let bytes = self.coarse_bytes.max(bytes_per_sec / self.rate);
        [whole(bytes); N_CLASSES]
    }

    /// Takes in what has been counted since the last look, and says what is best from now on, in
    /// sampling bytes by class.
    pub fn adapt(&mut self, secs: f64, counted: &[Counted; N_CLASSES]) -> [u64; N_CLASSES] {
        for (class, counted) in counted.iter().enumerate() {
            let rate = counted.allocated_bytes as f64 / secs.max(1e-3);
            let before = if self.has_rates {
                self.rates[class]
            } else {
                rate
            };
            self.rates[class] = (before + rate) / 2.0;
            self.sum[class] = self.sum[class].and(*counted);
        }
        self.has_rates = true;
        self.nets.push_back(self.sum.map(Counted::net_bytes));
        if self.nets.len() > LOOKS {
            self.nets.pop_front();
        }
        let growing: [bool; N_CLASSES] = std::array::from_fn(|class| self.grows(class));
        let n_growing = growing.iter().filter(|grows| **grows).count();
        let rate_of_each = SHARE_OF_GROWING * self.rate / n_growing.max(1) as f64;
        let rate_of_others = self.rate - rate_of_each * n_growing as f64;
        let others: f64 = (0..N_CLASSES)
            .filter(|class| !growing[*class])
            .map(|class| self.rates[class])
            .sum();
        let coarse = self.coarse_bytes.max(others / rate_of_others);
        std::array::from_fn(|class| match growing[class] {
            true => whole(self.rates[class] / rate_of_each),
            false => whole(coarse),
        })
    }

    /// Whether blocks of a class become more and more: step by step beside many that come and go,
    /// or as most that are allocated stay.
    fn grows(&self, class: usize) -> bool {
        let mut nets = self.nets.iter().map(|nets| nets[class]);
        if self.nets.len() == LOOKS {
            let highest_before = nets.clone().take(LOOKS / 2).max();
            let lowest_after = nets.clone().skip(LOOKS / 2).min();
            if lowest_after > highest_before {
                return true;
            }
        }
        let sum = self.sum[class];
        sum.freed_bytes < sum.allocated_bytes / 2 && nets.all(|net| net > 0)
    }
}

impl Counted {
    /// What has been counted since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            allocated_bytes: self.allocated_bytes.wrapping_sub(earlier.allocated_bytes),
            freed_bytes: self.freed_bytes.wrapping_sub(earlier.freed_bytes),
        }
    }

    /// Both together.
    fn and(self, other: Self) -> Self {
        Self {
            allocated_bytes: self.allocated_bytes.wrapping_add(other.allocated_bytes),
            freed_bytes: self.freed_bytes.wrapping_add(other.freed_bytes),
        }
    }

    /// Bytes allocated and not freed.
    pub fn net_bytes(self) -> i64 {
        self.allocated_bytes
            .wrapping_sub(self.freed_bytes)
            .cast_signed()
    }
}

fn whole(bytes: f64) -> u64 {
    bytes.clamp(1.0, COARSEST) as u64
}

/// By how much each size has grown, of heap blocks only.
///
/// A chunk may be a little larger than what was asked for makes one expect, so that it is
/// allocated in one class and freed in the next: what has gone from a class is taken from the one
/// below it, as far as that has grown.
pub(super) fn classes(counted: &[Counted; N_CLASSES]) -> Vec<Class> {
    let n_heap = N_CLASSES - 1;
    let mut nets: Vec<_> = counted[..n_heap]
        .iter()
        .map(|class| class.net_bytes())
        .collect();
    for above in 1..n_heap {
        let moved = nets[above - 1].min(-nets[above]).max(0);
        nets[above - 1] -= moved;
        nets[above] += moved;
    }
    let of_size = |(class, net_bytes): (usize, &i64)| Class {
        from_bytes: if class == 0 {
            0
        } else {
            to_bytes(class - 1) + 1
        },
        to_bytes: to_bytes(class),
        net_bytes: *net_bytes,
    };
    let some = nets.iter().enumerate().filter(|(_, net)| **net != 0);
    some.map(of_size).collect()
}

/// The largest request of a class: `class_of` of bpf/heap_stack.h the other way round.
fn to_bytes(class: usize) -> u64 {
    match class as u64 {
        class @ 0..65 => (16 * class).max(8) - 8,
        126.. => u64::MAX,
        class => {
            let (log, quarter) = (10 + (class - 65) / 4, (class - 65) % 4);
            ((5 + quarter) << (log - 2)) - 8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(classes: &[(usize, u64, u64)]) -> [Counted; N_CLASSES] {
        let mut counted = [Counted::default(); N_CLASSES];
        for (class, allocated_bytes, freed_bytes) in classes {
            counted[*class] = Counted {
                allocated_bytes: *allocated_bytes,
                freed_bytes: *freed_bytes,
            };
        }
        counted
    }

    #[test]
    fn a_slow_leak_beside_a_loud_clean_size_is_sampled_well() {
        let mut sampling = Sampling::new(64 << 10, 60.0);
        assert_eq!(sampling.first(0.0), [64 << 10; N_CLASSES]);
        assert_eq!(sampling.first(500e6)[3], 1_000_000);
        let mut bytes = [0; N_CLASSES];
        for look in 0..20 {
            // A gigabyte a second that comes and goes, a kilobyte a second that stays.
            let (more, less) = if look % 2 == 0 { (1, 0) } else { (0, 2) };
            let loud = (7, 250_000_000 + more, 250_000_000 + less);
            bytes = sampling.adapt(0.25, &counted(&[loud, (9, 250, 0)]));
        }
        // Two of them grow: one of them beside much of its own size that comes and goes.
        for _ in 0..20 {
            let loud = (7, 250_000_000, 250_000_000);
            let mixed = (11, 250_250, 250_000);
            bytes = sampling.adapt(0.25, &counted(&[loud, (9, 250, 0), mixed]));
        }
        let rate = |class: usize, per_sec: f64| per_sec / bytes[class] as f64;
        assert!((190.0..=210.0).contains(&rate(11, 1e6)), "{}", bytes[11]);
        assert!((190.0..=210.0).contains(&rate(9, 1000.0)), "{}", bytes[9]);
        assert!((90.0..=110.0).contains(&rate(7, 1e9)), "{}", bytes[7]);
        assert_eq!(bytes[20], bytes[7]);
    }

    #[test]
    fn many_that_grow_share_what_there_is() {
        let mut sampling = Sampling::new(64 << 10, 1200.0);
        let all: Vec<_> = (0..100).map(|class| (class, 1_000_000, 0)).collect();
        let bytes = sampling.adapt(1.0, &counted(&all));
        let rate: f64 = (0..100).map(|class| 1e6 / bytes[class] as f64).sum();
        assert!((30.0..=50.0).contains(&rate), "{rate}");
        assert_eq!(bytes[110], 64 << 10);
    }

    #[test]
    fn sizes_are_told_apart_without_gaps() {
        let every = counted(&std::array::from_fn::<_, 127, _>(|class| (class, 1, 0)));
        let classes = classes(&every);
        assert_eq!(classes.len(), 127);
        for pair in classes.windows(2) {
            assert_eq!(pair[0].to_bytes + 1, pair[1].from_bytes, "{pair:?}");
        }
        // By glibc: what malloc_usable_size() says of the largest request.
        for (class, from_bytes, to_bytes) in [
            (3, 25, 40),
            (64, 1001, 1016),
            (65, 1017, 1272),
            (69, 2041, 2552),
        ] {
            let found = classes[class];
            assert_eq!((found.from_bytes, found.to_bytes), (from_bytes, to_bytes));
        }
        assert_eq!(classes[126].to_bytes, u64::MAX);
    }

    #[test]
    fn a_chunk_that_is_larger_than_expected_is_no_growth() {
        let found = classes(&counted(&[(5, 1000, 200), (6, 500, 1100), (8, 0, 90)]));
        let nets: Vec<_> = found
            .iter()
            .map(|class| (class.to_bytes, class.net_bytes))
            .collect();
        assert_eq!(nets, [(72, 200), (120, -90)]);
    }
}
