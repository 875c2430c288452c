use super::gate::{Bound, Check, Gate};
use super::lane::{Growth, ROUNDING};
use super::statistics::Slope;
use crate::config::Rule;

/// Rates that differ by no more than this factor are alike,
const ALIKE: f64 = 2.0;
/// if the growth of both has lasted for about as long: the shorter for this part of the longer.
const AS_LONG: f64 = 0.5;

/// Growth of several processes of one program, or of one after the other.
impl Growth {
    /// Whether another grows as fast, by a rate in bytes a second.
    pub fn has_rate(&self, bytes_per_sec: f64) -> bool {
        let own = self.bytes_per_sec.median;
        own <= ALIKE * bytes_per_sec && bytes_per_sec <= ALIKE * own
    }

    /// Whether another grows as fast, and for about as long.
    pub fn is_like(&self, other: &Self) -> bool {
        let (own, others) = (self.lasted_secs, other.lasted_secs);
        self.has_rate(other.bytes_per_sec.median) && own.min(others) >= AS_LONG * own.max(others)
    }

    /// With that of another process added: what both gain, over the time of this one. The bounds
    /// are those of the worst case, that both are off in the same direction.
    pub fn and(self, other: &Self) -> Self {
        let (own, others) = (self.bytes_per_sec, other.bytes_per_sec);
        Self {
            gained_bytes: self.gained_bytes + other.gained_bytes,
            bytes_per_sec: Slope {
                median: own.median + others.median,
                low: own.low + others.low,
                high: own.high + others.high,
            },
            ..self
        }
    }

    /// Whether it is as fast and as much as a rule asks, and more the less sure it is.
    pub fn is_enough(&self, rule: &Rule) -> bool {
        [Gate::Gain, Gate::Rate]
            .into_iter()
            .all(|gate| self.check(gate, rule).passes())
    }

    /// What the gate of the gain, or else that of the rate, finds in it.
    pub fn check(&self, gate: Gate, rule: &Rule) -> Check {
        let Slope { median, low, .. } = self.bytes_per_sec;
        let sureness = (low / median).clamp(0.0, 1.0);
        match gate {
            Gate::Gain => Check {
                gate,
                value: self.gained_bytes,
                bound: Bound::Least(rule.min_growth.0 as f64 * (2.0 - sureness)),
            },
            _ => Check {
                gate: Gate::Rate,
                value: low,
                bound: Bound::Least(ROUNDING * rule.growth.bytes_per_sec()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Lane;
    use crate::quantity::{Bytes, Rate};

    const KIB: f64 = 1024.0;

    /// So many KiB a minute for so many hours.
    fn growth(kib_per_min: f64, hours: f64) -> Growth {
        let median = kib_per_min * KIB / 60.0;
        Growth {
            lane: Lane::Slow,
            before: crate::detect::Before::Calm,
            gained_bytes: median * hours * 3600.0,
            secs: hours * 3600.0,
            lasted_secs: hours * 3600.0,
            bytes_per_sec: Slope {
                median,
                low: 0.9 * median,
                high: 1.1 * median,
            },
        }
    }

    #[test]
    fn growth_is_alike_by_its_rate_and_its_time() {
        for (kib_per_min, hours, is_like) in [
            (100.0, 3.0, true),
            (50.0, 3.0, true),
            (200.0, 3.0, true),
            (49.0, 3.0, false),
            (201.0, 3.0, false),
            (100.0, 1.5, true),
            (100.0, 1.4, false),
            (100.0, 6.0, true),
            (100.0, 6.1, false),
            (0.0, 3.0, false),
        ] {
            let (one, other) = (growth(100.0, 3.0), growth(kib_per_min, hours));
            assert_eq!(one.is_like(&other), is_like, "{kib_per_min} for {hours} h");
            assert_eq!(other.is_like(&one), is_like, "{kib_per_min} for {hours} h");
        }
    }

    #[test]
    fn many_small_ones_are_enough_together() {
        // The lower bound is nine tenths of the rate, and the rule asks 512 KiB/min and 32 MiB.
        let rule = Rule {
            growth: Rate::per_minute(Bytes(512 << 10)),
            min_growth: Bytes(32 << 20),
            ..Rule::default()
        };
        for (n, kib_per_min, hours, is_enough) in [
            (8, 100.0, 3.0, true),
            (8, 70.0, 3.0, true),
            (8, 69.0, 3.0, false),
            (1, 560.0, 3.0, true),
            (1, 100.0, 30.0, false),
            // 35 MiB, of which a tenth is not sure.
            (8, 100.0, 0.76, true),
            (8, 100.0, 0.75, false),
            (200, 2.0, 30.0, false),
        ] {
            let one = growth(kib_per_min, hours);
            let sum = (1..n).fold(one, |sum, _| sum.and(&one));
            assert_eq!(sum.is_enough(&rule), is_enough, "{n} of {kib_per_min}");
            assert_eq!(sum.lasted_secs, one.lasted_secs);
        }
    }
}
