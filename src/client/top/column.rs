//! The columns of the list: what stands in each, and what it is sorted by.

use std::cmp::Ordering;

use super::Listed;
use super::entry::{Entry, Mark};
use crate::alert::Cause;

use crate::quantity::{Bytes, Span, signed};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// How bad it is, as a sign.
    Mark,
    /// Process id.
    Pid,
    /// Its name.
    Name,
    /// How fast it grows.
    Growth,
    /// The lower bound of that.
    AtLeast,
    /// What it holds in pages.
    Size,
    /// What it has allocated and not freed.
    NetHeap,
    /// How fast its net heap grows.
    HeapGrowth,
    /// What it has allocated.
    Allocated,
    /// What it has freed.
    Freed,
    /// Calls of its allocator a second.
    Calls,
    /// The part of the time in which it was seen.
    Seen,
    /// Calls whose bytes could not be told.
    Lost,
    /// How it came to its size, as a sparkline.
    Curve,
    /// What kind of growth it is.
    Cause,
    /// Time until a limit is reached.
    Left,
    /// Its unit.
    Unit,
    /// Its user.
    User,
}

impl Column {
    /// The columns of a view, from left to right.
    pub fn of(listed: Listed) -> &'static [Self] {
        match listed {
            Listed::Pages => &[
                Self::Mark,
                Self::Pid,
                Self::Name,
                Self::Curve,
                Self::Growth,
                Self::AtLeast,
                Self::Size,
                Self::NetHeap,
                Self::HeapGrowth,
                Self::Left,
                Self::Cause,
                Self::User,
                Self::Unit,
            ],
            Listed::Heap | Listed::Kernel => &[
                Self::Mark,
                Self::Pid,
                Self::Name,
                Self::Growth,
                Self::NetHeap,
                Self::Allocated,
                Self::Freed,
                Self::Calls,
                Self::Seen,
                Self::Lost,
                Self::User,
                Self::Unit,
            ],
        }
    }

    /// In which order columns are given up where there is no room: the lowest goes first. The name
    /// never goes.
    pub fn weight(self) -> u8 {
        match self {
            Self::Name => 18,
            Self::Mark => 17,
            Self::Growth => 16,
            Self::Pid => 15,
            Self::Size => 14,
            Self::NetHeap => 13,
            Self::Curve => 12,
            Self::HeapGrowth => 11,
            Self::Left => 10,
            Self::AtLeast => 9,
            Self::Unit => 8,
            Self::Allocated => 7,
            Self::Freed => 6,
            Self::Seen => 5,
            Self::Lost => 4,
            Self::Calls => 3,
            Self::Cause => 2,
            Self::User => 1,
        }
    }

    /// What it is called.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Mark => "",
            Self::Pid => "PID",
            Self::Name => "PROCESS",
            Self::Growth => "GROWTH",
            Self::AtLeast => "AT LEAST",
            Self::Size => "SIZE",
            Self::NetHeap => "NET HEAP",
            Self::HeapGrowth => "HEAP GROWTH",
            Self::Allocated => "ALLOCATED",
            Self::Freed => "FREED",
            Self::Calls => "CALLS/S",
            Self::Seen => "SEEN",
            Self::Lost => "LOST",
            Self::Curve => "LAST HOUR",
            Self::Cause => "CAUSE",
            Self::Left => "TIME LEFT",
            Self::Unit => "UNIT",
            Self::User => "USER",
        }
    }

    /// What the list is said to be sorted by.
    pub fn sorted_by(self) -> &'static str {
        match self {
            Self::Mark => "how bad",
            Self::Pid => "pid",
            Self::Name => "name",
            Self::Growth | Self::Curve => "growth",
            Self::AtLeast => "at least",
            Self::Size => "size",
            Self::NetHeap => "net heap",
            Self::HeapGrowth => "heap growth",
            Self::Allocated => "allocated",
            Self::Freed => "freed",
            Self::Calls => "calls",
            Self::Seen => "seen",
            Self::Lost => "lost",
            Self::Cause => "cause",
            Self::Left => "time left",
            Self::Unit => "unit",
            Self::User => "user",
        }
    }

    /// Whether it has numbers, which end below each other.
    pub fn is_number(self) -> bool {
        !matches!(
            self,
            Self::Mark | Self::Name | Self::Curve | Self::Cause | Self::Unit | Self::User
        )
    }

    /// Whether one sorts by it: a curve has no order.
    pub fn is_sortable(self) -> bool {
        self != Self::Curve
    }

    /// Whether the largest comes first unless it is asked for otherwise.
    pub fn begins_with_largest(self) -> bool {
        match self {
            Self::Pid | Self::Name | Self::Cause | Self::Left | Self::Unit | Self::User => false,
            Self::Mark
            | Self::Growth
            | Self::AtLeast
            | Self::Size
            | Self::NetHeap
            | Self::HeapGrowth
            | Self::Allocated
            | Self::Freed
            | Self::Calls
            | Self::Seen
            | Self::Lost
            | Self::Curve => true,
        }
    }

    /// What stands in it; of a curve nothing, as that is drawn.
    pub fn text(self, entry: &Entry) -> String {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let size = |bytes: Option<u64>| or_none(bytes.map(|bytes| Bytes(bytes).to_string()));
        let rate = |rate: Option<f64>| or_none(rate.map(signed::rate));
        match self {
            Self::Mark => entry.mark.sign().to_owned(),
            Self::Pid => entry.pid.to_string(),
            Self::Name => entry.comm.clone(),
            Self::Growth => rate(entry.growth),
            Self::AtLeast => rate(entry.growth_low),
            Self::Size => size(entry.bytes),
            Self::NetHeap => or_none(entry.net_bytes.map(signed::size)),
            Self::HeapGrowth => rate(entry.heap_growth),
            Self::Allocated => size(entry.allocated_bytes),
            Self::Freed => size(entry.freed_bytes),
            Self::Calls => or_none(entry.calls_per_sec.map(|calls| match calls < 10.0 {
                true => format!("{calls:.1}"),
                false => format!("{calls:.0}"),
            })),
            Self::Seen => or_none(
                entry
                    .share_seen
                    .map(|share| format!("{:.0}%", share * 100.0)),
            ),
            Self::Lost => or_none(entry.lost.map(|lost| lost.to_string())),
            Self::Curve => String::new(),
            Self::Cause => cause(entry.cause).to_owned(),
            Self::Left => or_none(
                entry
                    .left_secs
                    .map(|secs| Span::from_secs(secs).to_string()),
            ),
            Self::Unit => or_none(entry.unit.clone()),
            Self::User => entry.user.clone(),
        }
    }

    /// The order of two processes by it, the smaller first; what is not known is the smallest, but
    /// for time left, which is endless then.
    pub fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        let number = |a: Option<f64>, b: Option<f64>| {
            let least = f64::NEG_INFINITY;
            a.unwrap_or(least).total_cmp(&b.unwrap_or(least))
        };
        match self {
            Self::Mark => a.mark.cmp(&b.mark),
            Self::Pid => a.pid.cmp(&b.pid),
            Self::Name => folded(&a.comm).cmp(&folded(&b.comm)),
            Self::Growth | Self::Curve => number(a.growth, b.growth),
            Self::AtLeast => number(a.growth_low, b.growth_low),
            Self::Size => a.bytes.cmp(&b.bytes),
            Self::NetHeap => a.net_bytes.cmp(&b.net_bytes),
            Self::HeapGrowth => number(a.heap_growth, b.heap_growth),
            Self::Allocated => a.allocated_bytes.cmp(&b.allocated_bytes),
            Self::Freed => a.freed_bytes.cmp(&b.freed_bytes),
            Self::Calls => number(a.calls_per_sec, b.calls_per_sec),
            Self::Seen => number(a.share_seen, b.share_seen),
            Self::Lost => a.lost.cmp(&b.lost),
            Self::Cause => cause(a.cause).cmp(cause(b.cause)),
            Self::Left => a
                .left_secs
                .unwrap_or(u64::MAX)
                .cmp(&b.left_secs.unwrap_or(u64::MAX)),
            // Those in no unit come last.
            Self::Unit => (a.unit.is_none(), &a.unit).cmp(&(b.unit.is_none(), &b.unit)),
            Self::User => a.user.cmp(&b.user),
        }
    }
}

