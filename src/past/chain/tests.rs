use crate::detect::{Growth, Lane, Slope};
use crate::past::tests::{HOUR, MIB, at, level, run};
use crate::past::{Look, Past};

/// A run of so many hours, up to now, that grew by so many MiB a minute from 100 MiB on; the last
/// so many hours of it level.
fn grown(hours: f64, mib_per_min: f64, level_hours: f64) -> Look {
    let lasted_secs = 0.9 * hours * HOUR;
    let gained = mib_per_min * lasted_secs / 60.0;
    let bytes_per_sec = mib_per_min * MIB as f64 / 60.0;
    Look {
        growth: Some(growth(bytes_per_sec, lasted_secs)),
        is_suspect: true,
        ..level(hours, 100 + gained as u64, level_hours)
    }
}

fn growth(bytes_per_sec: f64, lasted_secs: f64) -> Growth {
    Growth {
        lane: Lane::Slow,
        before: crate::detect::Before::Calm,
        gained_bytes: bytes_per_sec * lasted_secs,
        secs: lasted_secs,
        lasted_secs,
        bytes_per_sec: Slope {
            median: bytes_per_sec,
            low: bytes_per_sec,
            high: bytes_per_sec,
        },
    }
}

/// What is carried over to a process that started so many hours after 0, and has grown by so many
/// MiB a minute for half an hour, from a height in MiB.
fn carried_hours(past: &Past, started: f64, mib_per_min: f64, base_mib: f64) -> f64 {
    let now = at(started + 0.6);
    let growth = growth(mib_per_min * MIB as f64 / 60.0, 1800.0);
    let bytes = base_mib * MIB as f64 + growth.gained_bytes;
    let Some(before) = past.prior("web", now.time).interrupted else {
        return 0.0;
    };
    before.carried_secs(&growth, at(started).time, bytes as u64) / HOUR
}

fn cut_off(past: &mut Past, ends: &[(f64, Look)]) {
    for (hours, look) in ends {
        run(past).end(look, &at(*hours), past);
    }
}

#[test]
fn only_a_run_that_grew_until_it_was_cut_off_is_carried_over() {
    let run_of = |hours, level_hours| grown(hours, 2.0, level_hours);
    let short_growth = Look {
        growth: Some(growth(2.0 * MIB as f64 / 60.0, 0.4 * HOUR)),
        ..run_of(1.0, 0.0)
    };
    let seen_late = Look {
        age_secs: 1e8,
        seen_secs: HOUR,
        ..run_of(1.0, 0.0)
    };
    let no_level = Look {
        level: None,
        ..run_of(1.0, 0.0)
    };
    let no_growth = Look {
        growth: None,
        ..run_of(1.0, 0.0)
    };
    for (name, look, is_carried) in [
        ("an hour", run_of(1.0, 0.1), true),
        ("three quarters", run_of(0.75, 0.1), true),
        ("less is a job", run_of(0.74, 0.1), false),
        ("without a level", no_level, true),
        ("half of its growth is none", run_of(1.0, 0.46), false),
        ("for less than half of its time", short_growth, false),
        ("older than the daemon", seen_late, true),
        ("no growth", no_growth, false),
    ] {
        let mut past = Past::default();
        let killed = Look {
            lacked_memory: true,
            ..look
        };
        cut_off(&mut past, &[(10.0, killed)]);
        let carried = carried_hours(&past, 10.0, 2.0, 100.0);
        assert_eq!(carried > 0.0, is_carried, "{name}");
        assert_eq!(past.programs["web"].n_runs, 1, "{name}");
    }
}

#[test]
fn the_next_run_goes_on_if_it_grows_alike_and_from_below() {
    let mut past = Past::default();
    // Of 1.5 h, in which it grew for 1.35 h, from 100 MiB to 262 MiB.
    let look = grown(1.5, 2.0, 0.1);
    cut_off(&mut past, &[(10.0, look), (11.5, look)]);
    for (name, started, mib_per_min, base_mib, hours) in [
        ("at once", 11.5, 2.0, 100.0, 2.7),
        ("after a pause", 11.66, 2.0, 100.0, 2.7),
        ("after too long", 11.67, 2.0, 100.0, 0.0),
        ("there before", 11.34, 2.0, 100.0, 2.7),
        ("there for long before", 11.33, 2.0, 100.0, 0.0),
        ("half as fast", 11.5, 1.0, 100.0, 2.7),
        ("slower", 11.5, 0.9, 100.0, 0.0),
        ("twice as fast", 11.5, 4.0, 100.0, 2.7),
        ("faster", 11.5, 4.1, 100.0, 0.0),
        ("from half of the height", 11.5, 2.0, 180.0, 2.7),
        ("from the height of before", 11.5, 2.0, 190.0, 0.0),
    ] {
        let carried = carried_hours(&past, started, mib_per_min, base_mib);
        assert!((carried - hours).abs() < 0.01, "{name}: {carried}");
    }
}

#[test]
fn what_is_carried_is_two_runs_or_one_that_lacked_memory() {
    let look = grown(1.5, 2.0, 0.1);
    let faster = grown(1.5, 5.0, 0.1);
    let done = level(1.5, 200, 1.0);
    let short = grown(0.5, 2.0, 0.1);
    let killed = Look {
        lacked_memory: true,
        ..look
    };
    // When runs of an hour and a half ended; what the next, from then on, is given.
    for (name, ends, hours) in [
        ("none", &[][..], 0.0),
        ("one", &[(10.0, look)][..], 0.0),
        ("one that was killed", &[(10.0, killed)], 1.35),
        ("two", &[(10.0, look), (11.55, look)], 2.7),
        ("three", &[(10.0, look), (11.55, look), (13.1, look)], 4.05),
        ("two, the last killed", &[(10.0, look), (11.5, killed)], 2.7),
        ("with an hour between", &[(10.0, look), (12.5, look)], 0.0),
        (
            "an hour between, killed",
            &[(10.0, look), (12.5, killed)],
            1.35,
        ),
        ("two at the same time", &[(10.0, look), (10.01, look)], 0.0),
        (
            "two pairs",
            &[(10.0, look), (10.01, look), (11.5, look), (11.51, look)],
            2.7,
        ),
        ("of other rates", &[(10.0, look), (11.5, faster)], 0.0),
        (
            "one that levelled off between",
            &[(10.0, look), (11.5, done), (13.0, look)],
            0.0,
        ),
        (
            "a short one between",
            &[(10.0, look), (10.5, short), (12.0, look)],
            0.0,
        ),
    ] {
        let mut past = Past::default();
        cut_off(&mut past, ends);
        let last = ends.last().map_or(0.0, |(hours, _)| *hours);
        let carried = carried_hours(&past, last, 2.0, 100.0);
        assert!((carried - hours).abs() < 0.01, "{name}: {carried}");

        // It survives a restart of the daemon.
        let text = serde_json::to_string(&past).expect("can be written");
        let read: Past = serde_json::from_str(&text).expect("can be read");
        assert_eq!(carried_hours(&read, last, 2.0, 100.0), carried, "{name}");
    }
}

#[test]
fn a_file_of_before_reads() {
    let text = r#"{"programs":{"web":{"n_runs":3,"plateau":null,"n_leaks":1,
        "leaked_at":"2026-03-01T12:00:00Z","seen_at":"2026-03-01T12:00:00Z"}},"n_dropped":0}"#;
    let past: Past = serde_json::from_str(text).expect("can be read");
    assert_eq!(past.programs["web"].interrupted, None);
}
