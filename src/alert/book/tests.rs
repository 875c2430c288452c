use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::*;
use crate::alert::{Cause, Change, Reach};
use crate::collect::{Facts, Headroom, HostMemory, LimitKind};
use crate::config::Severity;
use crate::detect::{Before, Growth, Lane, Slope};
use crate::quantity::Span;
use crate::sample::{Comm, Sample};
use crate::watch::{Peers, Sizes};

mod attention;

const MIB: u64 = 1 << 20;

/// A host in words: processes with sizes, and a book that is told of their leaks.
struct Scene {
    book: Book,
    settings: config::Alert,
    secs: f64,
    sizes: RefCell<BTreeMap<ProcessId, u64>>,
    rule: Option<&'static str>,
    /// Who is not measured at present.
    unseen: BTreeSet<u32>,
    /// Who was killed as memory ran out.
    oom_killed: BTreeSet<u32>,
    /// In whose place another one runs.
    restarted: BTreeSet<u32>,
    memory: Option<HostMemory>,
    /// Whether it is known which rule a process has.
    knows_rules: bool,
    /// Time that a round stands for, if not the time since the one before.
    stands_secs: Option<f64>,
}

impl Scene {
    fn new() -> Self {
        Self {
            book: Book::default(),
            settings: config::Alert {
                keep_firing: Span::from_mins(15),
                ..config::Alert::default()
            },
            secs: 1000.0,
            sizes: RefCell::default(),
            rule: Some("default"),
            unseen: BTreeSet::new(),
            oom_killed: BTreeSet::new(),
            restarted: BTreeSet::new(),
            memory: None,
            knows_rules: true,
            stands_secs: None,
        }
    }

    fn now(&self) -> Moment {
        let time = Timestamp::from_second(1_700_000_000 + self.secs as i64).expect("in range");
        Moment {
            monotonic_secs: self.secs,
            boot_secs: self.secs,
            time,
        }
    }

    /// A round after `secs` more seconds: what is said, as `change pid reason`.
    fn round(&mut self, secs: f64, leaks: Vec<Leak>) -> Vec<String> {
        self.secs += secs;
        for leak in &leaks {
            self.sizes
                .borrow_mut()
                .insert(leak.sample.process, leak.sample.bytes);
        }
        let rule = self.rule;
        let sizes = self.sizes.borrow();
        let pulse = |_: &Alert, process: ProcessId| {
            let bytes = *sizes.get(&process).ok_or(match process.pid {
                pid if self.oom_killed.contains(&pid) => End::OomKilled,
                pid if self.restarted.contains(&pid) => End::Restarted,
                _ => End::Exited,
            })?;
            let sizes = Sizes {
                bytes,
                floor_bytes: bytes,
                secs: self.stands_secs.unwrap_or(secs),
            };
            Ok(Pulse {
                sizes: Some(sizes).filter(|_| !self.unseen.contains(&process.pid)),
                rule: self.knows_rules.then_some(rule),
            })
        };
        let now = self.now();
        let surroundings = Surroundings {
            host: "host",
            memory: self.memory,
        };
        let book = &mut self.book;
        let said = book.round(&now, &self.settings, surroundings, leaks, pulse);
        said.iter().map(words).collect()
    }

    fn grow(&self, pid: u32, bytes: u64) {
        *self
            .sizes
            .borrow_mut()
            .get_mut(&process(pid))
            .expect("a process of the scene") += bytes;
    }

    fn end(&self, pid: u32) {
        self.sizes.borrow_mut().remove(&process(pid));
    }

    /// Rounds of a minute each, in which nothing may be said.
    fn pass(&mut self, minutes: u32) {
        for minute in 1..=minutes {
            assert_eq!(self.round(60.0, vec![]), [""; 0], "after {minute} min");
        }
    }

    fn state(&self) -> State {
        self.book.standing()[0].state
    }
}

