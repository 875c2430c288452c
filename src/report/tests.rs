use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::*;
use crate::alert::message::tests::alert;
use crate::site::{Attribution, Frame};

/// A site of a stack of addresses, innermost first.
pub fn site(bytes: u64, stack: &[u64]) -> Site {
    let frame = |offset: &u64| Frame {
        module: Some("/usr/bin/app".to_owned()),
        offset: Some(*offset),
        function: Some(format!("f{offset}")),
        ..Frame::default()
    };
    Site {
        bytes,
        count: 1,
        frames: stack.iter().map(frame).collect(),
        ..Site::default()
    }
}

pub fn capture(minute: i8, sites: Vec<Site>) -> StackCapture {
    let time = jiff::civil::date(2026, 3, 1).at(12, minute, 0, 0);
    StackCapture {
        time: time.in_tz("UTC").expect("a time").timestamp(),
        secs: 30.0,
        span_secs: 30.0,
        method: "glibc 2.36, by chunk headers".to_owned(),
        sites,
        loss: Vec::new(),
    }
}

pub fn report(captures: Vec<StackCapture>) -> Report {
    let mut report = Report::of(&alert());
    captures.into_iter().for_each(|capture| report.add(capture));
    report
}

fn conclusions(report: &Report) -> Vec<(u64, Option<bool>)> {
    let sites = report.sites.iter();
    sites.map(|site| (site.bytes, site.grows_again)).collect()
}

#[test]
fn what_grows_again_leaks_and_what_ends_was_warming_up() {
    let (leak, warm, fresh) = ([1, 9].as_slice(), [2, 9].as_slice(), [3, 9].as_slice());
    let (yes, no) = (Some(true), Some(false));
    for (captures, expected) in [
        (vec![], vec![]),
        (
            vec![vec![site(5, leak), site(90, warm)]],
            vec![(5, None), (90, None)],
        ),
        // The leak first however large the others are, what has ended last.
        (
            vec![
                vec![site(90, warm), site(5, leak)],
                vec![site(50, fresh), site(6, leak)],
            ],
            vec![(6, yes), (50, None), (90, no)],
        ),
        // All have ended.
        (vec![vec![site(5, warm)], vec![]], vec![(5, no)]),
        // As the latest capture ranks them, which knows more than bytes.
        (
            vec![
                vec![site(1, leak), site(2, warm)],
                vec![site(3, leak), site(4, warm)],
            ],
            vec![(3, yes), (4, yes)],
        ),
        // What the second one has missed and the third has again.
        (
            vec![vec![site(5, leak)], vec![], vec![site(7, leak)]],
            vec![(7, yes)],
        ),
        (
            vec![vec![site(5, leak)], vec![site(6, leak)], vec![]],
            vec![(6, no)],
        ),
    ] {
        let captures = captures.into_iter().zip(0..);
        let captures = captures.map(|(sites, minute)| capture(minute, sites));
        let captures: Vec<_> = captures.collect();
        let found = report(captures.clone());
        assert_eq!(conclusions(&found), expected, "{captures:?}");
    }
}

#[test]
fn nothing_has_ended_if_it_was_looked_for_too_shortly_or_is_reached_another_way() {
    let short = StackCapture {
        secs: 10.0,
        ..capture(5, vec![])
    };
    let found = report(vec![capture(0, vec![site(5, &[1, 2])]), short]);
    assert_eq!(conclusions(&found), [(5, None)]);
    // f1 calls for memory again, from elsewhere; f7 does not.
    let before = vec![site(5, &[1, 2]), site(6, &[7, 2])];
    let found = report(vec![capture(0, before), capture(5, vec![site(4, &[1, 3])])]);
    assert_eq!(
        conclusions(&found),
        [(4, None), (5, None), (6, Some(false))]
    );
}

