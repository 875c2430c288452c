use super::history::{History, N_SCALES};
use super::window::{Gate, MIN_FLOORS, Rise, Window};
use crate::config::Rule;
use crate::quantity::{Bytes, Span};

/// Growth must keep a steady pace over so many floors for the fast lane.
const FAST_FLOORS: usize = 8;
/// A suspect has gained this part of what makes a leak.
const SUSPECT_GAIN: u64 = 4;

/// What the floors say, held against a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Assessment {
    /// No leak; the gate that the likeliest window got to.
    Quiet(Gate),
    /// It grows like a leak, but has not done so long enough.
    Suspect(Growth),
    /// It has grown like a leak for as long as its lane asks.
    Leaking(Growth),
}

/// Growth as it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Which lane it was found in.
    pub lane: Lane,
    /// What was gained, from floor to floor.
    pub gained_bytes: f64,
    /// In what time.
    pub secs: f64,
    /// The estimated rate.
    pub bytes_per_sec: f64,
    /// Its lower bound at 95 %.
    pub bytes_per_sec_low: f64,
}

/// Which way a leak was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Sustained as long as the rule asks.
    Slow,
    /// Steady for a shorter time: a leak only if it leaves little time, see [`Growth::is_urgent`].
    Fast,
}

/// Holds a history against a rule. `age_secs` is the process's age, `n_scales` what
/// [`History::observe`] returned: only scales that have just closed a block can have changed.
pub fn assess(history: &History, rule: &Rule, age_secs: f64, n_scales: usize) -> Assessment {
    let counted_secs = age_secs - rule.warm_up.secs();
    let mut furthest = Gate::Remembered;
    let mut fast = None;
    let mut suspect = None;
    for scale in 0..n_scales.min(N_SCALES) {
        let look = Look {
            history,
            rule,
            scale,
        };
        match look.window(rule.sustained, MIN_FLOORS, counted_secs, rule.min_growth) {
            Ok(rise) => return Assessment::Leaking(Growth::new(Lane::Slow, rise)),
            Err(gate) => furthest = furthest.max(gate),
        }
        fast = fast.or_else(|| {
            look.window(rule.fast.sustained, FAST_FLOORS, age_secs, rule.min_growth)
                .ok()
        });
        let some_growth = Bytes(notable_bytes(rule));
        suspect = suspect.or_else(|| {
            look.window(Span::from_secs(0), MIN_FLOORS, age_secs, some_growth)
                .ok()
        });
    }
    match (fast, suspect) {
        (Some(rise), _) => Assessment::Leaking(Growth::new(Lane::Fast, rise)),
        (None, Some(rise)) => Assessment::Suspect(Growth::new(Lane::Slow, rise)),
        (None, None) => Assessment::Quiet(furthest),
    }
}

/// The gain from which a process is worth a look under a rule.
pub fn notable_bytes(rule: &Rule) -> u64 {
    rule.min_growth.0 / SUSPECT_GAIN
}

/// One scale of a history under a rule.
struct Look<'a> {
    history: &'a History,
    rule: &'a Rule,
    scale: usize,
}

impl Look<'_> {
    /// The rise in the longest and in the shortest window of this scale that spans a time.
    ///
    /// The long one sees through noise, the short one sees what has begun lately.
    fn window(
        &self,
        sustained: Span,
        min_floors: usize,
        counted_secs: f64,
        min_gain: Bytes,
    ) -> Result<Rise, Gate> {
        let block_secs = self.history.block_secs(self.scale);
        let shortest = min_floors.max((sustained.secs() / block_secs).ceil() as usize);
        let counted = (counted_secs / block_secs).max(0.0) as usize;
        let longest = self.history.n_floors(self.scale).min(counted);
        if longest < shortest {
            return Err(Gate::Remembered);
        }
        let rise = |n_floors| {
            Window::new(self.history, self.scale, n_floors).rise(self.history, self.rule, min_gain)
        };
        rise(longest).or_else(|gate| rise(shortest).map_err(|other| gate.max(other)))
    }
}

impl Growth {
    fn new(lane: Lane, rise: Rise) -> Self {
        let Rise {
            gained_bytes,
            secs,
            bytes_per_sec,
            bytes_per_sec_low,
        } = rise;
        Self {
            lane,
            gained_bytes,
            secs,
            bytes_per_sec,
            bytes_per_sec_low,
        }
    }

