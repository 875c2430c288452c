use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::curve::MAX_MARKS;
use crate::sample::Point;

const MIB: u64 = 1 << 20;
const DAY: f64 = 86_400.0;
const BOOT: &str = "11111111-2222-3333-4444-555555555555";

fn process(pid: u32) -> ProcessId {
    ProcessId {
        pid,
        start_time_ns: u64::from(pid) * 10_000_000,
    }
}

/// So long after a start of the machine, which was ten years after 1970.
fn moment(boot_secs: f64) -> Moment {
    let started = Timestamp::from_second(10 * 365 * 86_400).expect("a time");
    Moment {
        monotonic_secs: boot_secs,
        boot_secs,
        time: started + SignedDuration::from_secs_f64(boot_secs),
    }
}

fn seen(pid: u32, bytes: u64) -> Observation {
    Observation {
        process: process(pid),
        uid: 1000 + pid,
        bytes,
        heap: None,
    }
}

fn nothing() -> Curve {
    Curve::default()
}

/// One round, in which these have an alert and those are suspects.
fn round(tracks: &mut Tracks, secs: f64, alerting: &[u32], suspects: &[u32]) -> usize {
    let processes = |pids: &[u32]| pids.iter().map(|pid| process(*pid)).collect::<Vec<_>>();
    let (alerting, suspects) = (processes(alerting), processes(suspects));
    let (chosen, n_left_out) = tracks.choose(&alerting, &suspects);
    for process in &chosen {
        tracks.observe(&moment(secs), &chosen, seen(process.pid, MIB), nothing);
    }
    tracks.alerting(&alerting);
    n_left_out
}

fn has(tracks: &Tracks, pid: u32) -> bool {
    let found = tracks.find(&moment(0.0), pid, u64::from(pid), None);
    found.is_some()
}

fn pages(tracks: &Tracks, now: &Moment, pid: u32) -> Vec<(f64, u64)> {
    let (_, curve) = tracks
        .find(now, pid, u64::from(pid), None)
        .expect("a curve");
    let points = curve.pages.iter();
    points
        .map(|point| (point.secs_ago, point.bytes / MIB))
        .collect()
}

#[test]
fn what_is_over_and_oldest_goes_first() {
    let mut tracks = Tracks::default();
    let full = MAX_TRACKS as u32;
    // One that had an alert, and many that never had one, each over a little later.
    round(&mut tracks, 0.0, &[0], &[]);
    for pid in 1..full {
        round(&mut tracks, f64::from(pid) * 5.0, &[], &[pid]);
    }
    assert!((0..full).all(|pid| has(&tracks, pid)));
    let late = f64::from(full) * 5.0;
    round(&mut tracks, late, &[], &[full]);
    assert!(has(&tracks, 0) && !has(&tracks, 1) && has(&tracks, 2) && has(&tracks, full));
    // Who is followed now is forgotten for nobody, and who has an alert comes before suspects.
    let suspects: Vec<_> = (1000..1000 + full).collect();
    assert_eq!(round(&mut tracks, late + 5.0, &[], &suspects), 0);
    assert!(suspects.iter().all(|pid| has(&tracks, *pid)) && !has(&tracks, 0));
    assert_eq!(round(&mut tracks, late + 10.0, &[7, 8], &suspects), 2);
    assert!(has(&tracks, 7) && has(&tracks, 8));
    let left: Vec<_> = suspects.iter().filter(|pid| has(&tracks, **pid)).collect();
    assert_eq!(left.len(), MAX_TRACKS - 2);
    // The same ones stay, in whatever order they come.
    let turned: Vec<_> = suspects.iter().rev().copied().collect();
    assert_eq!(round(&mut tracks, late + 15.0, &[7, 8], &turned), 2);
    assert!(left.iter().all(|pid| has(&tracks, **pid)));
}

#[test]
fn thirty_days_after_the_last_of_it_a_curve_is_forgotten() {
    let mut tracks = Tracks::default();
    round(&mut tracks, 0.0, &[1], &[]);
    round(&mut tracks, DAY, &[], &[2]);
    assert_eq!(tracks.kept(&moment(30.0 * DAY), BOOT).len(), 2);
    assert_eq!(tracks.kept(&moment(30.0 * DAY + 1.0), BOOT).len(), 1);
    assert!(!has(&tracks, 1) && has(&tracks, 2));
}

