//! Whom a change is for, and how an end and a storm are told.

use super::*;
use crate::alert::Matcher;
use crate::config::Glob;

/// Silences what a unit says for so many seconds.
fn silence(scene: &mut Scene, unit: &str, secs: i64) -> String {
    let matcher = Matcher {
        unit: Some(Glob::new(unit).expect("a pattern")),
        ..Matcher::default()
    };
    let now = scene.now().time;
    let until = now
        .saturating_add(jiff::SignedDuration::from_secs(secs))
        .expect("in range");
    let silences = scene.book.silences();
    let silence = silences.add(now, matcher, until, "root".to_owned(), "known");
    silence.expect("a silence").id
}

#[test]
fn what_is_silenced_from_the_start_is_for_the_record_and_told_when_that_is_over() {
    let mut scene = Scene::new();
    silence(&mut scene, "a*", 600);
    assert_eq!(
        scene.round(5.0, vec![leak(1, "a"), leak(2, "b")]),
        ["raised 2", "raised 1 for records"]
    );
    let is_silenced = |alert: &Alert| alert.silenced_until.is_some();
    assert_eq!(scene.book.count(is_silenced), 1);
    assert_eq!(
        scene.round(5.0, vec![critical(leak(1, "a"))]),
        ["escalated 1 for records"]
    );
    scene.grow(1, 900 * MIB);
    assert_eq!(
        scene.round(600.0, vec![]),
        ["updated 1 for records", "raised 1 for people"]
    );
    scene.end(1);
    assert_eq!(scene.round(5.0, vec![]), ["cleared 1 Exited"]);
    // Who has not heard of it need not hear of its end.
    silence(&mut scene, "c", 600);
    scene.round(5.0, vec![leak(3, "c")]);
    scene.end(3);
    assert_eq!(scene.round(5.0, vec![]), ["cleared 3 Exited for records"]);
}

#[test]
fn what_is_silenced_later_is_reminded_of_when_that_is_over_and_its_end_is_told() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    let id = silence(&mut scene, "a", 86_400);
    assert_eq!(scene.round(5.0, vec![]), ["updated 1 for records"]);
    assert!(
        scene.book.standing()[0]
            .message
            .ends_with("silenced for 23 h 59 min")
    );
    // No reminders meanwhile.
    scene.settings.repeat = Span::from_mins(1);
    scene.grow(1, 200 * MIB);
    assert_eq!(scene.round(120.0, vec![]), [""; 0]);
    assert!(scene.book.silences().remove(&id));
    assert_eq!(
        scene.round(5.0, vec![]),
        ["updated 1 for records", "reminded 1 for people"]
    );
    silence(&mut scene, "a", 600);
    scene.round(5.0, vec![]);
    scene.end(1);
    assert_eq!(scene.round(5.0, vec![]), ["cleared 1 Exited"]);
}

#[test]
fn silences_outlive_the_daemon() {
    let mut scene = Scene::new();
    silence(&mut scene, "a", 600);
    let kept = serde_json::to_string(&scene.book).expect("a book as JSON");
    scene.book = serde_json::from_str(&kept).expect("a book from JSON");
    assert_eq!(
        scene.round(5.0, vec![leak(1, "a")]),
        ["raised 1 for records"]
    );
}

#[test]
fn who_has_taken_note_is_not_reminded_until_it_is_another_leak() {
    let mut scene = Scene::new();
    scene.settings.repeat = Span::from_mins(1);
    scene.round(5.0, vec![leak(1, "a")]);
    let id = scene.book.standing()[0].id.clone();
    let now = scene.now();
    let said = scene.book.acknowledge(&now, &id, "alice");
    let said = said.expect("an alert").expect("news");
    assert_eq!(words(&said), "updated 1 for records");
    assert!(said.alert.message.ends_with("; acknowledged by alice"));
    assert_eq!(said.alert.next_reminder, None);
    assert_eq!(scene.book.acknowledge(&now, &id, "bob"), Ok(None));
    let unknown = scene.book.acknowledge(&now, "ffffffffffff", "bob");
    assert_eq!(
        unknown,
        Err("there is no open alert with that id".to_owned())
    );
    scene.grow(1, 400 * MIB);
    assert_eq!(scene.round(300.0, vec![]), [""; 0]);
    // It has become worse, which they do not know.
    assert_eq!(
        scene.round(5.0, vec![critical(leak(1, "a"))]),
        ["escalated 1"]
    );
    scene.end(1);
    scene.round(5.0, vec![]);
    assert_eq!(scene.round(5.0, vec![leak(2, "a")]), ["raised 2"]);
    assert_eq!(scene.book.standing()[0].acknowledged, None);
}