/// `change pid reason`, and for whom that is if it is not for all.
fn words(said: &Announcement) -> String {
    let Announcement { alert, reach } = said;
    let mut words = format!("{} {}", alert.change, alert.pid);
    if let Some(reason) = alert.reason {
        words += &format!(" {reason:?}");
    }
    match reach {
        Reach::All => words,
        Reach::Records => words + " for records",
        Reach::People => words + " for people",
    }
}

fn process(pid: u32) -> ProcessId {
    ProcessId {
        pid,
        start_time_ns: 7,
    }
}

/// A process of some unit that leaks 1 MiB a second.
fn leak(pid: u32, unit: &str) -> Leak {
    let comm = Comm::new("server");
    let sample = Sample {
        process: process(pid),
        comm,
        parent_pid: 1,
        uid: 0,
        cgroup_id: 1,
        bytes: 500 * MIB,
        shared_bytes: 0,
        file_bytes: 0,
        virtual_bytes: 0,
    };
    Leak {
        sample,
        facts: Facts {
            unit: Some(unit.to_owned()),
            ..Facts::default()
        },
        source: Source::Pages,
        cause: Cause::Unknown,
        heap: None,
        rule: "default".to_owned(),
        growth: Growth {
            lane: Lane::Slow,
            gained_bytes: 100.0 * MIB as f64,
            secs: 100.0,
            lasted_secs: 110.0,
            before: Before::Calm,
            bytes_per_sec: Slope {
                low: MIB as f64,
                median: 1.1 * MIB as f64,
                high: 1.2 * MIB as f64,
            },
        },
        checks: Vec::new(),
        curve: Vec::new(),
        headroom: None,
        forecast: None,
        severity: Severity::Warning,
        peers: Peers::default(),
        loss: Vec::new(),
    }
}

fn critical(leak: Leak) -> Leak {
    let headroom = Headroom {
        kind: LimitKind::Host,
        limit_bytes: 1 << 30,
        headroom_bytes: 100 * MIB,
    };
    Leak {
        severity: Severity::Critical,
        headroom: Some(headroom),
        ..leak
    }
}

#[test]
fn a_cause_that_gets_known_is_said_once() {
    let mut scene = Scene::new();
    let because = |cause| Leak {
        cause,
        ..leak(1, "a")
    };
    assert_eq!(scene.round(5.0, vec![leak(1, "a")]), ["raised 1"]);
    assert_eq!(scene.round(5.0, vec![because(Cause::Heap)]), ["updated 1"]);
    assert_eq!(scene.round(5.0, vec![because(Cause::Heap)]), [""; 0]);
    // What is in doubt again, or another opinion, is no news; the figures are kept up to date.
    assert_eq!(scene.round(5.0, vec![leak(1, "a")]), [""; 0]);
    assert_eq!(scene.round(5.0, vec![because(Cause::Mapping)]), [""; 0]);
    assert_eq!(scene.book.standing()[0].cause, Cause::Mapping);
}

#[test]
fn a_leak_is_said_once_and_its_end_too() {
    let mut scene = Scene::new();
    assert_eq!(scene.round(5.0, vec![leak(1, "a")]), ["raised 1"]);
    assert_eq!(scene.round(5.0, vec![leak(1, "a")]), [""; 0]);
    assert_eq!(scene.round(5.0, vec![]), [""; 0]);
    scene.end(1);
    assert_eq!(scene.round(5.0, vec![]), ["cleared 1 Exited"]);
    assert_eq!(scene.round(5.0, vec![]), [""; 0]);
}

#[test]
fn growth_keeps_an_alert_open_and_its_absence_clears_it() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    for _ in 0..20 {
        scene.grow(1, 300 * MIB);
        assert_eq!(scene.round(600.0, vec![]), [""; 0]);
    }
    assert_eq!(scene.round(899.0, vec![]), [""; 0]);
    assert_eq!(scene.round(1.0, vec![]), ["cleared 1 StoppedGrowing"]);
}

