//! What is a leak and what is not: series as real programs have them, sampled every 5 s, each
//! several times with other noise, another phase and another process.

use super::{
    HOUR, INTERVAL, MIB, MINUTE, Series, TEN_MINUTES, alerts, of, pid, replay, replay_under, run,
    run_under, secs, table,
};

/// So many processes have each shape.
const N_EACH: u32 = 12;
const FIRST_PID: u32 = 1000;

/// A shape: what a process holds at a time since it was started. Its phase is from 0.0 to 1.0.
type Shape<'a> = dyn Fn(f64, f64) -> Option<f64> + 'a;

/// Several processes of a shape, which start one after the other in the first minutes.
fn several<'a>(shape: &'a Shape<'_>) -> Vec<Series<'a>> {
    let one = |n: u32| {
        let start_secs = start_secs(FIRST_PID + n);
        let phase = f64::from(n) / f64::from(N_EACH);
        Series::new(FIRST_PID + n, move |secs| {
            (secs >= start_secs).then(|| shape(secs - start_secs, phase))?
        })
    };
    (0..N_EACH).map(one).collect()
}

fn start_secs(pid: u32) -> f64 {
    f64::from(pid % 4) * 7.0 * INTERVAL
}

/// Each process is found once, in time, and its alert stands until it ends.
fn is_found(name: &str, length_secs: f64, within_secs: f64, shape: impl Fn(f64, f64) -> f64) {
    let shape = |secs: f64, phase: f64| (secs < length_secs).then(|| shape(secs, phase));
    let alerts = replay(&several(&shape), length_secs + 10.0 * MINUTE);
    let raised = of(&alerts, "raised");
    let mut pids: Vec<_> = raised.iter().map(|alert| pid(alert)).collect();
    pids.sort_unstable();
    assert_eq!(
        pids,
        (FIRST_PID..FIRST_PID + N_EACH).collect::<Vec<_>>(),
        "{name}"
    );
    for alert in raised {
        let after_secs = secs(alert) - start_secs(pid(alert));
        assert!(after_secs <= within_secs, "{name}: after {after_secs} s");
        assert_eq!(alert["comm"], format!("process-{}", pid(alert)));
        let rate = alert["growth_bytes_per_sec"].as_f64();
        assert!(
            alert["growth_bytes_per_sec_low"].as_f64() <= rate,
            "{name}: {alert}"
        );
    }
    for alert in of(&alerts, "cleared") {
        assert_eq!(alert["reason"], "exited", "{name}: {alert}");
    }
}

/// Nothing is said, neither by default nor by a rule that asks for ten minutes in any case.
fn is_quiet_if(name: &str, length_secs: f64, shape: &Shape<'_>) {
    let table = table(&several(shape), length_secs);
    let outputs = [
        ("by default", run(table.as_bytes())),
        ("ten minutes", run_under(TEN_MINUTES, table.as_bytes())),
    ];
    for (rule, output) in outputs {
        let alerts = alerts(&output);
        let raised: Vec<_> = of(&alerts, "raised")
            .iter()
            .map(|alert| (pid(alert) - FIRST_PID, secs(alert)))
            .collect();
        assert!(alerts.is_empty(), "{name}, {rule}: (number, at) {raised:?}");
    }
}

fn is_quiet(name: &str, length_secs: f64, shape: impl Fn(f64, f64) -> f64) {
    is_quiet_if(name, length_secs, &|secs, phase| Some(shape(secs, phase)));
}

fn saw(secs: f64, phase: f64, period_secs: f64, height: f64) -> f64 {
    (secs / period_secs + phase).fract() * height
}

/// What grows since its start must last for an hour and a half; windows are of some lengths only.
#[test]
fn a_leak_is_found() {
    let leak = 1024.0 * 1000.0;
    is_found(
        "1 KiB a millisecond",
        3.0 * HOUR,
        145.0 * MINUTE,
        |secs, _| 5.0 * MIB + secs * leak,
    );
    is_found("1 MiB a minute", 3.0 * HOUR, 145.0 * MINUTE, |secs, _| {
        200.0 * MIB + secs / MINUTE * MIB
    });
}

