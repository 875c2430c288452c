use super::*;
use crate::alert::message::tests::alert;

/// What `dispatch` offers, as `sink:sequence`, when the sinks in `full` can take nothing.
fn offered(outbox: &mut Outbox, now_secs: f64, full: &[&str]) -> Vec<String> {
    let mut offered = Vec::new();
    outbox.dispatch(
        now_secs,
        |_| false,
        |sink, sequence, changes| {
            assert_eq!(changes.len(), 1);
            let takes = !full.contains(&sink);
            if takes {
                offered.push(format!("{sink}:{sequence}"));
            }
            takes
        },
    );
    offered
}

/// The message that is offered to the mail sink, as its number and that of its changes.
fn mailed(outbox: &mut Outbox, now_secs: f64) -> Option<(u64, usize)> {
    let mut mailed = None;
    outbox.dispatch(
        now_secs,
        |sink| sink == "mail",
        |sink, sequence, changes| {
            if sink == "mail" {
                mailed = Some((sequence, changes.len()));
            }
            true
        },
    );
    mailed
}

fn at(secs: f64) -> Moment {
    let since = alert().time;
    let time = since.saturating_add(jiff::SignedDuration::from_secs_f64(secs));
    Moment {
        monotonic_secs: secs,
        boot_secs: secs,
        time: time.expect("in range"),
    }
}

fn change_at(secs: f64, severity: Severity) -> Alert {
    Alert {
        time: at(secs).time,
        severity,
        ..alert()
    }
}

const PACKING: Packing = Packing {
    wait: Span::from_secs(10),
    max_per_hour: 5,
    max_changes: 4,
};

#[test]
fn each_change_reaches_each_sink_once_and_in_order() {
    let mut outbox = Outbox::default();
    outbox.put(alert(), &["journal", "mail"]);
    outbox.put(alert(), &["journal", "mail"]);
    assert_eq!(offered(&mut outbox, 0.0, &["mail"]), ["journal:1"]);
    assert_eq!(offered(&mut outbox, 1.0, &[]), ["mail:1"]);
    assert_eq!(offered(&mut outbox, 2.0, &[]), [""; 0]);
    outbox.confirm(1, "journal");
    assert_eq!(offered(&mut outbox, 2.0, &[]), ["journal:2"]);
    for (sequence, sink) in [(2, "journal"), (1, "mail"), (2, "mail")] {
        assert_ne!(outbox.n_waiting(), 0);
        outbox.confirm(sequence, sink);
    }
    assert_eq!(outbox.n_waiting(), 0);
}

#[test]
fn what_fails_is_tried_again_before_what_came_later() {
    let mut outbox = Outbox::default();
    outbox.put(alert(), &["journal"]);
    outbox.put(alert(), &["journal"]);
    assert_eq!(offered(&mut outbox, 0.0, &[]), ["journal:1"]);
    outbox.fail(1, "journal", 0.0);
    assert_eq!(offered(&mut outbox, 59.0, &[]), [""; 0]);
    assert_eq!(offered(&mut outbox, 60.0, &[]), ["journal:1"]);
    outbox.confirm(1, "journal");
    assert_eq!(offered(&mut outbox, 60.0, &[]), ["journal:2"]);
}

#[test]
fn what_was_not_confirmed_before_a_kill_is_due_again() {
    let mut outbox = Outbox::default();
    outbox.put(alert(), &["journal", "mail", "gone"]);
    offered(&mut outbox, 0.0, &[]);
    outbox.confirm(1, "journal");
    let kept = serde_json::to_string(&outbox).expect("JSON");
    let mut outbox: Outbox = serde_json::from_str(&kept).expect("an outbox");
    outbox.keep_sinks(&["journal", "mail"]);
    assert_eq!(offered(&mut outbox, 0.0, &[]), ["mail:1"]);
    outbox.confirm(1, "mail");
    assert_eq!(outbox.n_waiting(), 0);
}

