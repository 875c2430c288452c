use super::*;
use crate::detect::Level;
use crate::sample::Moment;

pub(super) const MIB: u64 = 1 << 20;
pub(super) const HOUR: f64 = 3600.0;

pub(super) fn at(hours: f64) -> Moment {
    let secs = hours * HOUR;
    Moment {
        monotonic_secs: secs,
        boot_secs: secs,
        time: Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(secs),
    }
}

/// A process of an age that has kept a level for some time.
pub(super) fn level(age_hours: f64, mib: u64, level_hours: f64) -> Look {
    Look {
        age_secs: age_hours * HOUR,
        level: Some(Level {
            bytes: mib * MIB,
            secs: level_hours * HOUR,
        }),
        is_suspect: false,
        bytes: mib * MIB,
        seen_secs: age_hours * HOUR,
        growth: None,
        lacked_memory: false,
    }
}

/// Of a process that has just started.
pub(super) fn run(past: &Past) -> Run {
    Run::new("web".to_owned(), 0.0, &at(10.0), past)
}

fn plateau_mib(past: &Past) -> Option<u64> {
    let prior = past.prior("web", at(0.0).time);
    prior.plateau_bytes.map(|bytes| bytes / MIB)
}

#[test]
fn patience_goes_by_the_plateau_and_then_by_leaks() {
    for (plateau_mib, leaked, mib, factor) in [
        (None, false, 10, 1.0),
        (None, true, 10, 0.5),
        (Some(500), false, 10, 4.0),
        (Some(500), false, 500, 4.0),
        (Some(500), false, 549, 4.0),
        (Some(500), false, 550, 1.0),
        (Some(500), false, 5000, 1.0),
        (Some(500), true, 549, 4.0),
        (Some(500), true, 550, 0.5),
        (Some(0), false, 0, 1.0),
    ] {
        let prior = Prior {
            plateau_bytes: plateau_mib.map(|mib| mib * MIB),
            settles_secs: None,
            leaked,
            interrupted: None,
        };
        assert_eq!(patience(&prior, mib * MIB), factor, "{prior:?} {mib}");
    }
}

#[test]
fn a_plateau_is_kept_for_as_long_as_it_took_to_get_there() {
    let suspect = Look {
        is_suspect: true,
        ..level(5.0, 500, 4.0)
    };
    let none = Look {
        level: None,
        ..level(5.0, 500, 4.0)
    };
    for (name, look, learnt) in [
        (
            "an hour to fill, four at rest",
            level(5.0, 500, 4.0),
            Some(500),
        ),
        ("as long as it took", level(5.0, 500, 2.5), Some(500)),
        ("less", level(5.0, 500, 2.4), None),
        ("half an hour at the least", level(0.6, 500, 0.5), Some(500)),
        ("less than that", level(0.6, 500, 0.49), None),
        ("older than it is", level(1.0, 500, 1.2), Some(500)),
        ("seen for a day, of a year", level(8760.0, 500, 24.0), None),
        ("it grows like a leak", suspect, None),
        ("it has no level", none, None),
    ] {
        let mut past = Past::default();
        run(&past).look(&look, &at(10.0), &mut past);
        assert_eq!(plateau_mib(&past), learnt, "{name}");
        let mut past = Past::default();
        run(&past).end(&look, &at(10.0), &mut past);
        assert_eq!(plateau_mib(&past), learnt, "{name}, at its end");
    }
}

#[test]
fn it_is_told_when_a_program_settles() {
    let mut past = Past::default();
    run(&past).look(&level(5.0, 500, 4.0), &at(10.0), &mut past);
    let prior = past.prior("web", at(11.0).time);
    assert_eq!(prior.settles_secs, Some(HOUR));
    assert_eq!(past.prior("mail", at(11.0).time), Prior::default());
}

#[test]
fn a_run_that_leaked_is_no_plateau_and_counts_once() {
    let mut past = Past::default();
    let mut run = run(&past);
    run.leak(&at(1.0), &mut past);
    run.leak(&at(2.0), &mut past);
    run.end(&level(100.0, 500, 90.0), &at(100.0), &mut past);
    assert_eq!(plateau_mib(&past), None);
    let web = &past.programs["web"];
    assert_eq!((web.n_runs, web.n_leaks), (1, 1));
    assert_eq!(web.leaked_at, Some(at(1.0).time));
    for (hours, leaked) in [(2.0, true), (89.0 * 24.0, true), (91.0 * 24.0, false)] {
        assert_eq!(past.prior("web", at(hours).time).leaked, leaked, "{hours}");
    }
}