/// Several processes as one: sums of what adds up, and the worst of the rest.
pub(super) fn summed<'a>(unit: Option<&str>, of: impl Iterator<Item = &'a Entry>) -> Entry {
    /// What is known of two; of one, if the other does not say.
    fn both<T>(a: Option<T>, b: Option<T>, joined: impl Fn(T, T) -> T) -> Option<T> {
        match (a, b) {
            (Some(a), Some(b)) => Some(joined(a, b)),
            (a, b) => a.or(b),
        }
    }
    let bytes = |a, b| both(a, b, u64::saturating_add);
    let rate = |a, b| both(a, b, |a: f64, b| a + b);
    let none = Entry {
        pid: 0,
        start_time: 0,
        comm: String::new(),
        user: String::new(),
        unit: unit.map(str::to_owned),
        mark: Mark::None,
        alerts: Vec::new(),
        bytes: None,
        growth: None,
        growth_low: None,
        net_bytes: None,
        heap_growth: None,
        allocated_bytes: None,
        freed_bytes: None,
        calls_per_sec: None,
        share_seen: None,
        lost: None,
        cause: Cause::Unknown,
        left_secs: None,
        curve: Vec::new(),
        loss: Vec::new(),
    };
    of.fold(none, |all, entry| Entry {
        mark: all.mark.max(entry.mark),
        bytes: bytes(all.bytes, entry.bytes),
        growth: rate(all.growth, entry.growth),
        growth_low: rate(all.growth_low, entry.growth_low),
        net_bytes: both(all.net_bytes, entry.net_bytes, i64::saturating_add),
        heap_growth: rate(all.heap_growth, entry.heap_growth),
        allocated_bytes: bytes(all.allocated_bytes, entry.allocated_bytes),
        freed_bytes: bytes(all.freed_bytes, entry.freed_bytes),
        calls_per_sec: rate(all.calls_per_sec, entry.calls_per_sec),
        lost: bytes(all.lost, entry.lost),
        left_secs: both(all.left_secs, entry.left_secs, u64::min),
        ..all
    })
}

