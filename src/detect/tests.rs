//! When growth is taken for a leak, and when it is not, over made series.

use super::*;
use crate::config::{Rule, Sustained};
use crate::quantity::{Bytes, Rate, Span};

const MIB: f64 = 1048576.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const STEP_SECS: f64 = 5.0;
/// The age of what has run since long before it was looked at.
const OLD_SECS: f64 = 1e6;
/// Ten minutes, without the part of the first block in which growth had not begun yet.
const LEAST_OF_TEN: f64 = 10.0 - 135.0 / MINUTE;

/// What a process holds by the time, in MiB.
type Shape<'a> = &'a dyn Fn(f64) -> f64;

/// Deterministic noise of up to a quarter of a MiB, as page counters have it.
fn noise_mib(secs: f64) -> f64 {
    let hash = (secs.to_bits() >> 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 44) as f64 / f64::from(1 << 20) / 4.0
}

/// Looks at a series every 5 s until something is found. The age is that at the first sample, and
/// the seconds of each later one are counted from there.
fn find<T>(
    rule: &Rule,
    age_secs: f64,
    length_secs: f64,
    mib_at: Shape<'_>,
    found: impl Fn(&Assessment, u64) -> Option<T>,
) -> Option<(f64, T)> {
    let bytes_at = |secs: f64| ((mib_at(secs) + noise_mib(secs)) * MIB) as u64;
    let mut history = History::new(STEP_SECS, 0.0, bytes_at(0.0));
    (1..(length_secs / STEP_SECS) as u32).find_map(|step| {
        let secs = f64::from(step) * STEP_SECS;
        let n_scales = history.observe(secs, bytes_at(secs));
        let assessment = assess(&history, rule, age_secs + secs, n_scales);
        found(&assessment, bytes_at(secs)).map(|found| (secs, found))
    })
}

/// The first leak in a series, with a limit if there is one.
fn leak(
    rule: &Rule,
    age_secs: f64,
    limit_mib: Option<f64>,
    hours: f64,
    mib_at: Shape<'_>,
) -> Option<(f64, Growth)> {
    let patience = Patience::new(rule, 1.0);
    find(rule, age_secs, hours * HOUR, mib_at, |assessment, bytes| {
        let headroom_bytes = limit_mib.map(|limit| ((limit * MIB) as u64).saturating_sub(bytes));
        assessment.leak(&patience, headroom_bytes)
    })
}

fn sustained_for(minutes: u64) -> Rule {
    Rule {
        sustained: Sustained::For(Span::from_mins(minutes)),
        ..Rule::default()
    }
}

/// A leak that begins after hours of something else.
fn then(secs: f64, hours: f64, mib_per_min: f64) -> f64 {
    (secs - hours * HOUR).max(0.0) / MINUTE * mib_per_min
}

fn saw(secs: f64, period_secs: f64, height_mib: f64) -> f64 {
    secs % period_secs / period_secs * height_mib
}

