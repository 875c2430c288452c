//! Leaks that no single process of a unit shows for long enough or by enough: those of all its
//! workers, and those of one run after the other.

use serde_json::Value;

use super::{HOUR, KIB, MIB, MINUTE, Series, of, pid, replay, secs};

/// Workers of a unit, with what each gains in KiB a minute.
fn workers<'a>(unit: &'a str, first_pid: u32, kib_per_min: &[f64]) -> Vec<Series<'a>> {
    let worker = |(pid, kib_per_min): (u32, &f64)| {
        let rate = kib_per_min * KIB / MINUTE;
        Series {
            unit,
            comm: "worker".to_owned(),
            ..Series::new(pid, move |secs| Some(50.0 * MIB + rate * secs))
        }
    };
    (first_pid..).zip(kib_per_min).map(worker).collect()
}

fn peers(alert: &Value) -> [Option<u64>; 3] {
    ["processes", "peers", "peers_growing"].map(|key| alert[key].as_u64())
}

/// The end of the message that one alert of a unit was raised and reminded with. When it is raised
/// not every worker has shown yet that it grows; a day later all of them have.
fn raised_and_reminded(alerts: &[Value], n_leaking: u64) -> [&str; 2] {
    let (raised, reminded) = (of(alerts, "raised"), of(alerts, "reminded"));
    assert_eq!((raised.len(), reminded.len()), (1, 1), "{alerts:?}");
    let [_, n, n_growing] = peers(raised[0]).map(|n| n.expect("is a number"));
    assert_eq!(n, 8, "{}", raised[0]);
    assert!((4..=n_leaking).contains(&n_growing), "{}", raised[0]);
    assert_eq!(
        peers(reminded[0]),
        [n_leaking, 8, n_leaking].map(Some),
        "{}",
        reminded[0]
    );
    [raised[0], reminded[0]].map(|alert| {
        let message = alert["message"].as_str().expect("is text");
        message.rsplit_once("; ").expect("compares").1
    })
}

#[test]
fn a_leak_that_is_spread_over_workers_is_one_alert() {
    let alerts = replay(&workers("web.service", 10, &[20.0; 8]), 27.0 * HOUR);
    let [raised, reminded] = raised_and_reminded(&alerts, 8);
    assert!(raised.ends_with("workers grow alike"), "{raised}");
    assert_eq!(reminded, "all 8 of its workers grow alike");
    let raised = of(&alerts, "raised");
    // Sooner than a single process: so many do not grow by chance.
    assert!(secs(raised[0]) < 2.5 * HOUR, "{}", raised[0]);
}

#[test]
fn what_is_too_little_together_is_no_leak() {
    let apart = [
        workers("web.service", 10, &[20.0; 4]),
        workers("api.service", 20, &[20.0; 4]),
        workers("", 30, &[20.0; 8]),
        workers("job.service", 40, &[20.0]),
    ];
    let alerts = replay(&apart.into_iter().flatten().collect::<Vec<_>>(), 8.0 * HOUR);
    assert!(alerts.is_empty(), "{alerts:?}");
}

#[test]
fn six_of_eight_are_told_from_the_rest() {
    let mut rates = [30.0; 8];
    rates[2..4].fill(0.0);
    let alerts = replay(&workers("web.service", 10, &rates), 27.0 * HOUR);
    let [raised, reminded] = raised_and_reminded(&alerts, 6);
    assert!(raised.ends_with("of its 8 workers grow alike"), "{raised}");
    assert_eq!(reminded, "6 of its 8 workers grow alike");
}

#[test]
fn one_of_many_is_an_outlier() {
    let mut rates = [0.0; 8];
    rates[5] = 2048.0;
    let alerts = replay(&workers("web.service", 10, &rates), 4.0 * HOUR);
    let raised = of(&alerts, "raised");
    assert_eq!(raised.len(), 1, "{alerts:?}");
    assert_eq!(pid(raised[0]), 15);
    assert_eq!(
        peers(raised[0]),
        [Some(1), Some(8), Some(1)],
        "{}",
        raised[0]
    );
    let message = raised[0]["message"].as_str().expect("is text");
    assert!(
        message.ends_with("; it alone of 8 like it grows"),
        "{message}"
    );
}

/// Runs of a unit's program, one every so often, that gain so much a minute for their time.
fn runs(
    every_secs: f64,
    lasts_secs: f64,
    mib_per_min: f64,
    until_secs: f64,
) -> Vec<Series<'static>> {
    let run = |n: u32| {
        let start_secs = 10.0 * MINUTE + f64::from(n) * every_secs;
        let holds = move |secs: f64| {
            let grown = (secs - start_secs) / MINUTE * mib_per_min * MIB;
            let during = start_secs..start_secs + lasts_secs;
            during.contains(&secs).then_some(80.0 * MIB + grown)
        };
        Series {
            unit: "web.service",
            comm: "server".to_owned(),
            ..Series::new(100 + n, holds)
        }
    };
    (0..(until_secs / every_secs) as u32).map(run).collect()
}

#[test]
fn a_leak_goes_on_over_restarts() {
    let life_secs = 75.0 * MINUTE;
    let alerts = replay(
        &runs(life_secs + 20.0, life_secs, 1.0, 6.0 * HOUR),
        6.0 * HOUR,
    );
    let raised = of(&alerts, "raised");
    assert_eq!(
        raised.first().map(|alert| pid(alert)),
        Some(102),
        "{alerts:?}"
    );
}

#[test]
fn jobs_that_are_done_do_not_add_up() {
    let day = 24.0 * HOUR;
    for (every_mins, lasts_mins) in [(60.0, 20.0), (30.5, 30.0), (41.0, 40.0)] {
        let jobs = runs(every_mins * MINUTE, lasts_mins * MINUTE, 5.0, day);
        let alerts = replay(&jobs, day);
        assert!(alerts.is_empty(), "{lasts_mins} min: {alerts:?}");
    }
}

/// With an hour of rest between them, each run begins anew.
#[test]
fn runs_far_apart_do_not_add_up() {
    let jobs = runs(2.5 * HOUR, 1.25 * HOUR, 1.0, 24.0 * HOUR);
    let alerts = replay(&jobs, 24.0 * HOUR);
    assert!(alerts.is_empty(), "{alerts:?}");
}