/// What kind of growth it is, in a word.
fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Heap => "heap",
        Cause::Retention => "retention",
        Cause::Mapping => "mapping",
        Cause::Kernel => "kernel",
        Cause::Unknown => "-",
    }
}

/// Names are in the order of the alphabet, whatever their case.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::top::entry::tests::entry;

    #[test]
    fn each_column_of_a_view_has_a_weight_of_its_own_and_the_name_the_most() {
        for listed in [Listed::Pages, Listed::Heap, Listed::Kernel] {
            let columns = Column::of(listed);
            let mut weights: Vec<_> = columns.iter().map(|column| column.weight()).collect();
            weights.sort_unstable();
            weights.dedup();
            assert_eq!(weights.len(), columns.len());
            assert_eq!(weights.last(), Some(&Column::Name.weight()));
        }
    }

    #[test]
    fn what_is_not_known_is_the_least_but_time_without_end() {
        let known = Entry {
            net_bytes: Some(-5),
            heap_growth: Some(-1.0),
            left_secs: Some(60),
            cause: Cause::Heap,
            ..entry(1, "Beta", 2.0, Some("a.service"))
        };
        let unknown = entry(2, "alpha", 1.0, None);
        for (column, expected) in [
            (Column::Growth, Ordering::Greater),
            (Column::Name, Ordering::Greater),
            (Column::NetHeap, Ordering::Greater),
            (Column::HeapGrowth, Ordering::Greater),
            (Column::Left, Ordering::Less),
            (Column::Unit, Ordering::Less),
            (Column::Pid, Ordering::Less),
            (Column::User, Ordering::Equal),
        ] {
            assert_eq!(column.compare(&known, &unknown), expected, "{column:?}");
        }
        assert_eq!(Column::Left.text(&unknown), "-");
        assert_eq!(Column::Left.text(&known), "1 min");
        assert_eq!(Column::HeapGrowth.text(&known), "-3.5 KiB/h");
    }

    #[test]
    fn a_unit_is_the_sum_of_its_processes() {
        let a = Entry {
            left_secs: Some(60),
            mark: Mark::Suspect,
            ..entry(1, "a", 2.0, None)
        };
        let b = Entry {
            left_secs: Some(30),
            net_bytes: Some(7),
            ..entry(2, "b", 3.0, None)
        };
        let all = summed(Some("x.service"), [a, b].iter());
        assert_eq!((all.growth, all.bytes), (Some(5.0), Some(200 << 20)));
        assert_eq!((all.left_secs, all.net_bytes), (Some(30), Some(7)));
        assert_eq!((all.mark, all.calls_per_sec), (Mark::Suspect, None));
    }
}