#[test]
fn beside_a_critical_alert_the_warning_of_its_unit_goes_without_saying() {
    let of_heap = |pid, unit| Leak {
        rule: "heap".to_owned(),
        ..leak(pid, unit)
    };
    let mut scene = Scene::new();
    scene.knows_rules = false;
    let leaks = vec![critical(leak(1, "a")), of_heap(1, "a"), of_heap(2, "b")];
    let mut said = scene.round(5.0, leaks);
    said.sort_unstable();
    assert_eq!(said, ["raised 1", "raised 1 for records", "raised 2"]);
    let standing = scene.book.standing();
    let inhibited: Vec<_> = standing
        .iter()
        .map(|alert| alert.inhibited_by.as_ref())
        .collect();
    assert_eq!(inhibited.iter().flatten().count(), 1);
    assert!(inhibited.contains(&Some(&standing[0].id)));
    // The critical one is cleared by another rule; what is left is told now.
    scene.settings.keep_firing = Span::from_mins(60);
    let critical = standing[0].id.clone();
    scene.book.open.remove(&critical);
    assert_eq!(
        scene.round(5.0, vec![]),
        ["updated 1 for records", "raised 1 for people"]
    );
}

#[test]
fn a_restart_is_told_from_an_end() {
    for (oom, reason) in [(false, "cleared 1 Exited"), (true, "cleared 1 OomKilled")] {
        let mut scene = Scene::new();
        scene.round(5.0, vec![leak(1, "a")]);
        scene.end(1);
        if oom {
            scene.oom_killed.insert(1);
        }
        assert_eq!(scene.round(5.0, vec![]), [reason]);
    }
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    scene.end(1);
    scene.restarted.insert(1);
    assert_eq!(scene.round(5.0, vec![]), ["cleared 1 Restarted"]);
    // The same thing leaks again: the same alert, another incident.
    let first = identity(&leak(1, "a"));
    assert_eq!(scene.round(5.0, vec![leak(2, "a")]), ["raised 2"]);
    let again = scene.book.standing().remove(0);
    assert_eq!(again.id, first);
    assert_eq!(again.raised, scene.now().time);
}

#[test]
fn that_the_host_is_short_of_memory_is_said() {
    for (available, percent, said) in [
        (8 << 30, Some(2.0), None),
        (512 << 20, None, Some("512 MiB of 16 GiB left")),
        (
            8 << 30,
            Some(25.4),
            Some("waited for it for 25 % of the last minute"),
        ),
    ] {
        let mut scene = Scene::new();
        scene.memory = Some(HostMemory {
            available_bytes: available,
            total_bytes: 16 << 30,
            pressure_percent: percent,
        });
        scene.round(5.0, vec![leak(1, "a")]);
        let alert = scene.book.standing().remove(0);
        let message = alert.message;
        assert_eq!(
            message.contains("the host is short of memory"),
            said.is_some()
        );
        assert!(message.contains(said.unwrap_or_default()), "{message}");
        assert_eq!(alert.host_available_bytes, Some(available));
    }
}

#[test]
fn what_has_ended_before_it_was_said_is_not_said() {
    let mut scene = Scene::new();
    scene.rule = None;
    assert_eq!(scene.round(5.0, vec![leak(1, "a")]), [""; 0]);
    assert_eq!(scene.book.n_open(), 0);
}

#[test]
fn a_storm_is_for_the_record_whole() {
    let mut scene = Scene::new();
    let leaks = (1..=200).map(|pid| leak(pid, &format!("unit-{pid}")));
    assert_eq!(scene.round(5.0, leaks.collect()).len(), 200);
    assert_eq!(scene.book.standing().len(), 200);
    (1..=200).for_each(|pid| scene.end(pid));
    assert_eq!(scene.round(5.0, vec![]).len(), 200);
}