/// Every alert of a process that begins to leak after a quiet time: how many minutes after that.
fn found_after_mins(
    start_secs: f64,
    quiet_hours: f64,
    left_mins: Option<f64>,
    length_hours: f64,
) -> Vec<f64> {
    let leak_secs = start_secs + quiet_hours * HOUR;
    let holds = move |secs: f64| {
        let grown = (secs - leak_secs).max(0.0) / MINUTE * 5.0 * MIB;
        (secs >= start_secs).then_some(200.0 * MIB + grown)
    };
    let leak = Series {
        limit_bytes: left_mins.map(|mins| (200.0 + 5.0 * mins) * MIB),
        ..Series::new(7, holds)
    };
    let alerts = replay(&[leak], length_hours * HOUR);
    let raised = of(&alerts, "raised");
    raised
        .iter()
        .map(|alert| (secs(alert) - leak_secs) / MINUTE)
        .collect()
}

/// The more of a process was seen before it began to leak, the sooner that is told from work.
#[test]
fn how_long_a_leak_must_last_depends_on_what_was_before() {
    let cases = [
        ("since its start", 10.0, 0.0, 80.0..95.0),
        ("since it is looked at, of any age", 0.0, 0.0, 45.0..50.0),
        ("after calm", 10.0, 1.5, 55.0..95.0),
        ("after two hours", 10.0, 2.0, 55.0..95.0),
        // The block in which it began counts from its beginning.
        ("after quiet", 10.0, 5.0, 8.0..15.0),
    ];
    for (name, start_mins, quiet_hours, within_mins) in cases {
        let found = found_after_mins(start_mins * MINUTE, quiet_hours, None, quiet_hours + 3.0);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(within_mins.contains(&found[0]), "{name}: {found:?}");
    }
}

/// Growth must last no longer than what it leaves, and of little time a quarter is enough.
#[test]
fn a_limit_makes_a_leak_be_found_in_time() {
    for (left_mins, within_mins) in [
        (40.0, 10.0..15.0),
        (60.0, 30.0..35.0),
        (100.0, 45.0..60.0),
        (200.0, 80.0..95.0),
    ] {
        let found = found_after_mins(10.0 * MINUTE, 0.0, Some(left_mins), 4.0);
        assert_eq!(found.len(), 1, "{left_mins} min: {found:?}");
        assert!(
            within_mins.contains(&found[0]),
            "{left_mins} min: {found:?}"
        );
    }
}

#[test]
fn a_leak_under_a_saw_is_found() {
    is_found(
        "saw with a rising floor",
        4.0 * HOUR,
        150.0 * MINUTE,
        |secs, phase| {
            200.0 * MIB + saw(secs, phase, MINUTE, 100.0 * MIB) + secs / MINUTE * 2.0 * MIB
        },
    );
}

#[test]
fn the_rate_of_a_leak_is_measured() {
    let leak = [Series::new(9, |secs| {
        Some(5.0 * MIB + secs * 1024.0 * 1000.0)
    })];
    let alerts = replay_under(TEN_MINUTES, &leak, 40.0 * MINUTE);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    for key in ["growth_bytes_per_sec", "growth_bytes_per_sec_low"] {
        let rate = alerts[0][key].as_f64().expect("is a number");
        assert!(
            (0.97..1.03).contains(&(rate / 1_024_000.0)),
            "{key} = {rate}"
        );
    }
    // What it holds and has gained, in figures that fit each other.
    let number = |key: &str| alerts[0][key].as_f64().expect("is a number");
    let expected = 5.0 * MIB + secs(&alerts[0]) * 1_024_000.0;
    assert!((number("bytes") - expected).abs() < MIB, "{}", alerts[0]);
    assert!(
        (32.0 * MIB..=number("bytes")).contains(&number("growth_bytes")),
        "{}",
        alerts[0]
    );
}

#[test]
fn a_plateau_is_quiet() {
    // From half of it after 2.5 min to 95 % after 20 min.
    for tau in [220.0, 300.0, 400.0] {
        is_quiet(&format!("plateau, {tau} s"), 6.0 * HOUR, |secs, _| {
            500.0 * MIB * (1.0 - (-secs / tau).exp())
        });
    }
}

#[test]
fn a_saw_with_a_level_floor_is_quiet() {
    for period_secs in [MINUTE, 5.0 * MINUTE, 10.0 * MINUTE] {
        for height in [100.0 * MIB, 1000.0 * MIB] {
            is_quiet(
                &format!("saw, {period_secs} s"),
                8.0 * HOUR,
                |secs, phase| 200.0 * MIB + saw(secs, phase, period_secs, height),
            );
        }
    }
}