#[test]
fn a_second_worker_joins_and_the_alert_ends_with_the_last() {
    let mut scene = Scene::new();
    let mut said = scene.round(5.0, vec![leak(1, "a"), leak(2, "a"), leak(3, "b")]);
    said.sort_unstable();
    assert_eq!(said, ["raised 1", "raised 3"]);
    let mut processes: Vec<usize> = scene
        .book
        .standing()
        .iter()
        .map(|alert| alert.processes)
        .collect();
    processes.sort_unstable();
    assert_eq!(processes, [1, 2]);
    scene.end(1);
    assert_eq!(scene.round(5.0, vec![]), [""; 0]);
    scene.end(2);
    scene.end(3);
    assert_eq!(scene.round(5.0, vec![]).len(), 2);
}

#[test]
fn identity_is_the_rule_and_the_unit_not_the_process() {
    assert_eq!(identity(&leak(1, "a")), identity(&leak(2, "a")));
    assert_ne!(identity(&leak(1, "a")), identity(&leak(1, "b")));
    let other_rule = Leak {
        rule: "web".to_owned(),
        ..leak(1, "a")
    };
    assert_ne!(identity(&leak(1, "a")), identity(&other_rule));
    // Written down where people may have filters: it must not change with a version.
    assert_eq!(identity(&leak(1, "a")), "633d0acc16cc");
}

#[test]
fn escalation_does_not_wait_and_reminders_diminish() {
    let mut scene = Scene::new();
    scene.settings.repeat = Span::from_mins(60);
    scene.round(5.0, vec![leak(1, "a")]);
    assert_eq!(
        scene.round(5.0, vec![critical(leak(1, "a"))]),
        ["escalated 1"]
    );
    assert_eq!(scene.round(5.0, vec![critical(leak(1, "a"))]), [""; 0]);
    let mut reminded_after = Vec::new();
    for minute in 1..=8 * 60 {
        scene.grow(1, 60 * MIB);
        if !scene.round(60.0, vec![]).is_empty() {
            reminded_after.push(minute);
        }
    }
    assert_eq!(reminded_after, [60, 180, 420]);
}

#[test]
fn open_alerts_are_bounded() {
    let mut scene = Scene::new();
    scene.round(
        5.0,
        (1..=1100)
            .map(|pid| leak(pid, &format!("unit-{pid}")))
            .collect(),
    );
    assert_eq!(
        (scene.book.n_open(), scene.book.n_dropped()),
        (MAX_OPEN, 100)
    );
}

#[test]
fn a_restart_of_the_daemon_neither_repeats_nor_forgets() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a"), leak(2, "b"), leak(3, "c")]);
    let kept = serde_json::to_string(&scene.book).expect("a book as JSON");
    scene.book = serde_json::from_str(&kept).expect("a book from JSON");
    // Nobody looked for an hour, in which one process ended.
    scene.secs += 3600.0;
    scene.end(2);
    scene.book.resume(&scene.now(), true);
    assert_eq!(scene.round(5.0, vec![leak(1, "a")]), ["cleared 2 Exited"]);
    // A boot ends them all.
    scene.book.resume(&scene.now(), false);
    assert_eq!(scene.round(5.0, vec![]).len(), 2);
}

#[test]
fn another_rule_clears() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    scene.rule = None;
    assert_eq!(scene.round(5.0, vec![]), ["cleared 1 RuleChanged"]);
}

#[test]
fn what_is_not_measured_grows_stale_and_is_never_cleared() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    // Quiet for most of the time that would clear it.
    scene.pass(14);
    scene.unseen.insert(1);
    scene.pass(14);
    assert_eq!(scene.state(), State::Firing);
    assert_eq!(scene.round(60.0, vec![]), ["updated 1"]);
    let stale = scene.book.standing().remove(0);
    assert_eq!(stale.state, State::Stale);
    assert!(
        stale
            .message
            .contains("nothing has been seen of server (pid 1, a) for 15 min"),
        "{}",
        stale.message
    );
    scene.pass(600);
    assert_eq!(scene.state(), State::Stale);
    // It is seen again, and goes on being quiet where it was.
    scene.unseen.clear();
    assert_eq!(
        scene.round(60.0, vec![]),
        ["cleared 1 StoppedGrowing"],
        "a minute was left"
    );
}

