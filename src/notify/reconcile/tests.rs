use super::*;
use crate::alert::Change as AlertChange;
use crate::alert::message::tests::alert;
use crate::sample::Point;
use crate::site::{Frame, Site};

fn at(secs: i64) -> Timestamp {
    alert().time + SignedDuration::from_secs(secs)
}

fn named(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        ..alert()
    }
}

fn located(id: &str) -> Alert {
    let frame = Frame {
        function: Some("leak".to_owned()),
        file: Some("query.c".to_owned()),
        line: Some(120),
        ..Frame::default()
    };
    let site = Site {
        bytes: 1 << 20,
        count: 4,
        frames: vec![frame],
        ..Site::default()
    };
    Alert {
        change: AlertChange::Updated,
        sites: vec![site],
        ..named(id)
    }
}

fn critical(id: &str) -> Alert {
    Alert {
        change: AlertChange::Escalated,
        severity: Severity::Critical,
        ..named(id)
    }
}

fn reminded(id: &str, next: i64) -> Alert {
    Alert {
        change: AlertChange::Reminded,
        next_reminder: Some(at(next)),
        ..named(id)
    }
}

fn stale(id: &str) -> Alert {
    Alert {
        state: State::Stale,
        unseen_since: Some(at(-600)),
        ..named(id)
    }
}

/// A screen that gives numbers from 1 on, and does what it is told.
#[derive(Default)]
struct Screen {
    shown: Shown,
    last_id: u32,
}

impl Screen {
    fn with(alerts: &[Alert]) -> Self {
        let mut screen = Self::default();
        screen.bring(alerts, 0);
        screen
    }

    /// What was done, a word each.
    fn bring(&mut self, alerts: &[Alert], secs: i64) -> Vec<String> {
        let steps = reconcile(&self.shown, alerts, at(secs));
        let mut done = Vec::new();
        for step in steps {
            let id = match &step.call {
                Call::Nothing => None,
                Call::Close(id) => {
                    done.push(format!("close {id}"));
                    None
                }
                Call::Show {
                    subject, replaces, ..
                } => {
                    let what = match subject {
                        Subject::Incident(incident) => incident.id.as_str(),
                        Subject::Group => "group",
                    };
                    let id = replaces.unwrap_or_else(|| {
                        self.last_id += 1;
                        self.last_id
                    });
                    done.push(match replaces {
                        Some(_) => format!("renew {what}"),
                        None => format!("show {what} as {id}"),
                    });
                    Some(id)
                }
            };
            self.shown.done(step, id);
        }
        // Whatever was done, the same list asks for no more.
        assert_eq!(reconcile(&self.shown, alerts, at(secs)), [], "{done:?}");
        done
    }

    fn closed(&mut self, id: u32, to: Place) {
        let subject = self.shown.subject(id).expect("a bubble");
        self.shown.leave(&subject, to);
    }
}

#[test]
fn a_bubble_follows_its_alert() {
    for (name, then, expected) in [
        ("nothing new", named("a"), &[][..]),
        (
            "figures",
            Alert {
                bytes: 1 << 33,
                curve: vec![Point {
                    secs_ago: 0.0,
                    bytes: 1,
                }],
                ..named("a")
            },
            &[],
        ),
        ("worse", critical("a"), &["renew a"]),
        ("known where", located("a"), &["renew a"]),
        ("not seen", stale("a"), &["renew a"]),
        ("said again", reminded("a", 100), &["renew a"]),
        (
            "next reminder moved",
            Alert {
                next_reminder: Some(at(100)),
                ..named("a")
            },
            &[],
        ),
        (
            "acknowledged",
            Alert {
                acknowledged: Some(at(0)),
                ..named("a")
            },
            &["close 1"],
        ),
        (
            "silenced",
            Alert {
                silenced_until: Some(at(60)),
                ..named("a")
            },
            &["close 1"],
        ),
        (
            "silence is over",
            Alert {
                silenced_until: Some(at(5)),
                ..named("a")
            },
            &[],
        ),
        (
            "inhibited",
            Alert {
                inhibited_by: Some("b".to_owned()),
                ..named("a")
            },
            &["close 1"],
        ),
        (
            "cleared",
            Alert {
                state: State::Cleared,
                ..named("a")
            },
            &["close 1"],
        ),
        (
            "the next incident",
            Alert {
                raised: at(3),
                ..named("a")
            },
            &["close 1", "show a as 2"],
        ),
    ] {
        let mut screen = Screen::with(&[named("a")]);
        assert_eq!(screen.bring(&[then], 5), expected, "{name}");
    }
    assert_eq!(Screen::with(&[named("a")]).bring(&[], 5), ["close 1"]);
}

#[test]
fn what_left_the_screen_comes_back_for_a_reason_only() {
    for (name, then, after_time, after_dismissal) in [
        ("nothing new", named("a"), &[][..], &[][..]),
        ("known where", located("a"), &[], &[]),
        ("not seen", stale("a"), &[], &[]),
        ("said again", reminded("a", 100), &["show a as 2"], &[]),
        ("worse", critical("a"), &["show a as 2"], &["show a as 2"]),
        (
            "the next incident",
            Alert {
                raised: at(3),
                ..named("a")
            },
            &["show a as 2"],
            &["show a as 2"],
        ),
    ] {
        for (place, expected) in [
            (Place::Away, after_time),
            (Place::Dismissed, after_dismissal),
        ] {
            let mut screen = Screen::with(&[named("a")]);
            screen.closed(1, place);
            assert_eq!(
                screen.bring(std::slice::from_ref(&then), 60),
                expected,
                "{name}, {place:?}"
            );
        }
    }
}

