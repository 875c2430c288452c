//! How long the probes are in a process and how long they are out, so that they cost no more than
//! the ceiling. Pure: a table of tests is all there is to it.

use std::time::Duration;

use crate::quantity::Share;

/// The shortest time for which probes are in: attaching them costs time as well.
const SHORTEST: Duration = Duration::from_secs(1);
/// How often they come in where there is room for longer than that.
const PERIOD: Duration = Duration::from_secs(10);
/// However much they cost, they come in again after this time.
const LONGEST_OUT: Duration = Duration::from_secs(600);

/// Probes are in for a time, then out for a time, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    /// How long they are in.
    pub on: Duration,
    /// How long they are out; zero is never.
    pub off: Duration,
}

impl Windows {
    /// From what the probes cost the process while they are in, in seconds a second, and from what
    /// it uses of a CPU by itself, in seconds a second. What they have cost above the ceiling so
    /// far, in seconds, is paid back first: a process is not always as busy as it is now.
    pub fn within(ceiling: Share, cost: f64, cpu: f64, owed_secs: f64) -> Self {
        let allowed = ceiling.fraction() * cpu.max(0.0);
        if cost <= allowed && owed_secs <= 0.0 {
            return Self {
                on: PERIOD,
                off: Duration::ZERO,
            };
        }
        let duty = (allowed / cost).min(1.0);
        let on = PERIOD.mul_f64(duty).max(SHORTEST);
        let whole = if duty > 0.0 {
            on.as_secs_f64() / duty
        } else {
            f64::INFINITY
        };
        let pay_back = owed_secs.max(0.0) / allowed.max(f64::MIN_POSITIVE);
        let off = (whole - on.as_secs_f64())
            .max(pay_back)
            .min(LONGEST_OUT.as_secs_f64());
        Self {
            on,
            off: Duration::from_secs_f64(off),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_decides() {
        let second = 1000;
        // Ceiling in percent, cost and CPU in milliseconds a second; milliseconds in and out.
        for (ceiling, cost, cpu, on, off) in [
            // Below the ceiling they stay.
            (1.0, 0.0, 0.0, 10 * second, 0),
            (1.0, 0.0, 500.0, 10 * second, 0),
            (1.0, 4.9, 500.0, 10 * second, 0),
            (1.0, 10.0, 1000.0, 10 * second, 0),
            // Above it, longer out the more they cost.
            (1.0, 12.5, 1000.0, 8 * second, 2 * second),
            (1.0, 20.0, 1000.0, 5 * second, 5 * second),
            (1.0, 100.0, 1000.0, second, 9 * second),
            (1.0, 1000.0, 1000.0, second, 99 * second),
            // More threads use more, and may pay more.
            (1.0, 1000.0, 4000.0, second, 24 * second),
            (5.0, 1000.0, 1000.0, second, 19 * second),
            // One that uses next to nothing by itself is hardly touched, but it is.
            (1.0, 1.0, 0.01, second, 600 * second),
            (1.0, 1.0, 0.0, second, 600 * second),
        ] {
            let windows = Windows::within(Share::percent(ceiling), cost / 1e3, cpu / 1e3, 0.0);
            let millis = |time: Duration| (time.as_secs_f64() * 1e3).round() as u64;
            assert_eq!(
                (millis(windows.on), millis(windows.off)),
                (on, off),
                "{ceiling} {cost} {cpu}"
            );
        }
    }

    #[test]
    fn bursts_are_paid_back() {
        // Busy for ten seconds a minute, in which the probes cost half a CPU. Each window decides
        // by what it has seen, and what it has seen may be the quiet before a burst.
        let (mut secs, mut spent_secs, mut owed_secs) = (0.0, 0.0, 0.0);
        let cost_at = |secs: f64| if secs % 60.0 < 10.0 { 0.5 } else { 0.0 };
        let cpu = 10.0 / 60.0;
        while secs < 6.0 * 3600.0 {
            let windows = Windows::within(Share::percent(1.0), cost_at(secs), cpu, owed_secs);
            let on_secs = windows.on.as_secs_f64();
            let cost: f64 = (0..10)
                .map(|i| cost_at(secs + on_secs * f64::from(i) / 10.0))
                .sum();
            spent_secs += cost / 10.0 * on_secs;
            let whole_secs = on_secs + windows.off.as_secs_f64();
            owed_secs = (owed_secs + cost / 10.0 * on_secs - 0.01 * cpu * whole_secs).max(-6.0);
            secs += whole_secs;
        }
        assert!(
            spent_secs / secs <= 0.0125 * cpu,
            "{}",
            spent_secs / secs / cpu
        );
    }

    #[test]
    fn over_time_no_more_than_the_ceiling_is_spent() {
        for cost in [0.001, 0.01, 0.1, 1.0, 3.0] {
            for cpu in [0.05, 0.3, 1.0, 2.0] {
                let Windows { on, off } = Windows::within(Share::percent(1.0), cost, cpu, 0.0);
                let spent = cost * on.as_secs_f64() / (on + off).as_secs_f64();
                let allowed = 0.01 * cpu;
                assert!(
                    spent <= allowed * 1.001 || off == LONGEST_OUT,
                    "{cost} {cpu}: {spent}"
                );
            }
        }
    }
}