#[test]
fn sites_are_the_same_if_all_that_is_certain_of_them_is() {
    let grows = |one: Site, other: Site| {
        let captures = vec![capture(0, vec![one]), capture(5, vec![other])];
        report(captures).sites[0].grows_again == Some(true)
    };
    let base = || site(5, &[1, 2]);
    let frame = |change: fn(&mut Frame)| {
        let mut site = base();
        site.frames.iter_mut().for_each(change);
        site
    };
    let nameless = || frame(|frame| frame.offset = None);
    let with_inlined = |line: u32| {
        let mut site = base();
        let inlined = Frame {
            inlined: true,
            line: Some(line),
            ..site.frames[0].clone()
        };
        site.frames.insert(0, inlined);
        site
    };
    for (one, other, expected) in [
        (base(), base(), true),
        (base(), frame(|frame| frame.function = None), true),
        (base(), frame(|frame| frame.line = Some(7)), true),
        (base(), with_inlined(7), true),
        (base(), frame(|frame| frame.module = None), false),
        (base(), site(5, &[1, 3]), false),
        (base(), site(5, &[1, 2, 3]), false),
        (
            base(),
            Site {
                attribution: Attribution::BySize,
                ..base()
            },
            false,
        ),
        (
            frame(|frame| frame.build_id = Some("ab".to_owned())),
            frame(|frame| {
                frame.build_id = Some("ab".to_owned());
                frame.module = Some("/elsewhere".to_owned());
            }),
            true,
        ),
        (nameless(), nameless(), true),
        (
            nameless(),
            frame(|frame| {
                frame.offset = None;
                frame.line = Some(7);
            }),
            false,
        ),
    ] {
        assert_eq!(
            grows(one.clone(), other.clone()),
            expected,
            "{one:?} {other:?}"
        );
    }
}

#[test]
fn the_first_capture_and_the_latest_two_are_kept() {
    let captures = (0..6).map(|minute| capture(minute, vec![site(1, &[1])]));
    let report = report(captures.collect());
    let kept = report.captures.iter().map(|capture| capture.time);
    let expected = [0, 4, 5].map(|minute| capture(minute, vec![]).time);
    assert_eq!(kept.collect::<Vec<_>>(), expected);
    assert_eq!(report.captures_dropped, 3);
    assert_eq!(
        report.loss,
        ["3 captures after the first and before the last two"]
    );
}

#[test]
fn a_report_is_bounded_and_says_what_is_cut() {
    let many = (0..10_000).map(|offset| site(1 << 20, &[offset])).collect();
    let others = (10_000..10_040).map(|offset| site(1, &[offset])).collect();
    let found = report(vec![capture(0, many), capture(5, others)]);
    assert_eq!(found.captures[0].sites.len(), 50);
    assert_eq!(
        found.captures[0].loss,
        ["9950 of 10000 sites, which have 9.7 GiB in all"]
    );
    assert_eq!(found.sites.len(), 50);
    assert_eq!(found.loss, ["40 of 90 sites, which have 40 MiB in all"]);

    // More than a file may have in every way.
    let huge = |offset| {
        let mut site = site(1, &vec![offset; 260]);
        for frame in &mut site.frames {
            // Two are enough: what tests allocate, others see that run beside them.
            frame.function = (offset < 2).then(|| "<\u{1f4a5}>".repeat(400));
        }
        site
    };
    let mut found = report(vec![]);
    for minute in 0..4 {
        found.add(capture(minute, (0..51).map(huge).collect()));
    }
    let text = serde_json::to_vec(&found).expect("JSON");
    assert!(text.len() <= 1 << 20, "{} bytes", text.len());
    assert_eq!(found.sites.len(), 1);
    assert!(found.sites[0].cut.is_some());
    assert!(!found.captures[0].loss.is_empty() && !found.loss.is_empty());
}

