//! `memleakctl report` of a saved report, which needs no daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn saved() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/report.json")
}

fn report(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_memleakctl"))
        .arg("report")
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .expect("memleakctl runs")
}

/// What it prints of a file.
fn printed(file: &Path, format: &str) -> Vec<u8> {
    let output = report(&[file.to_str().expect("a path"), "--format", format]);
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn text(file: &Path, format: &str) -> String {
    String::from_utf8(printed(file, format)).expect("text")
}

/// The profile, as who has never seen ours reads it.
fn profile(file: &Path, directory: &TempDir) -> Value {
    let path = directory.path().join("profile.pb.gz");
    fs::write(&path, printed(file, "pprof")).expect("written");
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/profile.py");
    let read = Command::new("python3").arg(reader).arg(path).output();
    let read = read.expect("python3 runs");
    assert!(read.status.success(), "{read:?}");
    serde_json::from_slice(&read.stdout).expect("JSON")
}

fn write(directory: &TempDir, report: &Value) -> PathBuf {
    let path = directory.path().join("report.json");
    fs::write(&path, report.to_string()).expect("written");
    path
}

fn parsed() -> Value {
    serde_json::from_slice(&fs::read(saved()).expect("there")).expect("JSON")
}

#[test]
fn the_text_begins_with_the_conclusion() {
    let text = text(&saved(), "text");
    let first = "parse_row (query.c:120) keeps 12 MiB in 340 blocks, and grew again 5 min later\n";
    assert!(text.starts_with(first), "{text}");
    for line in [
        "1. 12 MiB in 340 blocks, grew again, allocated by",
        "     parse_row (query.c:120), inlined",
        "     libc.so.6+0x2724a (build id 93ac9aca7ddb…): no symbol there, and no debug file",
        "3. 6 MiB in 90 blocks, did not grow again, allocated by",
        "  not seen    12 samples came while the buffer was full",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

#[test]
fn folded_stacks_are_lines_with_the_outermost_frame_first() {
    let insert = "std::map<std::string, std::vector<int> >::insert(std::pair<std::string, int>)";
    assert_eq!(
        text(&saved(), "folded"),
        format!(
            "queryd;libc.so.6+0x2724a;main;serve;{insert};read_rows;parse_row;xmalloc 12582912\n\
             queryd;libc.so.6+0x2724a;main;serve;remember 2097152\n"
        )
    );
}

#[test]
fn a_profile_has_all_that_is_known_of_sites() {
    let directory = tempfile::tempdir().expect("a directory");
    let profile = profile(&saved(), &directory);
    assert_eq!(
        profile["types"],
        json!([
            ["inuse_objects", "count"],
            ["inuse_space", "bytes"],
            ["alloc_space", "bytes"]
        ])
    );
    assert_eq!(profile["default"], "inuse_space");
    assert_eq!(profile["program"], "/usr/sbin/queryd");
    assert_eq!(profile["time_nanos"], 1_795_313_167_000_000_000_u64);
    assert_eq!(profile["duration_nanos"], 30_000_000_000_u64);
    assert_eq!(
        profile["comments"],
        json!([
            "queryd (pid 812) on db1, alert 5c0f3a91d27e",
            "not seen: 12 samples came while the buffer was full"
        ])
    );
    let report = parsed();
    let samples = profile["samples"].as_array().expect("samples");
    let sites = report["sites"].as_array().expect("sites");
    assert_eq!(samples.len(), sites.len());
    for ((sample, site), again) in samples.iter().zip(sites).zip(["yes", "yes", "no"]) {
        assert_eq!(sample["values"]["inuse_space"], site["bytes"]);
        assert_eq!(sample["values"]["inuse_objects"], site["count"]);
        let allocated = site["allocated_bytes_per_sec"].as_f64().expect("a rate") * 30.0;
        assert_eq!(
            sample["values"]["alloc_space"],
            json!(allocated.round() as u64)
        );
        assert_eq!(
            sample["labels"],
            json!({ "attribution": "paired", "grows_again": again })
        );
        // Line by line a stack is the frames as they were, inlined ones within the next.
        let frames = site["frames"].as_array().expect("frames");
        let real = frames.iter().filter(|frame| frame["inlined"] == false);
        let stack = sample["stack"].as_array().expect("a stack");
        for (location, frame) in stack.iter().zip(real.clone()) {
            assert_eq!(location["address"], frame["offset"]);
            assert_eq!(location["module"], frame["module"]);
            assert_eq!(location["build_id"], frame["build_id"]);
        }
        assert_eq!(stack.len(), real.count());
        let lines = stack
            .iter()
            .flat_map(|location| location["lines"].as_array().expect("lines"));
        let named = frames.iter().filter(|frame| !frame["function"].is_null());
        for (line, frame) in lines.clone().zip(named.clone()) {
            for key in ["function", "file", "line"] {
                assert_eq!(line[key], frame[key], "{line} {frame}");
            }
        }
        assert_eq!(lines.count(), named.count());
    }
}

#[test]
fn a_flame_graph_is_a_picture_with_a_title() {
    let picture = text(&saved(), "svg");
    for expected in [
        "queryd (pid 812, queryd.service) on db1: 14 MiB that stay",
        "without 1 site that did not grow again",
        "parse_row (12,582,912 bytes, 85.71%)",
    ] {
        assert!(picture.contains(expected), "{expected}: {picture}");
    }
}

#[test]
fn json_is_read_again_as_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let again = directory.path().join("again.json");
    fs::write(&again, printed(&saved(), "json")).expect("written");
    assert_eq!(printed(&again, "json"), printed(&saved(), "json"));
    assert_eq!(text(&again, "text"), text(&saved(), "text"));
    let output = report(&[again.to_str().expect("a path"), "--json"]);
    assert_eq!(output.stdout, printed(&saved(), "json"));
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(read, parsed());
}

#[test]
fn it_is_written_into_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("leak.svg");
    let path = path.to_str().expect("a path");
    let saved = saved();
    let saved = saved.to_str().expect("a path");
    let output = report(&[saved, "--format", "svg", "--output", path]);
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    assert_eq!(
        fs::read(path).expect("written"),
        report(&[saved, "--format", "svg"]).stdout
    );
}

#[test]
fn hostile_names_do_no_harm_in_any_format() {
    let directory = tempfile::tempdir().expect("a directory");
    let name = format!(
        "\n\u{1b}[2J;<script>alert(1)</script>\u{202e}\u{0}\u{ffff} {} 7",
        "x".repeat(10 << 10)
    );
    let mut hostile = parsed();
    for key in ["comm", "host", "unit", "exe", "rule"] {
        hostile[key] = json!(name);
    }
    for key in ["function", "file", "module", "build_id", "unknown"] {
        hostile["sites"][0]["frames"][0][key] = json!(name);
    }
    hostile["sites"][1]["frames"][0]["function"] = json!("# no comment 12");
    hostile["sites"][1]["bytes"] = json!(u64::MAX);
    hostile["sites"][0]["bytes"] = json!(u64::MAX);
    hostile["sites"][0]["allocated_bytes_per_sec"] = json!(f64::MAX);
    let file = write(&directory, &hostile);
    for format in ["text", "folded", "svg", "json"] {
        let printed = text(&file, format);
        for harm in ["\u{1b}", "\u{202e}", "\u{0}", "\r"] {
            assert!(!printed.contains(harm), "{format}");
        }
        if format == "svg" {
            assert!(!printed.contains("<script>alert"));
        }
    }
    let folded = text(&file, "folded");
    assert_eq!(folded.lines().count(), 2);
    for line in folded.lines() {
        let (stack, bytes) = line.rsplit_once(' ').expect("a number");
        assert!(bytes.parse::<u64>().is_ok(), "{bytes}");
        let last = stack.rsplit_once(' ').map_or("", |(_, last)| last);
        assert!(last.parse::<f64>().is_err(), "{last}");
    }
    let depths = folded.lines().map(|line| line.split(';').count());
    assert_eq!(depths.collect::<Vec<_>>(), [8, 5]);
    let profile = profile(&file, &directory);
    assert_eq!(profile["samples"][0]["values"]["inuse_space"], i64::MAX);
}

#[test]
fn ten_thousand_sites_are_no_matter() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut many = parsed();
    let site = |n: u64| json!({ "bytes": n, "count": 1, "frames": [{ "function": format!("f{n}"), "offset": n }, { "function": "main" }] });
    many["sites"] = (1..=10_000).map(site).collect();
    let file = write(&directory, &many);
    assert_eq!(text(&file, "folded").lines().count(), 10_000);
    assert!(text(&file, "text").contains("\n10000. "));
    assert!(text(&file, "svg").contains("f10000 (10,000 bytes, 0.02%)"));
    let profile = profile(&file, &directory);
    assert_eq!(profile["samples"].as_array().map(Vec::len), Some(10_000));
}

