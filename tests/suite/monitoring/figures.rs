//! The text of the figures, as programs of another make read it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use memleakd::metrics::{Alerts, Figures, Program, render};
use serde_json::Value;

use super::services::{tool, unpacked};

/// Each figure another one, and names as they should not be.
pub fn figures() -> Figures {
    let program = |comm: &str, unit: &str| Program {
        comm: comm.to_owned(),
        unit: unit.to_owned(),
        processes: 3,
        bytes: 1 << 40,
        growth_bytes_per_sec: 0.000_001_5,
    };
    Figures {
        version: "1.2.3".to_owned(),
        processes: 312,
        suspects: 4,
        heaps: 5,
        heaps_failed: 6,
        alerts: Alerts {
            warning_firing: 7,
            ..Alerts::default()
        },
        programs: vec![
            program("worker", "shop@1.service"),
            program("a\"} 1\nmemleakd_suspects 99 #", "back\\slash"),
            program("größer 👾", ""),
        ],
        lost_heap_calls: 8,
        lost_kernel_calls: 9,
        undelivered: 10,
        dropped: u64::MAX,
        round_secs: 0.0123,
        interval_secs: 10.0,
        scanned_at_secs: 1_795_312_867.125,
        own_cpu_secs: 12.5,
        own_resident_bytes: 20 << 20,
    }
}

/// What both parsers of python3-prometheus-client read.
fn parsed(text: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/monitoring/parse.py");
    let mut child = Command::new("/usr/bin/python3")
        .arg(script)
        .env("PYTHONPATH", unpacked("usr/lib/python3/dist-packages"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let mut input = child.stdin.take().expect("is piped");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "it is refused:\n{text}");
    serde_json::from_slice(&output.stdout).expect("is JSON")
}

#[test]
fn parsers_of_both_formats_read_the_same_and_all_of_it() {
    let figures = figures();
    let parsed = parsed(&render(&figures));
    assert_eq!(
        parsed["classic"]["samples"],
        parsed["openmetrics"]["samples"]
    );
    let samples = parsed["classic"]["samples"].as_array().expect("a list");
    let values = |name: &str| -> Vec<(BTreeMap<String, String>, f64)> {
        let rows = samples.iter().filter(|row| row[0] == name);
        rows.map(|row| {
            let labels = serde_json::from_value(row[1].clone()).expect("labels");
            (labels, row[2].as_f64().expect("a number"))
        })
        .collect()
    };
    for (name, value) in [
        ("memleakd_processes_watched", 312.0),
        ("memleakd_suspects", 4.0),
        ("memleakd_dropped_total", u64::MAX as f64),
        ("memleakd_own_cpu_seconds_total", 12.5),
        ("memleakd_last_scan_timestamp_seconds", 1_795_312_867.125),
        ("memleakd_round_duration_seconds", 0.0123),
    ] {
        assert_eq!(values(name), [(BTreeMap::new(), value)], "{name}");
    }
    let growth = values("memleakd_program_growth_bytes_per_second");
    let told: Vec<_> = growth
        .iter()
        .map(|(labels, value)| {
            assert_eq!(*value, 0.000_001_5);
            (labels["comm"].as_str(), labels["unit"].as_str())
        })
        .collect();
    let programs = figures.programs.iter();
    let given: Vec<_> = programs
        .map(|program| (program.comm.as_str(), program.unit.as_str()))
        .collect();
    assert_eq!(told, given);
    for format in ["classic", "openmetrics"] {
        assert_eq!(parsed[format]["without_help"], serde_json::json!([]));
        for (name, kind) in parsed[format]["types"].as_object().expect("an object") {
            let adds_up = name.ends_with("_total");
            let expected = if adds_up { "unknown" } else { "gauge" };
            assert_eq!(kind, expected, "{format}: {name}");
        }
    }
}

#[test]
fn prometheus_has_nothing_to_say_against_it() {
    for figures in [figures(), Figures::default()] {
        let text = render(&figures);
        assert_eq!(
            tool("promtool", &["check", "metrics"], &text),
            (true, String::new())
        );
    }
    // Whether it would have: a counter without its ending.
    let (is_content, said) = tool("promtool", &["check", "metrics"], "# TYPE a counter\na 1\n");
    assert!(!is_content && said.contains("a"), "{said}");
}
