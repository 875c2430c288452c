//! The page of a report, as a real browser shows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

fn parsed(name: &str) -> Value {
    serde_json::from_slice(&fs::read(file(name)).expect("there")).expect("JSON")
}

/// A report that has all that a page shows.
fn full() -> Value {
    let mut report = parsed("report/report.json");
    let mut alert = parsed("smtp/leak.json");
    let gate = |gate, value, least| json!({ "gate": gate, "value": value, "least": least, "passes": value >= least });
    for (key, value) in [
        ("pid", report["pid"].clone()),
        ("start_time", report["start_time"].clone()),
        ("comm", report["comm"].clone()),
        ("time", json!("2026-03-01T12:05:00Z")),
        ("raised", json!("2026-03-01T11:58:00Z")),
        ("since", json!("2026-03-01T11:30:00Z")),
        ("bytes", json!(1200 * MIB)),
        ("exhausts_in_secs", json!(4250)),
        ("exhausts_in_secs_low", json!(3600)),
        ("exhausts_in_secs_high", json!(6000)),
        (
            "gates",
            json!([
                gate("gain", 123_731_968.0, 1e7),
                gate("concordance", 0.99, 0.8),
                gate("rate", 174_762.7, 1706.0)
            ]),
        ),
        ("loss", json!(["12 calls were not seen"])),
    ] {
        alert[key] = value;
    }
    report["alert"] = alert;
    report["time"] = json!("2026-03-01T12:05:00Z");
    report["started"] = json!("2026-03-01T10:00:00Z");
    report["version"] = json!("0.1.0");
    report["thresholds"] =
        json!({ "growth": "100KiB/min", "sustained": "30min", "match": { "unit": ["query*"] } });
    let pages = (0..90)
        .map(|i| json!({ "secs_ago": (89 - i) * 30, "bytes": (1200 - 12 * (89 - i) / 2) * MIB }));
    let heap = (0..40)
        .map(|i| json!({ "secs_ago": f64::from(39 - i) * 30.0, "net_bytes": i * 6 * 1024 * 1024 }));
    report["curve"] = json!({
        "pid": report["pid"], "start_time": report["start_time"],
        "pages": pages.collect::<Vec<_>>(), "net_heap": heap.collect::<Vec<_>>(),
    });
    report
}

/// The same with names that want to be more than text, wherever there is one.
fn hostile() -> Value {
    let name = "</script></style><img src=x onerror=\"window.harmed=1\" onload='window.harmed=1'>\
                <script>window.harmed=1</script>\u{202e}javascript:alert(1)\u{2066}\"'&amp; -->]]>";
    let mut report = full();
    spoil(&mut report, name);
    report
}

fn spoil(json: &mut Value, name: &str) {
    const NAMES: [&str; 21] = [
        "host",
        "rule",
        "comm",
        "exe",
        "unit",
        "user_unit",
        "user",
        "container",
        "cgroup",
        "message",
        "acknowledged_by",
        "heap_method",
        "method",
        "function",
        "module",
        "build_id",
        "file",
        "unknown",
        "cut",
        "sites_missing",
        "version",
    ];
    match json {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "loss" => *value = json!([name]),
                    // One that is nothing may be a name as well.
                    key if NAMES.contains(&key) && !value.is_array() => *value = json!(name),
                    _ => spoil(value, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, name)),
        _ => {}
    }
}

/// Its page, in a directory.
fn page(directory: &TempDir, name: &str, report: &Value) -> PathBuf {
    let path = |end: &str| directory.path().join(format!("{name}.{end}"));
    fs::write(path("json"), report.to_string()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_memleakctl"))
        .arg("report")
        .arg(path("json"))
        .arg("--output")
        .arg(path("html"))
        .env("TZ", "Europe/Berlin")
        .output()
        .expect("memleakctl runs");
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    path("html")
}

#[test]
fn a_browser_shows_it_zooms_it_prints_it_and_takes_names_for_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let full = page(&directory, "full", &full());
    let hostile = page(&directory, "hostile", &hostile());
    let examined = Command::new("python3")
        .arg(file("browser/examine.py"))
        .args([full, hostile])
        .output()
        .expect("python3 runs");
    let wrong = String::from_utf8_lossy(&examined.stdout);
    let error = String::from_utf8_lossy(&examined.stderr);
    assert!(examined.status.success(), "{wrong}{error}");
}