#[test]
fn what_is_remembered_fills_a_gap() {
    let mut tracks = Tracks::default();
    let chosen = [process(1)].into();
    let remembered = || Curve {
        pages: [(100.0, 2), (40.0, 3)]
            .map(|(secs_ago, mib)| Point {
                secs_ago,
                bytes: mib * MIB,
            })
            .into(),
        ..Curve::default()
    };
    let untold = || panic!("it was followed all the while");
    tracks.observe(&moment(1000.0), &chosen, seen(1, 4 * MIB), remembered);
    tracks.observe(&moment(1020.0), &chosen, seen(1, 5 * MIB), untold);
    tracks.observe(&moment(1080.0), &chosen, seen(1, 6 * MIB), untold);
    // Half of what is remembered now is known already.
    tracks.observe(&moment(1160.0), &chosen, seen(1, 9 * MIB), remembered);
    let expected = [
        (260.0, 2),
        (200.0, 3),
        (160.0, 4),
        (140.0, 5),
        (80.0, 6),
        (40.0, 3),
        (0.0, 9),
    ];
    assert_eq!(pages(&tracks, &moment(1160.0), 1), expected);
    // One that is not followed any more goes on as it is remembered, for who asks.
    let found = tracks.find(&moment(1300.0), 1, 1, Some(&remembered()));
    let (uid, curve) = found.expect("a curve");
    assert_eq!((uid, curve.pages.len()), (1001, expected.len() + 2));
    let found = tracks.find(&moment(1200.0), 1, 1, Some(&remembered()));
    assert_eq!(found.expect("a curve").1.pages.len(), expected.len());
    assert_eq!(pages(&tracks, &moment(1160.0), 1), expected);
}

#[test]
fn curves_survive_restarts_of_the_daemon_and_of_the_machine() {
    let mut tracks = Tracks::default();
    let chosen = [process(1)].into();
    for (secs, mib) in [(1000.0, 1), (1020.0, 2), (1040.0, 3)] {
        tracks.observe(&moment(secs), &chosen, seen(1, mib * MIB), nothing);
    }
    tracks.alerting(&[process(1)]);
    let kept = tracks.kept(&moment(1050.0), BOOT);
    let text = serde_json::to_string(&kept).expect("JSON");
    let kept: Vec<Kept> = serde_json::from_str(&text).expect("reads back");

    let mut again = Tracks::restore(&moment(1060.0), BOOT, kept.clone());
    let expected = [(60.0, 1), (40.0, 2), (20.0, 3)];
    assert_eq!(pages(&again, &moment(1060.0), 1), expected);
    again.observe(&moment(1100.0), &chosen, seen(1, 4 * MIB), nothing);
    let expected = [(100.0, 1), (80.0, 2), (60.0, 3), (0.0, 4)];
    assert_eq!(pages(&again, &moment(1100.0), 1), expected);

    // Another boot, an hour after that one had begun; its clock is right.
    let other = |boot_secs: f64| Moment {
        boot_secs,
        ..moment(3600.0 + boot_secs)
    };
    let mut after = Tracks::restore(&other(10.0), "another", kept.clone());
    let expected = [(2610.0, 1), (2590.0, 2), (2570.0, 3)];
    assert_eq!(pages(&after, &other(10.0), 1), expected);
    // What has its number and start time now is another process, and comes first.
    assert_eq!(after.find(&other(15.0), 1, 1, Some(&nothing())), None);
    after.observe(&other(20.0), &chosen, seen(1, 9 * MIB), nothing);
    assert_eq!(pages(&after, &other(20.0), 1), [(0.0, 9)]);
    let mut third = Tracks::restore(&other(50.0), "third", after.kept(&other(40.0), "another"));
    assert_eq!(pages(&third, &other(50.0), 1), [(30.0, 9)]);
    let boots: Vec<_> = third.kept(&other(60.0), "third");
    assert_eq!(boots.len(), 2);
    assert!(
        boots
            .iter()
            .any(|kept| kept.boot_id == BOOT && kept.has_alerted)
    );

    // A clock that has lost its battery, as it is before the network has come.
    let lost = Moment {
        time: Timestamp::UNIX_EPOCH,
        ..other(10.0)
    };
    let moved = Tracks::restore(&lost, "another", kept);
    let expected = [(40.0, 1), (20.0, 2), (0.0, 3)];
    assert_eq!(pages(&moved, &lost, 1), expected);
}