/// The daemon was started anew after it had found a process leaking, which goes on, and rests.
#[test]
fn what_may_be_the_run_that_leaked_teaches_no_plateau() {
    for (age_hours, learnt) in [(50.0, None), (39.0, Some(500))] {
        let mut past = Past::default();
        past.learn("web", Lesson::Leaked, at(60.0).time);
        let mut run = Run::new("web".to_owned(), age_hours * HOUR, &at(100.0), &past);
        run.look(&level(age_hours, 500, 35.0), &at(100.0), &mut past);
        run.leak(&at(101.0), &mut past);
        assert_eq!(plateau_mib(&past), learnt, "{age_hours} h old");
        let n_leaks = if learnt.is_some() { 2 } else { 1 };
        assert_eq!(past.programs["web"].n_leaks, n_leaks, "{age_hours} h old");
    }
}

#[test]
fn higher_plateaus_count_at_once_and_lower_ones_bit_by_bit() {
    let mut past = Past::default();
    for (mib, learnt) in [(400, 400), (800, 800), (400, 700), (400, 625), (700, 700)] {
        run(&past).end(&level(5.0, mib, 4.0), &at(10.0), &mut past);
        assert_eq!(plateau_mib(&past), Some(learnt));
    }
    assert_eq!(past.programs["web"].n_runs, 5);
}

/// Among bigger ones, a small worker that lives long does not count again and again.
#[test]
fn a_run_teaches_each_plateau_once() {
    let mut past = Past::default();
    run(&past).look(&level(5.0, 800, 4.0), &at(10.0), &mut past);
    let mut small = run(&past);
    for step in 0..20u32 {
        let now = at(10.0 + f64::from(step) / 5.0);
        assert!(small.is_due(&now));
        small.look(&level(5.0, 400, 4.0), &now, &mut past);
        assert!(!small.is_due(&now));
        assert_eq!(plateau_mib(&past), Some(700));
    }
    assert_eq!(past.n_lessons(), 2);
    small.look(&level(50.0, 900, 40.0), &at(60.0), &mut past);
    assert_eq!(plateau_mib(&past), Some(900));
}

#[test]
fn it_is_bounded() {
    let mut past = Past::default();
    let name = |n: usize| format!("program-{n}");
    for n in 0..MAX_PROGRAMS + 3 {
        past.learn(&name(n), Lesson::Leaked, at(n as f64).time);
        past.see(&name(0), at(n as f64).time);
    }
    assert_eq!((past.n_programs(), past.n_dropped()), (MAX_PROGRAMS, 3));
    let now = at(2000.0).time;
    let known: Vec<bool> = (0..5).map(|n| past.prior(&name(n), now).leaked).collect();
    assert_eq!(known, [true, false, false, false, true]);

    past.learn(&"x".repeat(MAX_NAME + 1), Lesson::Leaked, now);
    assert_eq!((past.n_programs(), past.n_dropped()), (MAX_PROGRAMS, 4));

    // A file that was tampered with.
    let program = past.programs[&name(4)].clone();
    let more = (0..50).map(|n| (format!("more-{n}"), program.clone()));
    past.programs.extend(more);
    past.learn("web", Lesson::Ended, now);
    assert_eq!(past.n_programs(), MAX_PROGRAMS);
}

#[test]
fn what_is_written_reads_back() {
    let mut past = Past::default();
    past.learn("web.service\0/bin/web", Lesson::Leaked, at(1.0).time);
    let plateau = Plateau {
        bytes: 500 * MIB,
        settles_secs: 1234.5,
    };
    past.learn(
        "web.service\0/bin/web",
        Lesson::Settled(plateau),
        at(2.0).time,
    );
    past.learn("mail", Lesson::Ended, at(3.0).time);
    let text = serde_json::to_string(&past).expect("can be written");
    let read: Past = serde_json::from_str(&text).expect("can be read");
    assert_eq!((&read.programs, read.n_dropped), (&past.programs, 0));
    assert_eq!(serde_json::to_string(&read).expect("can be written"), text);
}