#[test]
fn what_comes_back_is_said_once_whatever_comes_with_it() {
    for (name, bytes, again, said, minutes) in [
        ("quiet", 0, vec![], "updated 1", 13),
        ("grown", 300 * MIB, vec![], "updated 1", 14),
        ("found again", 0, vec![leak(1, "a")], "updated 1", 14),
        ("worse", 0, vec![critical(leak(1, "a"))], "escalated 1", 14),
    ] {
        let mut scene = Scene::new();
        scene.round(5.0, vec![leak(1, "a")]);
        scene.unseen.insert(1);
        scene.pass(14);
        assert_eq!(scene.round(60.0, vec![]), ["updated 1"], "{name}");
        scene.pass(5);
        scene.unseen.clear();
        scene.grow(1, bytes);
        assert_eq!(scene.round(60.0, again), [said], "{name}");
        let back = scene.book.standing().remove(0);
        assert_eq!(back.state, State::Firing, "{name}");
        assert_eq!(back.unseen_since, None, "{name}");
        if said == "updated 1" {
            assert!(
                back.message.contains("is seen again, after 21 min"),
                "{name}: {}",
                back.message
            );
        }
        scene.pass(minutes);
        assert_eq!(
            scene.round(60.0, vec![]),
            ["cleared 1 StoppedGrowing"],
            "{name}"
        );
    }
}

#[test]
fn a_stale_alert_ends_with_its_process_or_its_rule() {
    for (end, said) in [
        ("exit", "cleared 1 Exited"),
        ("oom", "cleared 1 OomKilled"),
        ("rule", "cleared 1 RuleChanged"),
    ] {
        let mut scene = Scene::new();
        scene.round(5.0, vec![leak(1, "a")]);
        scene.unseen.insert(1);
        scene.round(900.0, vec![]);
        assert_eq!(scene.state(), State::Stale);
        match end {
            "rule" => scene.rule = Some("other"),
            _ => scene.end(1),
        }
        if end == "oom" {
            scene.oom_killed.insert(1);
        }
        assert_eq!(scene.round(5.0, vec![]), [said]);
    }
}

#[test]
fn it_is_stale_only_when_none_of_its_processes_is_seen() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a"), leak(2, "a")]);
    scene.unseen.insert(1);
    for _ in 0..40 {
        scene.grow(2, 60 * MIB);
        scene.pass(1);
    }
    assert_eq!(scene.state(), State::Firing);
    scene.end(2);
    assert_eq!(scene.round(60.0, vec![]), ["updated 1"]);
    assert_eq!(scene.state(), State::Stale);
}

#[test]
fn a_gap_does_not_clear() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    // Nobody looked for ten hours: the next round stands for half a minute of them.
    scene.stands_secs = Some(30.0);
    assert_eq!(scene.round(36_000.0, vec![]), [""; 0]);
    scene.stands_secs = None;
    scene.pass(14);
    assert_eq!(scene.round(60.0, vec![]), ["cleared 1 StoppedGrowing"]);
}

#[test]
fn what_is_measured_anew_counts_from_where_it_begins() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    scene.round(5.0, vec![]);
    scene.unseen.insert(1);
    scene.round(60.0, vec![]);
    scene.unseen.clear();
    // From nothing, at the rate that raised it: far from where it was, but growing.
    scene.sizes.borrow_mut().insert(process(1), 0);
    for _ in 0..30 {
        scene.pass(1);
        scene.grow(1, 60 * MIB);
    }
    assert_eq!(scene.book.standing()[0].growth_bytes, 29 * 60 * MIB);
}