#[test]
fn leaks_are_found_in_time() {
    use Before::{Calm, Quiet, Restless, Start, Unknown};
    type Case<'a> = (
        &'a str,
        f64,
        Option<f64>,
        f64,
        (f64, f64),
        Option<Before>,
        Shape<'a>,
    );
    // Of each: the age at the first sample, a limit, when it begins to leak in hours, how many
    // minutes it takes from there, and what is known of the time before. How long it has lasted is
    // told by a window that may begin before it.
    let cases: [Case<'_>; 14] = [
        (
            "old, 1 MiB a minute",
            OLD_SECS,
            None,
            0.0,
            (45.0, 50.0),
            Some(Unknown),
            &|secs| 200.0 + then(secs, 0.0, 1.0),
        ),
        (
            "old, 1 MiB a second",
            OLD_SECS,
            None,
            0.0,
            (45.0, 50.0),
            Some(Unknown),
            &|secs| 200.0 + secs,
        ),
        (
            "since its start",
            0.0,
            None,
            0.0,
            (80.0, 100.0),
            Some(Start),
            &|secs| 5.0 + then(secs, 0.0, 1.0),
        ),
        (
            "out of 5 h of quiet",
            OLD_SECS,
            None,
            5.0,
            (LEAST_OF_TEN, 20.0),
            Some(Quiet),
            &|secs| 300.0 + then(secs, 5.0, 2.0),
        ),
        (
            "out of 5 h of quiet, large",
            OLD_SECS,
            None,
            5.0,
            (LEAST_OF_TEN, 30.0),
            Some(Quiet),
            &|secs| 1500.0 + then(secs, 5.0, 2.0),
        ),
        (
            "two hours after a step",
            OLD_SECS,
            None,
            6.0,
            (46.0, 75.0),
            Some(Calm),
            &|secs| then(secs, 6.0, 2.0) + if secs < 4.0 * HOUR { 50.0 } else { 350.0 },
        ),
        (
            "level for two hours",
            OLD_SECS,
            None,
            2.0,
            (46.0, 75.0),
            Some(Calm),
            &|secs| 300.0 + then(secs, 2.0, 2.0),
        ),
        (
            "among ups and downs",
            OLD_SECS,
            None,
            5.0,
            (150.0, 230.0),
            // It is not told: of the hour before so long a window, no floor is left.
            None,
            &|secs| 300.0 + saw(secs, 300.0, 120.0) + then(secs, 5.0, 2.0),
        ),
        (
            "saw with a rising floor",
            OLD_SECS,
            None,
            0.0,
            (45.0, 75.0),
            Some(Unknown),
            &|secs| 100.0 + saw(secs, 90.0, 100.0) + then(secs, 0.0, 2.0),
        ),
        (
            "in steps of 10 MiB",
            OLD_SECS,
            None,
            0.0,
            (45.0, 75.0),
            Some(Unknown),
            &|secs| 50.0 + (secs / 300.0).floor() * 10.0,
        ),
        (
            "after a fast start",
            0.0,
            None,
            0.0,
            (80.0, 200.0),
            Some(Start),
            &|secs| (secs * 2.0).min(500.0) + then(secs, 0.0, 1.0),
        ),
        // In half of the time to the limit it has lasted for as long as it leaves.
        (
            "an hour from a limit",
            OLD_SECS,
            Some(800.0),
            0.0,
            (29.0, 35.0),
            Some(Restless),
            &|secs| 200.0 + then(secs, 0.0, 10.0),
        ),
        // A fourth of what is left is enough in the fast lane.
        (
            "ten minutes from a limit",
            OLD_SECS,
            Some(800.0),
            0.0,
            (1.9, 3.5),
            Some(Unknown),
            &|secs| 200.0 + secs,
        ),
        (
            "far from a limit",
            OLD_SECS,
            Some(1e6),
            0.0,
            (45.0, 50.0),
            Some(Unknown),
            &|secs| 200.0 + then(secs, 0.0, 10.0),
        ),
    ];
    let rule = Rule::default();
    for (name, age_secs, limit_mib, begin_hours, (least, most), before, mib_at) in cases {
        let found = leak(&rule, age_secs, limit_mib, begin_hours + 6.0, mib_at);
        let (secs, growth) = found.unwrap_or_else(|| panic!("{name}: not found"));
        let minutes = (secs - begin_hours * HOUR) / MINUTE;
        assert!(
            (least..=most).contains(&minutes),
            "{name}: {minutes}, {growth:?}"
        );
        assert!(
            before.is_none_or(|before| growth.before == before),
            "{name}: {growth:?}"
        );
    }
}

#[test]
fn a_time_that_is_asked_for_is_kept() {
    for minutes in [10u64, 20, 45, 60, 90, 120] {
        for age_secs in [0.0, OLD_SECS] {
            let found = leak(&sustained_for(minutes), age_secs, None, 6.0, &|secs| {
                200.0 + then(secs, 0.0, 2.0)
            });
            let (secs, growth) = found.expect("a leak");
            // The warm-up of the rule comes before. The windows of 90 minutes are the coarsest for
            // their length: six floors of twenty minutes, as twelve of seven are too short.
            let warm_up = if age_secs > 0.0 { 0.0 } else { 5.0 };
            let least = minutes as f64 + warm_up;
            let lasted = (least..=least * 1.5 + 6.0).contains(&(secs / MINUTE));
            assert!(lasted, "{minutes} min: {}, {growth:?}", secs / MINUTE);
            assert!(growth.lasted_secs >= minutes as f64 * MINUTE, "{growth:?}");
        }
    }
}