#[test]
fn what_is_no_report_is_refused_in_one_sentence() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).expect("written");
        path.to_str().expect("a path").to_owned()
    };
    let mut empty = parsed();
    empty["sites"] = json!([]);
    empty["captures"] = json!([]);
    let alert = fs::read_to_string(saved().with_file_name("../smtp/leak.json"));
    for (arguments, expected) in [
        (
            vec!["no-such-file".to_owned()],
            "\"no-such-file\" is neither an alert's id, which has 12 hexadecimal digits, nor a process id, nor a file",
        ),
        (vec![path("empty", "")], "this is no JSON, and no report"),
        (
            vec![path("alert", &alert.expect("an alert"))],
            "this is no report as \"memleakctl report --format json\" writes it: missing field",
        ),
        (
            vec![path("large", &" ".repeat((16 << 20) + 1))],
            "is no report: it has more than 16 MiB",
        ),
        (
            vec![path("none", &empty.to_string()), "--format=svg".to_owned()],
            "the report of alert 5c0f3a91d27e has no sites to draw",
        ),
        (
            vec![
                saved().to_str().expect("a path").to_owned(),
                "--output=/no/such/file".to_owned(),
            ],
            "writing /no/such/file: ",
        ),
    ] {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = report(&arguments);
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let output = report(&["x", "--json", "--format", "svg"]);
    assert_eq!(output.status.code(), Some(2));
}