#[test]
fn a_silence_that_ends_tells_again_but_not_whom_it_was_told() {
    let silenced = Alert {
        silenced_until: Some(at(3600)),
        ..named("a")
    };
    let mut screen = Screen::with(&[named("a")]);
    assert_eq!(
        screen.bring(std::slice::from_ref(&silenced), 5),
        ["close 1"]
    );
    assert_eq!(
        screen.bring(std::slice::from_ref(&silenced), 3601),
        ["show a as 2"]
    );
    screen.closed(2, Place::Dismissed);
    assert_eq!(screen.bring(std::slice::from_ref(&silenced), 5), [""; 0]);
    assert_eq!(screen.bring(&[silenced], 3601), [""; 0]);
}

#[test]
fn many_at_once_are_one_bubble() {
    let many = |n: usize| {
        (0..n)
            .map(|n| named(&format!("{n:03}")))
            .collect::<Vec<_>>()
    };
    let mut screen = Screen::default();
    assert_eq!(
        screen.bring(&many(3), 0),
        ["show 000 as 1", "show 001 as 2", "show 002 as 3"]
    );
    // In the same moment, and then right after that.
    assert_eq!(screen.bring(&many(4), 2), ["show group as 4"]);
    assert_eq!(screen.bring(&many(200), 11), ["renew group"]);
    assert_eq!(
        screen.shown.group.as_ref().map(|group| group.count),
        Some(200)
    );
    // What comes later comes alone.
    assert_eq!(
        screen.bring(&many(201), 60),
        ["show 200 as 5", "renew group"]
    );
    assert_eq!(screen.bring(&many(100), 61), ["close 5", "renew group"]);
    assert_eq!(screen.bring(&many(3), 62), ["close 4"]);
    assert_eq!(screen.bring(&[], 63), ["close 1", "close 2", "close 3"]);
    assert_eq!(screen.shown, Shown::default());

    assert_eq!(Screen::default().bring(&many(200), 0), ["show group as 1"]);
}

#[test]
fn what_gets_worse_leaves_the_many_unless_many_do() {
    let many = ["a", "b", "c", "d", "e"];
    let mut screen = Screen::with(&many.map(named));
    let one = [
        critical("a"),
        named("b"),
        named("c"),
        named("d"),
        named("e"),
    ];
    assert_eq!(screen.bring(&one, 60), ["show a as 2", "renew group"]);
    assert_eq!(screen.bring(&many.map(critical), 120), ["renew group"]);

    let mut screen = Screen::with(&many.map(named));
    screen.closed(1, Place::Dismissed);
    assert_eq!(screen.bring(&many.map(named), 60), [""; 0]);
    assert_eq!(screen.bring(&many.map(critical), 60), ["show group as 2"]);
}

#[test]
fn bubbles_are_bounded() {
    let mut screen = Screen::default();
    let mut alerts = Vec::new();
    for n in 0..50u32 {
        alerts.push(named(&format!("{n:03}")));
        screen.bring(&alerts, i64::from(n) * 60);
    }
    let bubbles = screen.shown.known.values();
    let own = bubbles.filter(|known| matches!(known.place, Place::Bubble(_)));
    assert_eq!(own.count(), MAX_BUBBLES);
    assert_eq!(
        screen.shown.group.as_ref().map(|group| group.count),
        Some(50)
    );
}

#[test]
fn a_server_that_was_restarted_shows_what_was_there() {
    let all = ["a", "b", "c"].map(named);
    let mut screen = Screen::with(&all);
    screen.closed(2, Place::Dismissed);
    screen.closed(3, Place::Away);
    screen.shown.lose_bubbles();
    assert_eq!(screen.bring(&all, 60), ["show a as 4"]);

    let many = ["a", "b", "c", "d"].map(named);
    let mut screen = Screen::with(&many);
    screen.shown.lose_bubbles();
    assert_eq!(screen.bring(&many, 60), ["show group as 2"]);
}

#[test]
fn at_the_next_login_only_what_is_new_is_shown() {
    let mut screen = Screen::with(&["a", "b"].map(named));
    screen.shown.clear_screen();
    let all = ["a", "b", "c"].map(named);
    assert_eq!(screen.bring(&all, 3600), ["show c as 3"]);
    screen.shown.clear_screen();
    let worse = [critical("a"), named("b"), named("c")];
    assert_eq!(screen.bring(&worse, 7200), ["show a as 4"]);
}

#[test]
fn who_asks_for_details_sees_them_at_once_and_keeps_them() {
    let mut screen = Screen::with(&[named("a")]);
    let subject = screen.shown.subject(1).expect("a bubble");
    screen.shown.detail(&subject);
    let body = |screen: &Screen, alert: &Alert| {
        let steps = reconcile(&screen.shown, std::slice::from_ref(alert), at(5));
        match &steps[..] {
            [
                Step {
                    call: Call::Show { bubble, .. },
                    ..
                },
            ] => bubble.body.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert!(body(&screen, &named("a")).contains("executable: /usr/lib"));
    assert_eq!(screen.bring(&[named("a")], 5), ["show a as 2"]);
    assert!(body(&screen, &located("a")).contains("leak (query.c:120)"));
    assert!(body(&screen, &located("a")).contains("executable: /usr/lib"));

    let many = ["a", "b", "c", "d"].map(named);
    let mut screen = Screen::with(&many);
    screen.shown.detail(&Subject::Group);
    assert_eq!(screen.bring(&many, 5), ["show group as 2"]);
}

#[test]
fn what_cannot_be_shown_is_tried_again() {
    let shown = Shown::default();
    let alerts = [named("a")];
    // Nothing was done of it.
    let first = reconcile(&shown, &alerts, at(0));
    assert_eq!(first.len(), 1);
    assert_eq!(reconcile(&shown, &alerts, at(0)), first);
}