#[test]
fn a_file_is_read_as_it_was_written_or_refused_in_a_sentence() {
    let found = report(vec![capture(0, vec![site(5, &[1, 2])])]);
    let text = serde_json::to_string(&found).expect("JSON");
    assert_eq!(parse(text.as_bytes()).expect("a report"), found);
    let hostile = text.replace("f1", "\\u001b[2J\\nx\u{202e}");
    let read = parse(hostile.as_bytes()).expect("a report");
    assert_eq!(
        read.sites[0].frames[0].function.as_deref(),
        Some("\\u{1b}[2J\\u{a}x\\u{202e}")
    );
    for (text, expected) in [
        ("", "this is no JSON, and no report: "),
        (
            "[1, 2]",
            "this is no report as \"memleakctl report --format json\" writes it: ",
        ),
        (
            "{}",
            "this is no report as \"memleakctl report --format json\" writes it: missing field `id`",
        ),
        (&text[..text.len() - 5], "this is no JSON, and no report: "),
        (&"[".repeat(100_000), "this is no JSON, and no report: "),
    ] {
        let error = parse(text.as_bytes()).expect_err("no report");
        assert!(format!("{error:#}").starts_with(expected), "{error:#}");
    }
}

#[test]
fn reports_are_kept_for_their_owner_and_group_and_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a store");
    let reports = directory.path().join("reports");
    let mode = |path: &std::path::Path| {
        fs::metadata(path).expect("is there").permissions().mode() & 0o7777
    };
    assert_eq!(mode(&reports), 0o700);
    fs::set_permissions(&reports, fs::Permissions::from_mode(0o2750)).expect("ours");
    let store_again = Store::open(directory.path()).expect("a store");
    assert_eq!(mode(&reports), 0o2750);

    let mut found = report(vec![capture(0, vec![site(5, &[1, 2])])]);
    assert_eq!(store.load(&found.id).expect("none"), None);
    store.save(&found).expect("saved");
    let path = reports.join("0123456789ab.json");
    assert_eq!(mode(&path), 0o640);
    assert_eq!(
        store_again.load(&found.id).expect("one"),
        Some(found.clone())
    );
    found.add(capture(5, vec![]));
    store.save(&found).expect("saved");
    assert_eq!(store.load(&found.id).expect("one"), Some(found.clone()));

    // The oldest of more than a hundred goes; what is no report stays.
    fs::write(reports.join("notes.json"), "mine").expect("written");
    let old = fs::File::options().write(true).open(&path).expect("there");
    old.set_modified(SystemTime::now() - Duration::from_secs(60))
        .expect("ours");
    for id in 1..=100 {
        found.id = format!("{id:012x}");
        store.save(&found).expect("saved");
    }
    assert_eq!(fs::read_dir(&reports).expect("there").count(), 101);
    assert!(!path.exists() && reports.join("000000000001.json").exists());
}

#[test]
fn what_is_no_id_is_no_file_and_what_is_damaged_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a store");
    let secret = directory.path().join("alerts.json");
    fs::write(&secret, "secret").expect("written");
    for id in [
        "",
        "../alerts",
        "0123456789aB",
        "0123456789abc",
        "/etc/shadow",
        ".",
        "0123456789a\0",
    ] {
        let error = store.load(id).expect_err("no id");
        assert_eq!(
            error.to_string(),
            format!("{id:?} is no alert's id: it has 12 hexadecimal digits")
        );
        let report = Report {
            id: id.to_owned(),
            ..report(vec![])
        };
        assert!(store.save(&report).is_err(), "{id:?}");
    }
    let path = directory.path().join("reports/0123456789ab.json");
    let reading = format!("reading {}: ", path.display());
    for (content, expected) in [
        (
            b"{".to_vec(),
            format!("{reading}this is no JSON, and no report: "),
        ),
        (
            vec![0xff; 100],
            format!("{reading}this is no JSON, and no report: "),
        ),
        (b"{}".to_vec(), format!("{reading}this is no report")),
        (
            vec![b' '; (1 << 20) + 1],
            format!("{} is no report: it has more than 1 MiB", path.display()),
        ),
    ] {
        fs::write(&path, content).expect("written");
        let error = format!("{:#}", store.load("0123456789ab").expect_err("damaged"));
        assert!(error.starts_with(&expected), "{error}");
    }
    store.save(&report(vec![])).expect("saved");
    assert!(store.load("0123456789ab").expect("whole").is_some());
}