#[test]
fn one_step_is_quiet() {
    for at_secs in [7.0 * MINUTE, HOUR, 3.0 * HOUR] {
        is_quiet("step", 5.0 * HOUR, |secs, phase| {
            200.0 * MIB
                + if secs > at_secs + phase * 20.0 * MINUTE {
                    500.0 * MIB
                } else {
                    0.0
                }
        });
    }
}

#[test]
fn two_steps_are_quiet() {
    for apart_secs in [2.0 * MINUTE, 10.0 * MINUTE, 30.0 * MINUTE, HOUR, 2.0 * HOUR] {
        is_quiet(
            &format!("two steps, {apart_secs} s apart"),
            6.0 * HOUR,
            |secs, phase| {
                let first_secs = HOUR + phase * 20.0 * MINUTE;
                let n_steps = [first_secs, first_secs + apart_secs]
                    .iter()
                    .filter(|at| secs > **at)
                    .count();
                200.0 * MIB + n_steps as f64 * 500.0 * MIB
            },
        );
    }
}

#[test]
fn three_steps_are_quiet() {
    for apart_secs in [5.0 * MINUTE, 10.0 * MINUTE, 30.0 * MINUTE, HOUR, 2.0 * HOUR] {
        is_quiet(
            &format!("three steps, {apart_secs} s apart"),
            8.0 * HOUR,
            |secs, phase| {
                let since = secs - HOUR - phase * 20.0 * MINUTE;
                let n_steps = if since < 0.0 {
                    0.0
                } else {
                    (since / apart_secs).floor() + 1.0
                };
                200.0 * MIB + n_steps.min(3.0) * 300.0 * MIB
            },
        );
    }
}

/// A ramp that is over before the ten minutes that the rule asks for.
#[test]
fn a_short_rise_after_health_is_quiet() {
    for (ramp_secs, quiet_secs) in [MINUTE, 3.0 * MINUTE, 5.0 * MINUTE]
        .into_iter()
        .flat_map(|ramp_secs| [(ramp_secs, HOUR), (ramp_secs, 5.0 * HOUR)])
    {
        is_quiet(
            &format!("ramp of {ramp_secs} s after {quiet_secs} s"),
            quiet_secs + 4.0 * HOUR,
            |secs, phase| {
                let since = secs - quiet_secs - phase * 20.0 * MINUTE;
                200.0 * MIB + (since / ramp_secs).clamp(0.0, 1.0) * 500.0 * MIB
            },
        );
    }
}

/// Whoever begins to work after some hours warms up then.
#[test]
fn a_warm_up_after_health_is_quiet() {
    for quiet_secs in [HOUR, 5.0 * HOUR] {
        let since = |secs: f64, phase: f64| (secs - quiet_secs - phase * 20.0 * MINUTE).max(0.0);
        is_quiet("late plateau", quiet_secs + 5.0 * HOUR, |secs, phase| {
            100.0 * MIB + 500.0 * MIB * (1.0 - (-since(secs, phase) / 240.0).exp())
        });
        is_quiet("late logarithm", quiet_secs + 7.0 * HOUR, |secs, phase| {
            (50.0 + 60.0 * (1.0 + since(secs, phase) / MINUTE).ln()) * MIB
        });
    }
}

#[test]
fn a_batch_job_is_quiet() {
    is_quiet_if("batch", 2.0 * HOUR, &|secs, phase| {
        let since = secs - phase * HOUR;
        (0.0..8.0 * MINUTE)
            .contains(&since)
            .then(|| 10.0 * MIB + since / (8.0 * MINUTE) * 2048.0 * MIB)
    });
}

#[test]
fn an_end_is_quiet() {
    is_quiet_if("exit", 2.0 * HOUR, &|secs, phase| {
        (secs < HOUR + phase * MINUTE).then_some(300.0 * MIB)
    });
}

#[test]
fn a_logarithmic_warm_up_is_quiet() {
    is_quiet("logarithm", 8.0 * HOUR, |secs, _| {
        (50.0 + 60.0 * (1.0 + secs / MINUTE).ln()) * MIB
    });
}

#[test]
fn a_step_across_a_gap_is_quiet() {
    is_quiet_if("gap", 9.0 * HOUR, &|secs, phase| {
        let since = secs - HOUR - phase * MINUTE;
        (!(0.0..4.0 * HOUR).contains(&since)).then_some(if since < 0.0 {
            300.0 * MIB
        } else {
            1000.0 * MIB
        })
    });
}