#[test]
fn health_is_no_leak() {
    let cases: [(&str, Shape<'_>); 12] = [
        ("level", &|_| 500.0),
        ("plateau", &|secs| 500.0 * (1.0 - (-secs / 400.0).exp())),
        ("logarithmic warm-up", &|secs| {
            40.0 * (1.0 + secs / 30.0).ln()
        }),
        ("saw of a minute", &|secs| 100.0 + saw(secs, 60.0, 400.0)),
        ("saw of five", &|secs| 100.0 + saw(secs, 300.0, 400.0)),
        ("saw of ten", &|secs| 100.0 + saw(secs, 600.0, 400.0)),
        ("one step", &|secs| {
            if secs < 2.0 * HOUR { 50.0 } else { 550.0 }
        }),
        ("steps", &|secs| {
            50.0 + (secs / (3.0 * HOUR)).floor().min(2.0) * 300.0
        }),
        ("batch of 8 minutes", &|secs| secs.min(8.0 * MINUTE) * 4.0),
        ("a batch of 4 minutes after hours", &|secs| {
            100.0 + (secs - 5.0 * HOUR).clamp(0.0, 4.0 * MINUTE) * 4.0
        }),
        ("slower than the rule", &|secs| {
            100.0 + then(secs, 0.0, 0.09)
        }),
        ("less than the rule asks", &|secs| {
            100.0 + secs.min(HOUR) / HOUR * 9.0
        }),
    ];
    let of_minutes = Rule {
        growth: Rate::per_minute(Bytes(512 << 10)),
        min_growth: Bytes(32 << 20),
        ..sustained_for(10)
    };
    for (name, mib_at) in cases {
        for age_secs in [0.0, OLD_SECS] {
            for rule in [&Rule::default(), &of_minutes] {
                let found = leak(rule, age_secs, None, 12.0, mib_at);
                assert_eq!(found, None, "{name}, {} {age_secs}", rule.sustained);
            }
        }
    }
}

/// What `auto` is for: over ten minutes such a cache is a leak.
#[test]
fn what_fills_up_slowly_is_told_by_patience() {
    let mib_at = |secs: f64| 100.0 + 500.0 * (1.0 - (-secs / 1500.0).exp());
    for (rule, is_found) in [(sustained_for(10), true), (Rule::default(), false)] {
        for age_secs in [0.0, OLD_SECS] {
            let found = leak(&rule, age_secs, None, 12.0, &mib_at);
            assert_eq!(found.is_some(), is_found, "{age_secs}: {found:?}");
        }
    }
}

#[test]
fn the_fast_lane_does_not_wait_but_asks_for_urgency() {
    let rule = Rule::default();
    let fast = find(&rule, 0.0, HOUR, &|secs| secs * 10.0, |assessment, _| {
        assessment.fast
    });
    let (secs, growth) = fast.expect("a leak of 10 MiB a second");
    assert!(secs <= 90.0, "{secs}");
    assert_eq!(growth.lane, Lane::Fast);
    let needed_secs = |gib: u64| Patience::new(&rule, 1.0).needed_secs(&growth, Some(gib << 30));
    assert!(needed_secs(10) < 300.0, "{}", needed_secs(10));
    assert_eq!(needed_secs(100), f64::INFINITY);
}

#[test]
fn a_young_leak_is_a_suspect_first() {
    let suspected = find(
        &Rule::default(),
        0.0,
        HOUR,
        &|secs| secs * 0.1,
        |assessment, _| (assessment.is_suspect && !assessment.grows()).then_some(()),
    );
    assert!(
        suspected.is_some_and(|(secs, ())| secs < 5.0 * MINUTE),
        "{suspected:?}"
    );
}

#[test]
fn patience_goes_by_what_is_known() {
    use Before::{Calm, Quiet, Restless, Start, Unknown};
    use Lane::{Fast, Slow, Sudden};
    const NEVER: f64 = f64::INFINITY;
    // At a MiB a second, and so in minutes to the limit: far, half a day, an hour, a quarter.
    let minutes_left = [None, Some(720), Some(60), Some(15), Some(4)];
    // Then the minutes that growth must last, for each of these; under `auto`, and with the factor.
    for (lane, before, factor, expected) in [
        (Slow, Quiet, 1.0, [10.0, 10.0, 10.0, 10.0, 10.0]),
        (Slow, Unknown, 1.0, [45.0, 45.0, 45.0, 15.0, 10.0]),
        (Slow, Calm, 1.0, [60.0, 60.0, 60.0, 15.0, 10.0]),
        (Slow, Start, 1.0, [80.0, 80.0, 60.0, 15.0, 10.0]),
        (Slow, Restless, 1.0, [180.0, 180.0, 60.0, 15.0, 10.0]),
        (Slow, Restless, 0.5, [90.0, 90.0, 60.0, 15.0, 10.0]),
        (Slow, Restless, 4.0, [720.0, 720.0, 60.0, 15.0, 10.0]),
        (Slow, Quiet, 0.5, [10.0, 10.0, 10.0, 10.0, 10.0]),
        (Slow, Quiet, 4.0, [40.0, 40.0, 40.0, 15.0, 10.0]),
        (Sudden, Quiet, 1.0, [10.0, 10.0, 10.0, 10.0, 10.0]),
        (Sudden, Quiet, 0.5, [10.0, 10.0, 10.0, 10.0, 10.0]),
        (Sudden, Quiet, 4.0, [40.0, 40.0, 40.0, 40.0, 40.0]),
        (Fast, Unknown, 1.0, [NEVER, NEVER, NEVER, 3.75, 1.0]),
        (Fast, Restless, 4.0, [NEVER, NEVER, NEVER, 3.75, 1.0]),
    ] {
        let growth = Growth {
            lane,
            gained_bytes: 100.0 * MIB,
            secs: 95.0,
            lasted_secs: 100.0,
            bytes_per_sec: Slope {
                low: MIB,
                median: 2.0 * MIB,
                high: 3.0 * MIB,
            },
            before,
        };
        let needed = |rule: &Rule| {
            let patience = Patience::new(rule, factor);
            minutes_left.map(|minutes: Option<u64>| {
                let headroom_bytes = minutes.map(|minutes| (minutes * 60) << 20);
                patience.needed_secs(&growth, headroom_bytes) / MINUTE
            })
        };
        let case = format!("{lane:?} {before:?} {factor}");
        assert_eq!(needed(&Rule::default()), expected, "{case}");
        // A time that is asked for depends on the past alone, and is not made less.
        let asked = match lane {
            Fast => [NEVER, NEVER, NEVER, 0.0, 0.0],
            Slow | Sudden => [20.0 * factor.max(1.0); 5],
        };
        assert_eq!(needed(&sustained_for(20)), asked, "{case}");
    }
}

/// One sample a block that comes half a second early or late, wherever in the block it began.
#[test]
fn samples_at_the_edges_of_blocks_are_not_lost() {
    const BLOCK_SECS: f64 = 300.0;
    const N_KEPT: usize = 12;
    for phase_secs in [0.0, 75.0, 149.5, 150.0, 150.5, 225.0] {
        let mut history = History::new(BLOCK_SECS, 0.0, 0);
        let mut n_before = 0;
        for sample in 1..100u32 {
            let jitter_secs = f64::from(sample * 7 % 11) / 10.0 - 0.5;
            let secs = phase_secs + f64::from(sample) * BLOCK_SECS + jitter_secs;
            history.observe(secs, u64::from(sample) << 20);
            let n_floors = (history.age_secs() / BLOCK_SECS).round() as u32;
            // The blocks move to where the samples are, by a part of themselves at each.
            if sample >= 20 {
                assert_eq!(n_floors, n_before + 1, "{phase_secs}: {sample}");
                let floors: Vec<u32> = history.floors(0, N_KEPT).collect();
                let samples: Vec<u32> = (sample - 11..=sample).map(|mib| mib << 10).collect();
                assert_eq!(floors, samples, "{phase_secs}");
            }
            n_before = n_floors;
        }
    }
}

/// A small rise long ago, which slowed down, tells nothing of a leak that begins now.
#[test]
fn an_ancient_small_rise_does_not_veto_a_leak() {
    let mut history = History::new(STEP_SECS, 0.0, 300 << 20);
    let rule = Rule::default();
    let patience = Patience::new(&rule, 1.0);
    let found = (1..31 * 720u32).find(|step| {
        let secs = f64::from(*step) * STEP_SECS;
        let ancient_kib = (secs / (10.0 * HOUR)).min(1.0) * 24.0;
        let mib = 300.0 + ancient_kib / 1024.0 + then(secs, 30.0, 2.0);
        let n_scales = history.observe(secs, (mib * MIB) as u64);
        let assessment = assess(&history, &rule, OLD_SECS + secs, n_scales);
        assessment.leak(&patience, None).is_some()
    });
    let minutes = found.map(|step| f64::from(step) / 12.0 - 30.0 * 60.0);
    assert!(
        minutes.is_some_and(|minutes| (LEAST_OF_TEN..20.0).contains(&minutes)),
        "{minutes:?}"
    );
}
