//! Alerts in the real Alertmanager, from their being raised to their end.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use memleakd::alert::{Alert, Change};
use memleakd::config::Severity::{Critical, Warning};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::desk::{Desk, LEFT, TAKEN, change, of};
use super::server::Server;
use super::services::{Service, free_port, wait_until};

/// Alertmanager, who it notifies, and a desk that tells it of alerts.
fn stage(settings: &str) -> (Server, Service, Desk) {
    let receiver = Server::start(&[]);
    let alertmanager = Service::alertmanager(free_port(), receiver.port);
    let desk = Desk::new(&format!(
        "url = \"http://127.0.0.1:{}\"\ntimeout = \"20s\"\n{settings}",
        alertmanager.port
    ));
    (receiver, alertmanager, desk)
}

fn severities(alertmanager: &Service) -> Vec<String> {
    let alerts = alertmanager.alerts();
    let mut severities: Vec<_> = alerts
        .iter()
        .map(|alert| {
            alert["labels"]["severity"]
                .as_str()
                .expect("one")
                .to_owned()
        })
        .collect();
    severities.sort();
    severities
}

/// Waits for a notification of a status that is about a severity.
fn notified(receiver: &Server, status: &str, severity: &str) -> Value {
    let of_such =
        |alert: &&Value| alert["status"] == status && alert["labels"]["severity"] == severity;
    loop {
        let event = receiver.next().expect("it notifies");
        let alerts = event["body"]["alerts"].as_array().expect("a list").clone();
        if let Some(alert) = alerts.iter().find(of_such) {
            return alert.clone();
        }
    }
}

#[test]
fn an_alert_is_seen_escalates_and_resolves() {
    let (receiver, alertmanager, mut desk) = stage("labels = [\"team=databases\"]");
    let running = desk.start(&["--until-empty"]);
    desk.put(change(Change::Raised, Warning));
    let raised = notified(&receiver, "firing", "warning");
    assert_eq!(
        raised["labels"],
        json!({
            "alertname": "MemoryLeak", "severity": "warning", "instance": "db1",
            "unit": "postgresql.service", "comm": "postgres", "rule": "default",
            "id": "5c0f3a91d27e", "team": "databases",
        })
    );
    let summary = raised["annotations"]["summary"].as_str().expect("one");
    assert!(summary.starts_with("postgres (pid 812"), "{summary}");
    let description = raised["annotations"]["description"].as_str().expect("one");
    assert!(description.contains("1.2 GiB"), "{description}");
    let [alert] = &alertmanager.alerts()[..] else {
        panic!("one alert");
    };
    let time = |field: &str| -> Timestamp {
        let text = alert[field].as_str().expect("a time");
        text.parse().expect("a time")
    };
    let ahead = time("endsAt").duration_since(Timestamp::now());
    assert!(ahead > SignedDuration::from_mins(4), "{alert}");
    assert_eq!(
        time("startsAt").as_second(),
        change(Change::Raised, Warning).raised.as_second()
    );

    desk.put(change(Change::Escalated, Critical));
    notified(&receiver, "firing", "critical");
    assert_eq!(severities(&alertmanager), ["critical"]);
    desk.put(change(Change::Cleared, Critical));
    notified(&receiver, "resolved", "critical");
    assert_eq!(alertmanager.alerts(), [] as [Value; 0]);
    let (status, log) = running.finish();
    assert_eq!((status, desk.waiting()), (TAKEN, 0), "{log}");
    // Besides, the warning has ended when the critical one began, not later.
    let ends = receiver.seen();
    assert!(
        ends.iter().all(|event| event["body"]["status"] != "firing"),
        "{ends:?}"
    );
}

#[test]
fn one_that_is_down_is_waited_for_and_one_that_forgets_is_told_again() {
    let receiver = Server::start(&[]);
    let port = free_port();
    let mut desk = Desk::to(&format!("http://127.0.0.1:{port}"));
    desk.put(change(Change::Raised, Warning));
    let (status, log) = desk.run(&[]);
    assert_eq!((status, desk.waiting()), (LEFT, 1), "{log}");
    let running = desk.start(&["--watch"]);
    wait_until("a complaint", || {
        running.log().contains("Connection refused")
    });
    let alertmanager = Service::alertmanager(port, receiver.port);
    wait_until("the alert", || severities(&alertmanager) == ["warning"]);
    assert!(running.log().contains("works again"), "{}", running.log());
    running.signal(Signal::TERM);
    running.finish();

    // It keeps no alerts of its own over a restart. A minute later it has them again.
    drop(alertmanager);
    let mut reporter = desk.reporter();
    let now = Instant::now();
    let round = |reporter: &mut memleakd::alertmanager::Reporter, now| {
        reporter
            .round(Timestamp::now(), now, || false)
            .expect("it reads")
    };
    assert!(!round(&mut reporter, now).is_said);
    let alertmanager = Service::alertmanager(port, receiver.port);
    assert!(round(&mut reporter, now).is_said);
    assert_eq!(severities(&alertmanager), ["warning"]);
    drop(alertmanager);
    let alertmanager = Service::alertmanager(port, receiver.port);
    let next = round(&mut reporter, now + Duration::from_secs(59)).next;
    assert_eq!(severities(&alertmanager), [] as [&str; 0]);
    assert_eq!(next, now + Duration::from_secs(60));
    round(&mut reporter, next);
    assert_eq!(severities(&alertmanager), ["warning"]);
}

