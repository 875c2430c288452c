//! How alerts begin, go on and end with the processes that they are about.

use serde_json::{Value, json};

use super::{
    HOUR, MIB, MINUTE, Series, TEN_MINUTES, alerts, of, pid, replay, replay_under, run_under, secs,
    table,
};

/// Grows by so many MiB a minute while it is there.
fn leak(pid: u32, mib_per_min: f64, during: std::ops::Range<f64>) -> Series<'static> {
    Series::new(pid, move |secs| {
        let grown = (secs - during.start) / MINUTE * mib_per_min * MIB;
        during.contains(&secs).then_some(50.0 * MIB + grown)
    })
}

fn changes(alerts: &[Value]) -> Vec<&str> {
    alerts
        .iter()
        .map(|alert| alert["change"].as_str().expect("is text"))
        .collect()
}

#[test]
fn a_process_that_vanishes_clears_its_alert() {
    let alerts = replay_under(TEN_MINUTES, &[leak(7, 20.0, 0.0..HOUR)], 2.0 * HOUR);
    assert_eq!(changes(&alerts), ["raised", "cleared"]);
    assert_eq!(alerts[1]["reason"], "exited");
    assert!(
        (HOUR..HOUR + 20.0).contains(&secs(&alerts[1])),
        "{}",
        alerts[1]
    );
    assert_eq!(alerts[0]["id"], alerts[1]["id"]);
    assert_eq!(pid(&alerts[1]), 7);
}

#[test]
fn a_process_that_stops_growing_clears_its_alert() {
    let series = [Series::new(7, |secs| {
        Some(50.0 * MIB + secs.min(HOUR) / MINUTE * 20.0 * MIB)
    })];
    let alerts = replay_under(TEN_MINUTES, &series, 3.0 * HOUR);
    assert_eq!(changes(&alerts), ["raised", "cleared"]);
    assert_eq!(alerts[1]["reason"], "stopped_growing");
    assert!(
        (HOUR + 15.0 * MINUTE..2.0 * HOUR).contains(&secs(&alerts[1])),
        "{}",
        alerts[1]
    );
}

#[test]
fn a_second_worker_joins_the_alert_of_its_unit() {
    let mut series = [
        leak(7, 1.0, 0.0..27.0 * HOUR),
        leak(8, 1.5, HOUR..27.0 * HOUR),
    ];
    for series in &mut series {
        series.unit = "web.service";
        series.comm = "worker".to_owned();
    }
    let joined = replay_under(TEN_MINUTES, &series, 28.0 * HOUR);
    assert_eq!(changes(&joined), ["raised", "reminded", "cleared"]);
    let processes: Vec<_> = joined.iter().map(|alert| &alert["processes"]).collect();
    assert_eq!(processes[..2], [&json!(1), &json!(2)]);
    assert!(
        joined
            .iter()
            .all(|alert| alert["unit"] == "web.service" && alert["id"] == joined[0]["id"])
    );
    assert_eq!(
        (pid(&joined[0]), pid(&joined[1])),
        (7, 8),
        "the fastest is named"
    );

    series[1].unit = "api.service";
    let apart = replay_under(TEN_MINUTES, &series, 28.0 * HOUR);
    assert_eq!(of(&apart, "raised").len(), 2, "{apart:?}");
    let units: Vec<_> = of(&apart, "raised")
        .iter()
        .map(|alert| (pid(alert), &alert["unit"]))
        .collect();
    assert_eq!(
        units,
        [(7, &json!("web.service")), (8, &json!("api.service"))]
    );
}

#[test]
fn a_process_without_a_unit_has_none() {
    let alerts = replay_under(TEN_MINUTES, &[leak(7, 20.0, 0.0..HOUR)], HOUR);
    assert_eq!(alerts[0]["unit"], Value::Null);
    assert_eq!(
        (&alerts[0]["limit_bytes"], &alerts[0]["exhausts_in_secs"]),
        (&Value::Null, &Value::Null)
    );
}

/// A pid that another program gets is another process, however the sizes follow each other.
#[test]
fn another_program_with_the_same_pid_is_no_growth() {
    let holds = |n: u32| {
        move |secs: f64| {
            ((secs / (2.0 * MINUTE)) as u32 == n).then(|| f64::from(n + 1) * 40.0 * MIB)
        }
    };
    let series: Vec<_> = (0..90)
        .map(|n| Series {
            comm: format!("job-{n}"),
            ..Series::new(7, holds(n))
        })
        .collect();
    let alerts = replay_under(TEN_MINUTES, &series, 3.0 * HOUR);
    assert!(alerts.is_empty(), "{alerts:?}");

    // As one program it would be.
    let series: Vec<_> = (0..90)
        .map(|n| Series {
            comm: "job".to_owned(),
            ..Series::new(7, holds(n))
        })
        .collect();
    assert_eq!(
        of(&replay_under(TEN_MINUTES, &series, 3.0 * HOUR), "raised").len(),
        1
    );
}