#[test]
fn a_kill_for_lack_of_memory_is_the_reason_even_if_others_end_after_it() {
    for (first, second, said) in [(1, 2, "cleared 1 OomKilled"), (2, 1, "cleared 1 OomKilled")] {
        let mut scene = Scene::new();
        scene.round(5.0, vec![leak(1, "a"), leak(2, "a")]);
        scene.oom_killed.insert(1);
        scene.end(first);
        scene.pass(1);
        scene.end(second);
        assert_eq!(scene.round(5.0, vec![]), [said]);
    }
    // One that goes on, and stops growing later, was not.
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a"), leak(2, "a")]);
    scene.oom_killed.insert(1);
    scene.end(1);
    scene.pass(14);
    assert_eq!(scene.round(60.0, vec![]), ["cleared 1 StoppedGrowing"]);
}

#[test]
fn a_state_of_before_is_taken_on() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    let mut kept = serde_json::to_value(&scene.book).expect("a book as JSON");
    let open = kept["open"].as_object_mut().expect("alerts");
    for open in open.values_mut() {
        let alert = open["alert"].as_object_mut().expect("an alert");
        for field in [
            "state",
            "unseen_since",
            "exhausts_in_secs_low",
            "exhausts_in_secs_high",
        ] {
            alert.remove(field).expect("a field");
        }
        let open = open.as_object_mut().expect("an alert");
        for field in ["said_state", "was_oom_killed"] {
            open.remove(field).expect("a field");
        }
        let member = open["members"][0].as_object_mut().expect("a member");
        for field in ["quiet_secs", "unseen_secs"] {
            member.remove(field).expect("a field");
        }
        member.insert("mark_secs".to_owned(), 1005.0.into());
    }
    scene.book = serde_json::from_value(kept).expect("a book from JSON");
    scene.secs += 3600.0;
    scene.book.resume(&scene.now(), true);
    scene.pass(14);
    assert_eq!(scene.round(60.0, vec![]), ["cleared 1 StoppedGrowing"]);
}

#[test]
fn a_restart_of_the_daemon_neither_winds_the_clock_back_nor_on() {
    let mut scene = Scene::new();
    scene.round(5.0, vec![leak(1, "a")]);
    for _ in 0..2 {
        scene.pass(7);
        let kept = serde_json::to_string(&scene.book).expect("a book as JSON");
        scene.book = serde_json::from_str(&kept).expect("a book from JSON");
        scene.secs += 3600.0;
        scene.book.resume(&scene.now(), true);
    }
    assert_eq!(scene.round(60.0, vec![]), ["cleared 1 StoppedGrowing"]);
}

#[test]
fn where_it_leaks_is_said_of_what_has_been_said() {
    let mut scene = Scene::new();
    let sites = || vec![Site::default()];
    let now = scene.now();
    let unknown = scene
        .book
        .locate(&now, "0123456789ab", process(1), Ok(sites()));
    assert_eq!(unknown, None);
    scene.round(5.0, vec![leak(1, "a")]);
    let firing: Vec<_> = scene.book.firing().map(|(_, shown)| shown).collect();
    assert_eq!(firing, [process(1)]);
    let id = scene.book.standing()[0].id.clone();
    let now = scene.now();
    let why = "the process confines itself".to_owned();
    assert_eq!(
        scene.book.locate(&now, &id, process(1), Err(why.clone())),
        None
    );
    assert_eq!(scene.book.standing()[0].sites_missing, Some(why));
    let said = scene
        .book
        .locate(&now, &id, process(1), Ok(sites()))
        .expect("a change")
        .alert;
    assert_eq!(said.change, Change::Updated);
    assert_eq!((said.sites, said.sites_missing), (sites(), None));
    // It is said once, and of this process.
    assert_eq!(scene.book.locate(&now, &id, process(1), Ok(sites())), None);
    let other = vec![Site {
        bytes: 7,
        ..Site::default()
    }];
    assert_eq!(scene.book.locate(&now, &id, process(2), Ok(other)), None);
    // What is found out later does not undo it.
    let why = "it was too busy".to_owned();
    assert_eq!(scene.book.locate(&now, &id, process(1), Err(why)), None);
    assert_eq!(scene.book.standing()[0].sites, sites());
    assert_eq!(scene.round(5.0, vec![]), [""; 0]);
}