#[test]
fn whenever_the_program_is_killed_nothing_is_lost_or_left_standing() {
    let (_receiver, alertmanager, mut desk) = stage("");
    let ids: Vec<String> = (0..12).map(|n| format!("{n:012x}")).collect();
    for (n, id) in ids.iter().enumerate() {
        let running = desk.start(&["--watch"]);
        desk.put(of("worker", id, change(Change::Raised, Warning)));
        if n >= 2 {
            let before = &ids[n - 2];
            desk.put(of("worker", before, change(Change::Escalated, Critical)));
        }
        if n >= 4 {
            let before = &ids[n - 4];
            desk.put(of("worker", before, change(Change::Cleared, Critical)));
        }
        // From before it has begun to after it has done all.
        std::thread::sleep(Duration::from_millis(37 * n as u64));
        running.signal(Signal::KILL);
        running.finish();
    }
    let (status, log) = desk.run(&[]);
    assert_eq!((status, desk.waiting()), (TAKEN, 4), "{log}");
    let mut standing: Vec<_> = alertmanager
        .alerts()
        .iter()
        .map(|alert| {
            let label = |name: &str| alert["labels"][name].as_str().expect("one").to_owned();
            (label("id"), label("severity"))
        })
        .collect();
    standing.sort();
    let expected = [
        (8, "critical"),
        (9, "critical"),
        (10, "warning"),
        (11, "warning"),
    ];
    let expected = expected.map(|(n, severity)| (ids[n].clone(), severity.to_owned()));
    assert_eq!(standing, expected);
}

#[test]
fn without_a_daemon_an_alert_is_not_put_off_but_its_end_is_told() {
    let (_receiver, alertmanager, mut desk) = stage("");
    desk.put(of("a", "a00000000000", change(Change::Raised, Warning)));
    desk.put(of("b", "b00000000000", change(Change::Raised, Warning)));
    let mut reporter = desk.reporter();
    let now = Instant::now();
    let mut round = |now| {
        reporter
            .round(Timestamp::now(), now, || false)
            .expect("it reads")
    };
    round(now);
    let ends = || -> Vec<Value> {
        let alerts = alertmanager.alerts();
        alerts.iter().map(|alert| alert["endsAt"].clone()).collect()
    };
    let before = ends();
    assert_eq!(before.len(), 2);
    desk.put(of("b", "b00000000000", change(Change::Cleared, Warning)));
    desk.sink = None;
    let left = round(now + Duration::from_secs(61)).left;
    assert_eq!((ends(), left), (vec![before[0].clone()], 1));

    // Back again, it knows of both alerts, or of none.
    let open = of("a", "a00000000000", change(Change::Raised, Warning));
    desk.begin(&[open]);
    round(now + Duration::from_secs(122));
    assert_ne!(ends(), before[..1]);
    desk.begin(&[]);
    assert_eq!(round(now + Duration::from_secs(123)).left, 0);
    assert_eq!(ends(), [] as [Value; 0]);
}

#[test]
fn what_follows_an_end_that_could_not_be_told_stands() {
    let receiver = Server::start(&[]);
    let port = free_port();
    let mut desk = Desk::to(&format!("http://127.0.0.1:{port}"));
    let first = change(Change::Cleared, Warning);
    let second = Alert {
        raised: Timestamp::now(),
        ..change(Change::Raised, Warning)
    };
    desk.put(change(Change::Raised, Warning));
    desk.put(first);
    desk.put(second);
    assert_eq!(desk.waiting(), 2);
    let alertmanager = Service::alertmanager(port, receiver.port);
    let (status, log) = desk.run(&[]);
    assert_eq!((status, desk.waiting()), (TAKEN, 1), "{log}");
    assert_eq!(severities(&alertmanager), ["warning"]);
}

#[test]
fn alerts_that_are_older_than_the_setting_are_told_and_muted_ones_are_not() {
    let (_receiver, alertmanager, mut desk) = stage("");
    let open = of("a", "a00000000000", change(Change::Raised, Critical));
    let muted = Alert {
        silenced_until: Some(Timestamp::now()),
        ..of("b", "b00000000000", change(Change::Raised, Warning))
    };
    desk.begin(&[open, muted]);
    let (status, log) = desk.run(&[]);
    assert_eq!(status, TAKEN, "{log}");
    assert_eq!(severities(&alertmanager), ["critical"]);
}

#[test]
fn an_alert_that_was_told_and_is_silenced_since_stays_as_it_is() {
    let (_receiver, alertmanager, mut desk) = stage("");
    desk.put(change(Change::Raised, Warning));
    let silenced = Alert {
        silenced_until: Some(Timestamp::now()),
        ..change(Change::Raised, Warning)
    };
    // Alertmanager has silences of its own; that it still stands is true.
    desk.begin(&[silenced]);
    let (status, log) = desk.run(&[]);
    assert_eq!(status, TAKEN, "{log}");
    assert_eq!(severities(&alertmanager), ["warning"]);
}