#[test]
fn a_near_limit_makes_an_alert_fast_and_critical() {
    let holds =
        |start: f64| move |secs: f64| 100.0 * MIB + (secs - start).max(0.0) / MINUTE * 200.0 * MIB;
    for start_secs in [0.0, HOUR, HOUR + 2.0 * MINUTE] {
        let mut series = [Series::new(7, move |secs| Some(holds(start_secs)(secs)))];
        series[0].limit_bytes = Some(2148.0 * MIB);
        let alerts = replay(&series, start_secs + 10.0 * MINUTE);
        let raised = of(&alerts, "raised");
        assert_eq!(raised.len(), 1, "{alerts:?}");
        let after_secs = secs(raised[0]) - start_secs;
        assert!(after_secs <= 4.0 * MINUTE, "{after_secs} s after it began");
        assert_eq!(raised[0]["severity"], "critical");
        assert_eq!(raised[0]["limit_bytes"], json!((2148.0 * MIB) as u64));
        assert_eq!(raised[0]["limit_kind"], "recorded");
        let left = raised[0]["exhausts_in_secs"].as_f64().expect("is a number");
        // The minute that was looked at may have begun before the leak did.
        let error = left / (10.24 * MINUTE - after_secs);
        assert!(
            (0.9..1.4).contains(&error),
            "{left} s left, {after_secs} s after it began"
        );
    }
}

#[test]
fn a_limit_far_away_does_not() {
    let mut series = [leak(7, 20.0, 0.0..2.0 * HOUR)];
    series[0].limit_bytes = Some(1e15);
    let alerts = replay_under(TEN_MINUTES, &series, HOUR);
    assert_eq!(changes(&alerts), ["raised"]);
    assert_eq!(alerts[0]["severity"], "warning");
    assert!(secs(&alerts[0]) >= 10.0 * MINUTE, "{}", alerts[0]);
}

/// A slow leak becomes critical on its way, and is said again then.
#[test]
fn an_alert_escalates_when_its_limit_comes_near() {
    let mut series = [leak(7, 4.0, 0.0..10.0 * HOUR)];
    series[0].limit_bytes = Some(50.0 * MIB + 4.0 * 60.0 * 8.0 * MIB);
    let alerts = replay_under(TEN_MINUTES, &series, 9.0 * HOUR);
    assert_eq!(changes(&alerts)[..2], ["raised", "escalated"]);
    assert_eq!(
        (&alerts[0]["severity"], &alerts[1]["severity"]),
        (&json!("warning"), &json!("critical"))
    );
    assert!(
        (5.5 * HOUR..6.5 * HOUR).contains(&secs(&alerts[1])),
        "{}",
        alerts[1]
    );
}

/// Forty processes leak at once, and each run tells it in the same order and words.
#[test]
fn the_same_recording_gives_the_same_alerts() {
    let mut series: Vec<_> = (2..42).map(|pid| leak(pid, 20.0, 0.0..HOUR)).collect();
    for series in &mut series {
        series.unit = ["a.service", "b.service", "c.service"][series.pid as usize % 3];
    }
    let table = table(&series, 2.0 * HOUR);
    let first = run_under(TEN_MINUTES, table.as_bytes());
    assert_eq!(of(&alerts(&first), "raised").len(), 3);
    for _ in 0..3 {
        assert_eq!(
            run_under(TEN_MINUTES, table.as_bytes()).stdout,
            first.stdout
        );
    }
}

/// A gap in the recording is neither time nor growth, and nothing ends in it.
#[test]
fn a_leak_goes_on_after_a_gap() {
    let text = table(&[leak(7, 20.0, 0.0..9.0 * HOUR)], 8.0 * HOUR);
    let is_kept = |row: &&str| {
        let secs = row
            .split(',')
            .next()
            .and_then(|secs| secs.parse::<f64>().ok());
        secs.is_none_or(|secs| !(HOUR..5.0 * HOUR).contains(&secs))
    };
    let rows: Vec<_> = text.lines().filter(is_kept).collect();
    let alerts = alerts(&run_under(TEN_MINUTES, (rows.join("\n") + "\n").as_bytes()));
    assert_eq!(changes(&alerts), ["raised"]);
}

/// Rows whose times differ within a round, and a recording whose times are dates.
#[test]
fn every_row_may_have_a_time_of_its_own() {
    let began = 1_763_800_000.0;
    let mut text = "time_secs,pid,comm,bytes\n".to_owned();
    for step in 0..720 {
        for n in 0..20 {
            let secs = f64::from(step) * 5.0 + f64::from(n) * 0.01;
            let bytes = if n == 7 { secs * MIB } else { 50.0 * MIB };
            text += &format!("{:.2},{n},process-{n},{}\n", began + secs, bytes as u64);
        }
    }
    let found = alerts(&run_under(TEN_MINUTES, text.as_bytes()));
    assert_eq!(changes(&found), ["raised"]);
    assert_eq!(pid(&found[0]), 7);
    assert!(
        found[0]["time"]
            .as_str()
            .expect("is text")
            .starts_with("2025-11-22T"),
        "{}",
        found[0]
    );
}

/// A name may hold anything but NUL, and comes out harmless.
#[test]
fn names_are_made_harmless() {
    let mut series = [leak(7, 20.0, 0.0..HOUR)];
    series[0].comm = "\"a\nb\x1b[2J\"".to_owned();
    series[0].unit = "\"x\u{202e},\"\"y\"";
    let alerts = replay_under(TEN_MINUTES, &series, HOUR);
    assert_eq!(alerts[0]["comm"], "a\\u{a}b\\u{1b}[2J");
    assert_eq!(alerts[0]["unit"], "x\\u{202e},\"y");
    assert!(
        !alerts[0]["message"]
            .as_str()
            .expect("is text")
            .contains(char::is_control)
    );
}