    /// Whether what is left to a limit would be used up within a time, even at the lower bound.
    pub fn is_urgent(&self, headroom_bytes: u64, within: Span) -> bool {
        headroom_bytes as f64 <= self.bytes_per_sec_low * within.secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1048576.0;
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 3600.0;

    /// Deterministic noise of some KiB, as page counters have it.
    fn noise(secs: f64) -> f64 {
        let hash = (secs.to_bits() >> 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 44) as f64 / f64::from(1 << 20) * 256.0 * 1024.0
    }

    /// When a series is first taken for a leak in the slow lane of the default rule. It is sampled
    /// every 5 s and belongs to a process that has just started.
    fn found_after(length_secs: f64, bytes_at: impl Fn(f64) -> f64) -> Option<f64> {
        let rule = Rule::default();
        let mut history = History::new(5.0, 0.0, bytes_at(0.0) as u64);
        (1..(length_secs / 5.0) as u32)
            .map(|step| f64::from(step) * 5.0)
            .find(|secs| {
                let n_scales = history.observe(*secs, (bytes_at(*secs) + noise(*secs)) as u64);
                let assessment = assess(&history, &rule, *secs, n_scales);
                matches!(
                    assessment,
                    Assessment::Leaking(Growth {
                        lane: Lane::Slow,
                        ..
                    })
                )
            })
    }

    fn saw(secs: f64, period_secs: f64, height: f64) -> f64 {
        secs % period_secs / period_secs * height
    }

    #[test]
    fn leaks_are_found_in_time() {
        let check = |name: &str, within_secs: f64, bytes_at: &dyn Fn(f64) -> f64| {
            let found = found_after(6.0 * HOUR, bytes_at);
            assert!(
                found.is_some_and(|secs| secs <= within_secs),
                "{name}: {found:?}"
            );
        };
        check("1 KiB a millisecond", 21.0 * MINUTE, &|secs| {
            5.0 * MIB + secs * MIB
        });
        check("1 MiB a minute", 65.0 * MINUTE, &|secs| {
            200.0 * MIB + secs / MINUTE * MIB
        });
        check("saw with a rising floor", 90.0 * MINUTE, &|secs| {
            100.0 * MIB + saw(secs, 90.0, 100.0 * MIB) + secs / MINUTE * 2.0 * MIB
        });
        check("in steps of 10 MiB", 90.0 * MINUTE, &|secs| {
            50.0 * MIB + (secs / 300.0).floor() * 10.0 * MIB
        });
        check("after a fast start", 90.0 * MINUTE, &|secs| {
            (secs * 2.0).min(500.0) * MIB + secs / MINUTE * MIB
        });
        check("after an hour of health", 125.0 * MINUTE, &|secs| {
            300.0 * MIB + (secs - HOUR).max(0.0) / MINUTE * 2.0 * MIB
        });
    }

    #[test]
    fn health_is_no_leak() {
        let check = |name: &str, bytes_at: &dyn Fn(f64) -> f64| {
            assert_eq!(found_after(12.0 * HOUR, bytes_at), None, "{name}");
        };
        check("plateau", &|secs| {
            500.0 * MIB * (1.0 - (-secs / 400.0).exp())
        });
        check("logarithmic warm-up", &|secs| {
            40.0 * MIB * (1.0 + secs / 30.0).ln()
        });
        for period_secs in [60.0, 300.0, 600.0] {
            check("saw with a level floor", &|secs| {
                100.0 * MIB + saw(secs, period_secs, 400.0 * MIB)
            });
        }
        check("one step", &|secs| {
            if secs < 2.0 * HOUR {
                50.0 * MIB
            } else {
                550.0 * MIB
            }
        });
        check("two steps", &|secs| {
            (50.0 + (secs / (3.0 * HOUR)).floor().min(2.0) * 300.0) * MIB
        });
        check("batch job", &|secs| (secs.min(8.0 * MINUTE)) * 4.0 * MIB);
        check("slower than the rule", &|secs| {
            100.0 * MIB + secs / MINUTE * 0.3 * MIB
        });
        check("less than the rule asks", &|secs| {
            100.0 * MIB + secs.min(900.0) / MINUTE * 2.0 * MIB
        });
    }

    #[test]
    fn the_fast_lane_does_not_wait_but_asks_for_urgency() {
        let rule = Rule::default();
        let mut history = History::new(5.0, 0.0, 0);
        let fast = (1..60u32).find_map(|step| {
            let secs = f64::from(step) * 5.0;
            let n_scales = history.observe(secs, (secs * 10.0 * MIB) as u64);
            match assess(&history, &rule, secs, n_scales) {
                Assessment::Leaking(growth) => Some((secs, growth)),
                _ => None,
            }
        });
        let (secs, growth) = fast.expect("a leak of 10 MiB a second");
        assert_eq!(growth.lane, Lane::Fast);
        assert!(secs <= 90.0, "{secs}");
        let gib = |n: u64| n << 30;
        assert!(growth.is_urgent(gib(10), rule.fast.exhausts_within));
        assert!(!growth.is_urgent(gib(100), rule.fast.exhausts_within));
    }

    #[test]
    fn a_young_leak_is_a_suspect_first() {
        let rule = Rule::default();
        let mut history = History::new(5.0, 0.0, 0);
        let suspected = (1..400u32).map(|step| f64::from(step) * 5.0).find(|secs| {
            let n_scales = history.observe(*secs, (secs * 0.1 * MIB) as u64);
            matches!(
                assess(&history, &rule, *secs, n_scales),
                Assessment::Suspect(_)
            )
        });
        assert!(
            suspected.is_some_and(|secs| secs < 5.0 * MINUTE),
            "{suspected:?}"
        );
    }
}