#[test]
fn it_says_what_the_report_says_in_the_order_in_which_it_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = page(&directory, "full", &full());
    let html = fs::read_to_string(&path).expect("a page");
    let mut from = 0;
    for expected in [
        "http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;;",
        ">warning</strong>",
        "title=\"2026-03-01 11:58:00 UTC\">2026-03-01 12:58:00 CET</time>",
        "<h1>postgres (pid 812, postgresql.service) leaks memory: it grows by 12 MiB/min",
        "1 h to 1 h 40 min",
        "class=\"fan\"",
        "memory.max of its cgroup",
        "net heap, +",
        "lower bound of the rate, 10 MiB/min",
        "memleakctl ack 5c0f3a91d27e",
        "parse_row (query.c:120) keeps 12 MiB in 340 blocks, and grew again 5 min later.",
        "id=\"flame\"",
        ">grew again</td>",
        ">did not</td>",
        "at least 9.5 MiB",
        ">2026-03-01 11:00:00 CET</time>",
        "growth = &quot;100KiB/min&quot;",
        "unit = [&quot;query*&quot;]",
        "12 calls were not seen",
        "12 samples came while the buffer was full",
        "memleakd 0.1.0.",
    ] {
        let found = html[from..].find(expected);
        from += found.unwrap_or_else(|| panic!("{expected} is missing or out of place: {html}"));
    }
    // The same report is the same page, by its name or by its format.
    let output = Command::new(env!("CARGO_BIN_EXE_memleakctl"))
        .arg("report")
        .arg(path.with_extension("json"))
        .args(["--format", "html"])
        .env("TZ", "Europe/Berlin")
        .output()
        .expect("memleakctl runs");
    assert_eq!(output.stdout, html.as_bytes());
}

#[test]
fn a_page_is_made_of_any_report() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = parsed("report/report.json");
    let mut empty = old.clone();
    empty["sites"] = json!([]);
    empty["captures"] = json!([]);
    let mut endless = full();
    endless["alert"]["growth_bytes_per_sec"] = json!(f64::MAX);
    endless["alert"]["growth_bytes_per_sec_low"] = json!(f64::MAX);
    endless["alert"]["exhausts_in_secs"] = json!(u64::MAX);
    endless["alert"]["exhausts_in_secs_high"] = json!(0);
    endless["sites"][0]["bytes"] = json!(u64::MAX);
    endless["sites"][1]["bytes"] = json!(u64::MAX);
    for (index, point) in endless["curve"]["pages"]
        .as_array_mut()
        .expect("points")
        .iter_mut()
        .enumerate()
    {
        point["secs_ago"] = json!([1e300, -1e300, 0.0, 0.0, 1e10][index % 5]);
        point["bytes"] = json!([0, u64::MAX][index % 2]);
    }
    let mut deep = full();
    deep["sites"][0]["frames"] = json!(vec![json!({}); 100_000]);
    let mut wide = full();
    let site = |n: u64| json!({ "bytes": n, "count": 1, "frames": [{ "function": format!("f{n}") }, { "function": "main" }] });
    wide["sites"] = (1..=10_000).map(site).collect();
    for (name, report) in [
        ("old", old),
        ("empty", empty),
        ("endless", endless),
        ("deep", deep),
        ("wide", wide),
    ] {
        let html = fs::read_to_string(page(&directory, name, &report)).expect("a page");
        assert!(html.ends_with("</html>\n"), "{name}");
        assert!(!html.contains("NaN") && !html.contains(">inf"), "{name}");
    }
}
