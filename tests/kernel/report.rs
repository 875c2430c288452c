//! The line of code that leaks, from the alert to the report.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::bus::Bus;
use crate::stage::{Running, SOON, eventually, program};

/// How long a capture and its names may take, on a busy machine.
const CAPTURED: Duration = Duration::from_secs(60);
const NOBODY: &str = "65534";

fn functions(site: &Value) -> Vec<&str> {
    let frames = site["frames"].as_array().expect("a list").iter();
    frames
        .filter_map(|frame| frame["function"].as_str())
        .collect()
}

#[test]
#[ignore = "needs root and BTF"]
fn an_alert_names_the_code_and_a_second_look_tells_a_leak_from_a_cache() {
    let bus = Bus::start();
    let daemon = bus.daemon_with("");
    let warm = Running::start(Command::new(program("warm")).arg("25"));
    let raised = daemon.alert("raised", warm.pid(), SOON);
    assert_eq!(raised["sites"], serde_json::json!([]));
    let id = raised["id"].as_str().expect("an id");

    // The cache still fills, and does so faster than the leak grows.
    let has_sites = |alert: &Value| alert["id"] == id && alert["sites"][0].is_object();
    let first = daemon.find(CAPTURED, has_sites).expect("sites");
    assert_eq!(first["change"], "updated");
    let tops: Vec<_> = (0..2).map(|i| functions(&first["sites"][i])[0]).collect();
    assert_eq!(tops, ["fill_cache", "leak_record"], "{first}");
    assert_eq!(first["sites"][0]["grows_again"], Value::Null);
    assert!(
        first["message"]
            .as_str()
            .expect("text")
            .contains("fill_cache")
    );

    // As long as there are two, a browser can show one of them larger.
    let page = daemon.directory.path().join("leak.html");
    let page = page.to_str().expect("a path");
    let (code, _, error) = bus.ctl(None, &["report", id, "-o", page]);
    assert_eq!(code, Some(0), "{error}");
    let examine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/examine.py");
    let examined = Command::new("python3").args([examine, page]).output();
    let examined = examined.expect("python3 runs");
    let wrong = String::from_utf8_lossy(&examined.stdout);
    let error = String::from_utf8_lossy(&examined.stderr);
    assert!(examined.status.success(), "{wrong}{error}");

    // By now it is full.
    let second = daemon.find(CAPTURED, has_sites).expect("sites");
    let (site, message) = (&second["sites"][0], &second["message"]);
    assert_eq!(functions(site)[..2], ["leak_record", "main"], "{second}");
    assert_eq!(site["grows_again"], true, "{second}");
    assert!(
        message.as_str().expect("text").contains("leak_record"),
        "{message}"
    );
    let rate = site["allocated_bytes_per_sec"].as_f64().expect("a number");
    assert!((250_000.0..1_100_000.0).contains(&rate), "{second}");

    let report = bus.json(None, &["report", id, "--json"]);
    assert_eq!(report["captures"].as_array().expect("a list").len(), 2);
    let sites = report["sites"].as_array().expect("a list");
    let cache = sites.iter().find(|site| functions(site)[0] == "fill_cache");
    assert_eq!(cache.expect("a site")["grows_again"], false, "{report}");
    let (code, text, _) = bus.ctl(None, &["report", id]);
    assert!(code == Some(0) && text.contains("leak_record"), "{text}");
    let (_, folded, _) = bus.ctl(None, &["report", id, "--format", "folded"]);
    let leak = folded
        .lines()
        .find(|line| line.contains(";main;leak_record "));
    assert!(leak.is_some(), "{folded}");
    let (_, drawn, _) = bus.ctl(None, &["report", id, "--format", "svg"]);
    assert!(
        drawn.contains("<svg") && drawn.contains("leak_record"),
        "{drawn}"
    );

    // The page of it, by the alert and by its process.
    let (code, _, error) = bus.ctl(None, &["report", id, "-o", page]);
    assert_eq!(code, Some(0), "{error}");
    let html = fs::read_to_string(page).expect("a page");
    for expected in [
        "leak_record",
        "grew again",
        "[rule.default]",
        "min_growth = &quot;4MiB&quot;",
    ] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    let of_process = bus.json(None, &["report", &warm.pid().to_string(), "--json"]);
    assert_eq!(of_process["id"], id);
    assert_eq!(of_process["explained"]["pid"], warm.pid());
    assert!(of_process["curve"]["pages"][1].is_object(), "{of_process}");

    let (code, _, error) = bus.ctl(Some(NOBODY), &["report", id]);
    assert_eq!(code, Some(1), "{error}");
    let path = daemon
        .directory
        .path()
        .join(format!("state/reports/{id}.json"));
    let mode = |path| fs::metadata(path).expect("a file").permissions().mode() & 0o7777;
    assert_eq!(mode(path.as_path()) & 0o137, 0, "readable by others");
    assert_eq!(mode(path.parent().expect("a directory")) & 0o027, 0);

    // What the process did is known when it is gone.
    drop(warm);
    daemon.find(SOON, |alert| alert["change"] == "cleared");
    let after = bus.json(None, &["report", id, "--json"]);
    assert_eq!(after["sites"], report["sites"]);
    eventually("how it ended", || {
        let after = bus.json(None, &["report", id, "--json"]);
        after["alert"]["change"] == "cleared"
    });
}

