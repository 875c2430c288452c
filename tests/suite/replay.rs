//! `memleakd replay`: which tables it takes, and what it finds in them with the shipped
//! configuration.

mod lives;
mod past;
mod shapes;
mod size;
mod tables;
mod units;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const KIB: f64 = 1024.0;
const MIB: f64 = 1048576.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
/// Time between two samples.
const INTERVAL: f64 = 5.0;

/// A rule that waits for ten minutes, whatever came before: for tests of something else than of
/// how long growth must last by default.
const TEN_MINUTES: &str = r#"
[rule.default]
growth = "512KiB/min"
min_growth = "32MiB"
sustained = "10min"
"#;

/// What the public contract says of an alert as JSON, and what a replay adds.
const KEYS: [&str; 52] = [
    "acknowledged",
    "acknowledged_by",
    "cgroup",
    "change",
    "curve",
    "host_available_bytes",
    "host_pressure_percent",
    "host_total_bytes",
    "inhibited_by",
    "raised",
    "silenced_until",
    "state",
    "user",
    "id",
    "time",
    "time_secs",
    "host",
    "rule",
    "severity",
    "reason",
    "pid",
    "start_time",
    "comm",
    "exe",
    "unit",
    "user_unit",
    "uid",
    "container",
    "processes",
    "peers",
    "peers_growing",
    "source",
    "cause",
    "bytes",
    "growth_bytes",
    "growth_bytes_per_sec",
    "growth_bytes_per_sec_low",
    "heap_bytes_per_sec",
    "heap_method",
    "since",
    "unseen_since",
    "limit_bytes",
    "limit_kind",
    "exhausts_in_secs",
    "exhausts_in_secs_low",
    "exhausts_in_secs_high",
    "sites",
    "sites_missing",
    "gates",
    "loss",
    "message",
    "next_reminder",
];

/// One process of a recording.
struct Series<'a> {
    pid: u32,
    comm: String,
    unit: &'a str,
    limit_bytes: Option<f64>,
    /// What it holds at a time, and `None` when it is not there.
    bytes_at: Box<dyn Fn(f64) -> Option<f64> + 'a>,
}

impl<'a> Series<'a> {
    fn new(pid: u32, bytes_at: impl Fn(f64) -> Option<f64> + 'a) -> Self {
        let comm = format!("process-{pid}");
        let bytes_at = Box::new(bytes_at);
        Self {
            pid,
            comm,
            unit: "",
            limit_bytes: None,
            bytes_at,
        }
    }
}

/// Some hundred KiB that differ from sample to sample, and are the same in every run.
fn noise(pid: u32, secs: f64) -> f64 {
    let hash = (u64::from(pid) << 32 | secs as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (hash >> 44) as f64 / f64::from(1 << 20) * 0.25 * MIB
}

/// The table of a recording, in which a steady process goes on to the end.
fn table(series: &[Series], length_secs: f64) -> String {
    let mut table = "time_secs,pid,comm,bytes,unit,limit_bytes\n".to_owned();
    let steady = Series::new(1, |_| Some(12.0 * MIB));
    for step in 0..=(length_secs / INTERVAL) as u32 {
        let secs = f64::from(step) * INTERVAL;
        for series in series.iter().chain([&steady]) {
            if let Some(bytes) = (series.bytes_at)(secs) {
                let Series {
                    pid,
                    comm,
                    unit,
                    limit_bytes,
                    ..
                } = series;
                let bytes = (bytes + noise(*pid, secs)) as u64;
                let limit = limit_bytes
                    .map(|bytes| (bytes as u64).to_string())
                    .unwrap_or_default();
                writeln!(table, "{secs},{pid},{comm},{bytes},{unit},{limit}")
                    .expect("a String takes any text");
            }
        }
    }
    table
}

/// The program, reading a table from a file as users have it, with nothing but the shipped
/// configuration.
fn run(table: &[u8]) -> Output {
    run_file(command(), table)
}

/// The same under another configuration.
fn run_under(config: &str, table: &[u8]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.toml");
    fs::write(&file, config).expect("can be written");
    run_file(command_under(&file), table)
}

fn run_file(mut command: Command, table: &[u8]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.csv");
    fs::write(&file, table).expect("can be written");
    command
        .arg(&file)
        .current_dir(directory.path())
        .output()
        .expect("can be started")
}

fn command() -> Command {
    command_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/memleakd.toml"))
}

fn command_under(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memleakd"));
    command
        .args(["replay", "--output", "json", "--config"])
        .arg(config)
        .stdin(Stdio::null());
    command
}

/// The alerts of a recording, each held against the contract.
fn replay(series: &[Series], length_secs: f64) -> Vec<Value> {
    alerts(&run(table(series, length_secs).as_bytes()))
}

/// The same under another configuration.
fn replay_under(config: &str, series: &[Series], length_secs: f64) -> Vec<Value> {
    alerts(&run_under(config, table(series, length_secs).as_bytes()))
}

fn alerts(output: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""));
    let lines = str::from_utf8(&output.stdout).expect("is UTF-8").lines();
    let alerts: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    for alert in &alerts {
        let keys: BTreeSet<_> = alert
            .as_object()
            .expect("is an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, BTreeSet::from(KEYS));
        let is_cleared = alert["change"] == "cleared";
        assert_eq!(alert["reason"].is_string(), is_cleared, "{alert}");
        let state = if is_cleared { "cleared" } else { "firing" };
        assert_eq!(alert["state"], state, "{alert}");
        assert_eq!(alert["next_reminder"].is_null(), is_cleared, "{alert}");
        has_passed_every_gate(alert);
        let time: jiff::Timestamp = alert["time"]
            .as_str()
            .expect("is text")
            .parse()
            .expect("is RFC 3339");
        assert_eq!(
            secs(alert),
            time.as_millisecond() as f64 / 1000.0,
            "{alert}"
        );
    }
    assert!(alerts.is_sorted_by_key(secs), "{alerts:?}");
    alerts
}

/// Whoever reads an alert can see by its figures why it was raised.
fn has_passed_every_gate(alert: &Value) {
    let gates = alert["gates"].as_array().expect("is a list");
    let names: BTreeSet<_> = gates.iter().map(|gate| gate["gate"].as_str()).collect();
    assert_eq!(names.len(), gates.len(), "{alert}");
    for name in [
        "gain",
        "concordance",
        "step",
        "spread",
        "pace",
        "new_height",
        "rate",
        "sustained",
    ] {
        assert!(names.contains(&Some(name)), "{name}: {alert}");
    }
    for gate in gates {
        assert_eq!(gate["passes"], true, "{alert}");
        let bounds = ["least", "most"].map(|bound| gate[bound].as_f64());
        match (gate["value"].as_f64(), bounds) {
            (Some(value), [Some(least), None]) => assert!(value >= least, "{gate}"),
            (Some(value), [None, Some(most)]) => assert!(value <= most, "{gate}"),
            // There was nothing to compare with.
            (None, [Some(_), None]) => assert!(gate["value"].is_null(), "{gate}"),
            _ => panic!("{gate}"),
        }
    }
}

/// When it was said, by the recording.
fn secs(alert: &Value) -> f64 {
    alert["time_secs"].as_f64().expect("is a number")
}

fn pid(alert: &Value) -> u32 {
    alert["pid"]
        .as_u64()
        .and_then(|pid| pid.try_into().ok())
        .expect("is a process id")
}

/// The alerts of one kind of change.
fn of<'a>(alerts: &'a [Value], change: &str) -> Vec<&'a Value> {
    alerts
        .iter()
        .filter(|alert| alert["change"] == change)
        .collect()
}
