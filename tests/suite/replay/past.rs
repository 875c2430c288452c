//! What a unit did before its restart shortens or lengthens suspicion after it.

use super::{HOUR, MIB, MINUTE, Series, TEN_MINUTES, of, pid, replay, replay_under, secs};

/// A run of a unit's program that gains so many MiB a minute up to a height.
fn run(
    pid: u32,
    unit: &str,
    during: std::ops::Range<f64>,
    mib_per_min: f64,
    mib: f64,
) -> Series<'_> {
    let holds = move |secs: f64| {
        let grown = (secs - during.start) / MINUTE * mib_per_min;
        during.contains(&secs).then_some(grown.min(mib) * MIB)
    };
    Series {
        unit,
        comm: "server".to_owned(),
        ..Series::new(pid, holds)
    }
}

/// Filled up in four minutes, and level for two hours.
fn healthy(unit: &str) -> Series<'_> {
    run(7, unit, 10.0 * MINUTE..2.5 * HOUR, 150.0, 600.0)
}

#[test]
fn what_fills_up_as_before_is_no_leak() {
    let slower = || run(8, "web.service", 2.5 * HOUR..5.0 * HOUR, 25.0, 600.0);
    let alerts = replay_under(TEN_MINUTES, &[healthy("web.service"), slower()], 5.0 * HOUR);
    assert!(alerts.is_empty(), "{alerts:?}");

    // Another unit's past says nothing of it, and neither does none.
    let other = replay_under(TEN_MINUTES, &[healthy("api.service"), slower()], 5.0 * HOUR);
    assert_eq!(of(&other, "raised").len(), 1, "{other:?}");
    let alone = replay_under(TEN_MINUTES, &[slower()], 5.0 * HOUR);
    assert_eq!(of(&alone, "raised").len(), 1, "{alone:?}");
}

#[test]
fn what_goes_on_above_its_past_plateau_is_one() {
    let leak = run(8, "web.service", 2.5 * HOUR..5.0 * HOUR, 25.0, 1e6);
    let alerts = replay_under(TEN_MINUTES, &[healthy("web.service"), leak], 5.0 * HOUR);
    let raised = of(&alerts, "raised");
    assert_eq!(raised.len(), 1, "{alerts:?}");
    // 600 MiB and a tenth of that, at 25 MiB a minute.
    let after_mins = (secs(raised[0]) - 2.5 * HOUR) / MINUTE;
    assert!((26.0..30.0).contains(&after_mins), "{after_mins}");
}

/// Half of the time that growth since a start must last is enough then.
#[test]
fn a_program_that_leaked_before_is_found_sooner() {
    let leak = |pid, start: f64| run(pid, "web.service", start..start + 3.0 * HOUR, 25.0, 1e6);
    let (first, second) = (10.0 * MINUTE, 4.0 * HOUR);
    let alerts = replay(&[leak(7, first), leak(8, second)], 7.0 * HOUR);
    let raised = of(&alerts, "raised");
    assert_eq!(raised.len(), 2, "{alerts:?}");
    assert_eq!((pid(raised[0]), pid(raised[1])), (7, 8));
    let after_mins = [secs(raised[0]) - first, secs(raised[1]) - second].map(|secs| secs / MINUTE);
    assert!((80.0..95.0).contains(&after_mins[0]), "{after_mins:?}");
    assert!((40.0..60.0).contains(&after_mins[1]), "{after_mins:?}");
}

/// A leak by day that rests at night gets no plateau by it, the longer it goes on.
#[test]
fn a_pause_is_no_plateau() {
    let steps = |start: f64| {
        move |secs: f64| {
            // Two hours of growth, one of rest.
            let hours = (secs - start) / HOUR;
            let grown = (hours / 3.0).floor() * 2.0 + (hours % 3.0).min(2.0);
            (start..start + 12.0 * HOUR)
                .contains(&secs)
                .then_some(grown * 60.0 * 0.4 * MIB)
        }
    };
    let start = 10.0 * MINUTE;
    let paused = Series {
        unit: "web.service",
        comm: "server".to_owned(),
        ..Series::new(7, steps(start))
    };
    let leak = || run(8, "web.service", 13.0 * HOUR..14.0 * HOUR, 4.0, 1e6);
    let with = replay_under(TEN_MINUTES, &[paused, leak()], 14.0 * HOUR);
    let without = replay_under(TEN_MINUTES, &[leak()], 14.0 * HOUR);
    let found = |alerts: &[serde_json::Value]| {
        of(alerts, "raised")
            .iter()
            .map(|a| secs(a))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&with), found(&without));
}

/// What fills up as before must last four times as long: it may take its time.
#[test]
fn the_default_lets_fill_up_as_before() {
    let slower = || run(8, "web.service", 3.0 * HOUR..9.0 * HOUR, 2.0, 600.0);
    let alerts = replay(&[healthy("web.service"), slower()], 9.0 * HOUR);
    assert!(alerts.is_empty(), "{alerts:?}");
    let alone = replay(&[slower()], 9.0 * HOUR);
    assert_eq!(of(&alone, "raised").len(), 1, "{alone:?}");
}