#[test]
#[ignore = "needs root and BTF"]
fn a_rule_without_stacks_has_none() {
    let bus = Bus::start();
    let daemon = bus.daemon_with("rule.default.stacks = false\n");
    let leak = Running::start(&mut Command::new(program("leak")));
    let raised = daemon.alert("raised", leak.pid(), SOON);
    let with_sites = |alert: &Value| alert["sites"][0].is_object();
    assert_eq!(daemon.find(Duration::from_secs(12), with_sites), None);
    let id = raised["id"].as_str().expect("an id");
    // The report says what is known without.
    let report = bus.json(None, &["report", id, "--json"]);
    assert_eq!(report["captures"], serde_json::json!([]), "{report}");
    assert_eq!(report["alert"]["pid"], leak.pid());
    assert_eq!(report["thresholds"]["stacks"], false);
    let path = daemon
        .directory
        .path()
        .join(format!("state/reports/{id}.json"));
    assert!(path.exists());
    let (_, html, _) = bus.ctl(None, &["report", id, "--format", "html"]);
    assert!(
        html.contains("class=\"chart\"") && !html.contains("id=\"flame\""),
        "{html}"
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn a_process_that_does_not_leak_has_a_report_with_its_stacks() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    let steady = Running::start(&mut Command::new(program("steady")));
    let pid = steady.pid().to_string();
    eventually("its explanation", || {
        bus.ctl(None, &["explain", &pid]).0 == Some(0)
    });
    let report = bus.json(None, &["report", &pid, "--capture", "2s", "--json"]);
    assert_eq!(
        (report["id"].as_str(), report["pid"].as_u64()),
        (Some(""), Some(steady.pid().into()))
    );
    assert_eq!(
        report["captures"].as_array().map(Vec::len),
        Some(1),
        "{report}"
    );
    let started = report["started"].as_str().expect("a time");
    assert!(started.ends_with('Z'), "{started}");
    let path = daemon.directory.path().join("steady.json");
    fs::write(&path, report.to_string()).expect("written");
    // It is a page on another machine as well, which has no daemon.
    let output = Command::new(env!("CARGO_BIN_EXE_memleakctl"))
        .arg("report")
        .arg(&path)
        .args(["--format", "html"])
        .env_remove("DBUS_SYSTEM_BUS_ADDRESS")
        .output()
        .expect("memleakctl runs");
    let html = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && html.contains("no alert</strong>"),
        "{output:?}"
    );
    assert!(html.contains("What the gates find"), "{html}");
}
