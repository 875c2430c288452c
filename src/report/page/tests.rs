use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::alert::message::tests::alert;
use crate::alert::{Change, Point, Reason, State};
use crate::report::tests::{capture, report, site};

/// The digest as a policy writes it, by another program.
fn digest(text: &str) -> String {
    let script = "openssl dgst -sha256 -binary | openssl base64 -A";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("openssl runs");
    format!("sha256-{}", String::from_utf8_lossy(&output.stdout))
}

#[test]
fn the_policy_lets_in_what_is_shipped_and_nothing_else() {
    assert_eq!(
        digest(STYLE),
        STYLE_DIGEST,
        "page.rs has another digest of style.css"
    );
    assert_eq!(
        digest(SCRIPT),
        SCRIPT_DIGEST,
        "page.rs has another digest of script.js"
    );
    for (text, end) in [(STYLE, "</style"), (SCRIPT, "</script")] {
        assert!(!text.contains(end) && !text.contains("http"));
    }
    let page = page(
        &report(vec![capture(0, vec![site(5, &[1])])]),
        &TimeZone::UTC,
    );
    // A style of an element would be refused.
    assert!(!page.contains(" style=\"") && !page.contains(" onclick"));
}

#[test]
fn a_page_says_how_it_stands() {
    let of = |alert: Alert| {
        let mut report = report(vec![capture(0, vec![site(5, &[1])])]);
        report.tell(&alert, None);
        page(&report, &TimeZone::UTC)
    };
    let curve = vec![
        Point {
            secs_ago: 600.0,
            bytes: 1 << 29,
        },
        Point {
            secs_ago: 0.0,
            bytes: 1 << 30,
        },
    ];
    let open = of(Alert {
        curve: curve.clone(),
        ..alert()
    });
    for expected in [
        "tone warning",
        ">grows by<",
        "class=\"fan\"",
        "class=\"low\"",
        "memleakctl ack",
    ] {
        assert!(open.contains(expected), "{expected}: {open}");
    }
    let cleared = of(Alert {
        change: Change::Cleared,
        state: State::Cleared,
        reason: Some(Reason::Exited),
        curve,
        ..alert()
    });
    assert!(
        cleared.contains("tone cleared") && cleared.contains(">held<"),
        "{cleared}"
    );
    for unexpected in [
        ">grows by<",
        "class=\"fan\"",
        "class=\"low\"",
        "memleakctl ack",
    ] {
        assert!(!cleared.contains(unexpected), "{unexpected}: {cleared}");
    }
    let without = page(&report(vec![]), &TimeZone::UTC);
    assert!(without.contains("nothing has been captured yet") && !without.contains("id=\"flame\""));
}
