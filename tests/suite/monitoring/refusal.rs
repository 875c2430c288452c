//! What becomes of an alert when the server does not simply take it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use memleakd::alert::Change;
use memleakd::config::Severity::Warning;
use serde_json::Value;

use super::desk::{Desk, LEFT, TAKEN, change, of};
use super::server::Server;

/// The programs that a request speaks of.
fn comms(event: &Value) -> Vec<&str> {
    let alerts = event["body"].as_array().expect("a list");
    let comms = alerts.iter().map(|alert| &alert["labels"]["comm"]);
    comms.map(|comm| comm.as_str().expect("one")).collect()
}

#[test]
fn one_that_is_refused_holds_up_no_other_and_is_given_up_after_a_while() {
    let server = Server::start(&["--answer", r#""comm":"bad"=400 "no \x1b[2Jgood"#]);
    let mut desk = Desk::to(&server.url());
    for (comm, id) in [("good", "a00000000000"), ("bad", "b00000000000")] {
        desk.put(of(comm, id, change(Change::Raised, Warning)));
    }
    let (status, log) = desk.run(&[]);
    assert_eq!((status, desk.waiting()), (TAKEN, 2), "{log}");
    let requests = server.seen();
    let asked: Vec<_> = requests.iter().map(comms).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[1..].contains(&vec!["good"]) && asked[1..].contains(&vec!["bad"]));
    assert_eq!(requests[0]["path"], "/api/v2/alerts");
    assert!(
        log.contains(r#"refuses b00000000000"#)
            && log.contains(r#"400 Bad Request: "no \u{1b}[2Jgood"#),
        "{log}"
    );

    let mut reporter = desk.reporter();
    let mut now = Instant::now();
    let begin = now;
    while desk.rejected() == 0 {
        let round = reporter
            .round(Timestamp::now(), now, || false)
            .expect("it reads");
        now = round.next.max(now + Duration::from_secs(1));
        assert!(
            now < begin + Duration::from_secs(1800),
            "it is never given up"
        );
    }
    assert!(now > begin + Duration::from_secs(600));
    assert_eq!((desk.waiting(), desk.rejected()), (1, 1));
    let tries = server.seen();
    let tries = tries.iter().filter(|event| comms(event) == ["bad"]).count();
    assert!((5..15).contains(&tries), "{tries}");

    // The next change of it is tried again.
    desk.put(of("bad", "b00000000000", change(Change::Updated, Warning)));
    assert_eq!(desk.waiting(), 2);
}

#[test]
fn what_is_the_servers_own_trouble_is_waited_for() {
    for (answer, words) in [
        ("=503 not yet", "503 Service Unavailable: not yet"),
        ("=500 oh", "500 Internal Server Error: oh"),
        ("=401 who are you", "401 Unauthorized: who are you"),
        ("=404 ", "404 Not Found"),
        ("=429 slowly", "429 Too Many Requests: slowly"),
        ("=307 elsewhere", "307 Temporary Redirect: elsewhere"),
    ] {
        let server = Server::start(&["--answer", answer, "--times", "1"]);
        let mut desk = Desk::to(&server.url());
        desk.put(change(Change::Cleared, Warning));
        let (status, log) = desk.run(&[]);
        assert_eq!((status, desk.waiting()), (LEFT, 1), "{log}");
        assert!(log.contains(words), "{answer}: {log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        let (status, log) = desk.run(&[]);
        assert_eq!(
            (status, desk.waiting(), desk.rejected()),
            (TAKEN, 0, 0),
            "{log}"
        );
        assert_eq!(server.seen().len(), 2);
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let server = Server::start(&["--hang"]);
    let mut desk = Desk::new(&format!("url = {:?}\ntimeout = \"1s\"", server.url()));
    for n in 0..120 {
        desk.put(of(
            "worker",
            &format!("{n:012}"),
            change(Change::Raised, Warning),
        ));
    }
    let begin = Instant::now();
    let (status, log) = desk.run(&[]);
    assert_eq!((status, desk.waiting()), (LEFT, 120), "{log}");
    assert!(log.contains("no answer within 1 s"), "{log}");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "not once for each"
    );
    // And no request is larger for there being many.
    let requests = server.seen();
    assert_eq!((requests.len(), comms(&requests[0]).len()), (1, 50));
}

#[test]
fn an_end_that_nobody_heard_for_a_day_is_put_aside() {
    let server = Server::start(&["--answer", "=503 not yet"]);
    let mut desk = Desk::to(&server.url());
    desk.put(change(Change::Cleared, Warning));
    desk.put(of(
        "worker",
        "a00000000000",
        change(Change::Raised, Warning),
    ));
    let mut reporter = desk.reporter();
    let mut round = |hours: i64| {
        let time = Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        reporter
            .round(time, Instant::now(), || false)
            .expect("it reads")
            .left
    };
    assert_eq!((round(23), desk.rejected()), (2, 0));
    assert_eq!((round(25), desk.rejected()), (1, 1));
}

#[test]
fn files_that_are_no_alerts_are_put_aside() {
    let server = Server::start(&[]);
    let mut desk = Desk::to(&server.url());
    desk.write("alertmanager/broken.json", "{");
    desk.write("alertmanager/other.json", "{\"labels\":{}}");
    desk.put(change(Change::Cleared, Warning));
    let (status, log) = desk.run(&["--until-empty"]);
    assert_eq!(
        (status, desk.waiting(), desk.rejected()),
        (TAKEN, 0, 2),
        "{log}"
    );
    assert!(log.contains("broken is given up"), "{log}");
}