#[test]
fn what_comes_together_is_one_message_and_what_is_critical_does_not_wait() {
    let mut outbox = Outbox::default();
    assert!(!outbox.pack("mail", &PACKING, &at(0.0)));
    for secs in [0.0, 4.0, 8.0] {
        outbox.put(change_at(secs, Severity::Warning), &["mail", "journal"]);
        assert!(!outbox.pack("mail", &PACKING, &at(secs)));
        assert_eq!(mailed(&mut outbox, secs), None);
    }
    assert_eq!(outbox.n_held(|sink| sink == "mail"), 3);
    assert!(outbox.pack("mail", &PACKING, &at(10.0)));
    assert_eq!(outbox.n_held(|sink| sink == "mail"), 0);
    assert_eq!(mailed(&mut outbox, 10.0), Some((1, 3)));
    // What comes while it is under way waits for its end.
    outbox.put(change_at(11.0, Severity::Critical), &["mail"]);
    assert!(!outbox.pack("mail", &PACKING, &at(11.0)));
    assert_eq!(mailed(&mut outbox, 11.0), None);
    outbox.confirm(1, "mail");
    assert!(outbox.pack("mail", &PACKING, &at(11.0)));
    assert_eq!(mailed(&mut outbox, 11.0), Some((4, 1)));
    outbox.confirm(4, "mail");
    // A clock that was set back holds nothing up.
    outbox.put(change_at(1000.0, Severity::Warning), &["mail"]);
    assert!(outbox.pack("mail", &PACKING, &at(20.0)));
}

#[test]
fn a_message_that_is_tried_again_is_the_same() {
    let mut outbox = Outbox::default();
    for secs in [0.0, 0.0] {
        outbox.put(change_at(secs, Severity::Warning), &["mail"]);
    }
    assert!(outbox.pack("mail", &PACKING, &at(10.0)));
    assert_eq!(mailed(&mut outbox, 10.0), Some((1, 2)));
    let kept = serde_json::to_string(&outbox).expect("JSON");
    let mut outbox: Outbox = serde_json::from_str(&kept).expect("an outbox");
    outbox.put(change_at(11.0, Severity::Critical), &["mail"]);
    assert!(!outbox.pack("mail", &PACKING, &at(11.0)));
    assert_eq!(mailed(&mut outbox, 11.0), Some((1, 2)));
    outbox.fail(1, "mail", 11.0);
    assert_eq!(mailed(&mut outbox, 70.0), None);
    assert_eq!(mailed(&mut outbox, 71.0), Some((1, 2)));
}

#[test]
fn an_hour_has_its_share_of_messages_and_the_critical_have_a_reserve() {
    let mut outbox = Outbox::default();
    let mut message = |secs: f64, severity| {
        outbox.put(change_at(secs, severity), &["mail"]);
        let is_packed = outbox.pack("mail", &PACKING, &at(secs + 10.0));
        let mailed = mailed(&mut outbox, secs + 10.0);
        assert_eq!(is_packed, mailed.is_some());
        if let Some((sequence, _)) = mailed {
            outbox.confirm(sequence, "mail");
        }
        mailed.map(|(_, n_changes)| n_changes)
    };
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    for minute in 0..4 {
        assert_eq!(message(f64::from(minute) * 60.0, warning), Some(1));
    }
    assert_eq!(message(300.0, warning), None);
    assert_eq!(message(360.0, critical), Some(2));
    assert_eq!(message(420.0, critical), None);
    assert_eq!(message(480.0, warning), None);
    assert_eq!(message(540.0, warning), None);
    assert_eq!(message(600.0, warning), None);
    // An hour after the first there is room for one; it has as much as a message holds.
    assert_eq!(message(3611.0, warning), Some(4));
    assert_eq!(outbox.n_waiting(), 1);
}

#[test]
fn it_is_bounded() {
    let mut outbox = Outbox::default();
    (0..MAX_WAITING + 5).for_each(|_| outbox.put(alert(), &["mail"]));
    assert_eq!((outbox.n_waiting(), outbox.n_dropped()), (MAX_WAITING, 5));
    outbox.put(alert(), &[]);
    assert_eq!(outbox.n_waiting(), MAX_WAITING);
}

#[test]
fn a_state_of_before_is_taken_on() {
    let mut kept = serde_json::to_value(Outbox::default()).expect("JSON");
    kept.as_object_mut().expect("an object").remove("budgets");
    let waiting = serde_json::json!([{
        "sequence": 7, "alert": alert(), "addressees": [{ "sink": "mail" }],
    }]);
    kept["waiting"] = waiting;
    let mut outbox: Outbox = serde_json::from_value(kept).expect("an outbox");
    assert!(outbox.pack("mail", &PACKING, &at(10.0)));
    assert_eq!(mailed(&mut outbox, 10.0), Some((7, 1)));
}