#[test]
fn what_is_on_disk_is_not_trusted() {
    let kept = |marks: &str| {
        format!(
            "{{\"boot_id\":\"x\",\"process\":{{\"pid\":1,\"start_time_ns\":10000000}},\
             \"uid\":0,\"has_alerted\":false,\"marks\":{marks}}}"
        )
    };
    let now = moment(1000.0);
    for (marks, n_points) in [
        ("[]", None),
        ("[[315361000,1,null]]", Some(1)),
        // Out of order, and twice.
        (
            "[[315361000,1,null],[315360000,2,5],[315361000,3,null]]",
            Some(1),
        ),
        ("[[-9223372036854775808,1,null]]", None),
        ("[[9223372036854775807,1,-2147483648]]", Some(1)),
    ] {
        let kept: Kept = serde_json::from_str(&kept(marks)).expect("reads");
        let tracks = Tracks::restore(&now, BOOT, vec![kept]);
        let found = tracks.find(&now, 1, 1, None);
        let found = found.map(|(_, curve)| curve.pages.len());
        assert_eq!(found, n_points, "{marks}");
    }
    // More than there may be.
    let many = (0..3 * MAX_TRACKS as u32).map(|pid| {
        let mut tracks = Tracks::default();
        round(&mut tracks, f64::from(pid), &[], &[pid]);
        tracks.kept(&moment(f64::from(pid)), BOOT).remove(0)
    });
    let mut tracks = Tracks::restore(&moment(1000.0), BOOT, many.collect());
    assert_eq!(tracks.kept(&moment(1000.0), BOOT).len(), MAX_TRACKS);
    assert!(has(&tracks, 3 * MAX_TRACKS as u32 - 1) && !has(&tracks, 0));
}

#[test]
fn it_is_bounded() {
    // A whole track of the longest numbers.
    let marks = (0..MAX_MARKS).map(|_| "[-62135596800,4294967295,-2147483648]".to_owned());
    let marks = marks.collect::<Vec<_>>().join(",");
    let boot_id = BOOT;
    let whole = format!(
        "{{\"boot_id\":\"{boot_id}\",\"process\":{{\"pid\":4294967295,\"start_time_ns\":18446744073709551615}},\
         \"uid\":4294967295,\"has_alerted\":false,\"marks\":[{marks}]}}"
    );
    let kept: Kept = serde_json::from_str(&whole).expect("a track");
    assert_eq!(serde_json::to_string(&kept).expect("JSON"), whole);
    let all = serde_json::to_vec(&vec![kept; MAX_TRACKS]).expect("JSON");
    let n_bytes = all.len();
    assert!(n_bytes < 16 << 20, "{n_bytes}");

    // As many as there may be, each of which has grown for forty days.
    let mut tracks = Tracks::default();
    let pids: Vec<_> = (0..MAX_TRACKS as u32).collect();
    let chosen: BTreeSet<_> = pids.iter().map(|pid| process(*pid)).collect();
    for step in 0..40 * 24 * 60 {
        let secs = f64::from(step) * 60.0;
        // The last hour is fine.
        let n_fine = if step >= (40 * 24 - 1) * 60 { 3 } else { 1 };
        for fine in 0..n_fine {
            let now = moment(secs + 20.0 * f64::from(fine));
            for pid in pids
                .iter()
                .take(if step % 1440 == 0 { pids.len() } else { 2 })
            {
                let heap = Some(Heap {
                    net_bytes: -(1 << 40),
                    span_secs: secs,
                });
                let seen = Observation {
                    heap,
                    ..seen(*pid, 1 << 41)
                };
                tracks.observe(&now, &chosen, seen, nothing);
            }
        }
    }
    let now = moment(40.0 * DAY);
    let kept = tracks.kept(&now, BOOT);
    assert_eq!(kept.len(), MAX_TRACKS);
    let longest = kept
        .iter()
        .map(|kept| serde_json::to_string(kept).expect("JSON").len());
    let longest = longest.max().expect("one");
    assert!((1000 * 30..whole.len()).contains(&longest), "{longest}");
}
