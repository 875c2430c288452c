//! A host among others: its leak is seen in Alertmanager, its figures in Prometheus.

#[path = "../monitoring/services.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod services;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{Daemon, Running, SOON, eventually, program};
use services::{Service, free_port, wait_until};

/// A leak is posted within so long of being raised.
const POSTED: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs root and BTF"]
fn a_leak_is_seen_in_alertmanager_and_resolves_with_the_program() {
    let alertmanager = Service::alertmanager(free_port(), 1);
    let config = format!(
        "[alertmanager]\nurl = \"http://127.0.0.1:{}\"\nlabels = [\"team=tests\"]\n",
        alertmanager.port
    );
    let leak = Running::start(&mut Command::new(program("leak")));
    let pid = leak.pid();
    let daemon = Daemon::start(&config, |_| {});
    let state = daemon.directory.path().join("state");
    let mut command = Command::new(env!("CARGO_BIN_EXE_memleakd-alertmanager"));
    command
        .arg("--watch")
        .arg("--config")
        .arg(daemon.directory.path().join("memleakd.toml"))
        .env("STATE_DIRECTORY", &state)
        .env_remove("JOURNAL_STREAM")
        .stderr(Stdio::inherit());
    eventually("the directory", || state.join("alertmanager").is_dir());
    let _program = Running::start(&mut command);
    let alert = daemon.alert("raised", pid, SOON);
    let seen = || -> Vec<Value> {
        let mut alerts = alertmanager.alerts();
        alerts.retain(|seen| seen["labels"]["id"] == alert["id"]);
        alerts
    };
    eventually("the alert", || !seen().is_empty());
    let [found] = &seen()[..] else {
        panic!("one alert");
    };
    let labels = found["labels"].as_object().expect("labels");
    let host = rustix::system::uname();
    for (label, value) in [
        ("alertname", json!("MemoryLeak")),
        ("severity", alert["severity"].clone()),
        ("instance", json!(host.nodename().to_str().expect("a name"))),
        ("comm", json!("leak")),
        ("rule", json!("default")),
        ("team", json!("tests")),
    ] {
        assert_eq!(labels[label], value, "{labels:?}");
    }
    assert_eq!(found["annotations"]["summary"], alert["message"]);
    drop(leak);
    daemon.alert("cleared", pid, SOON);
    let begin = std::time::Instant::now();
    wait_until("its end", || seen().is_empty());
    assert!(begin.elapsed() < POSTED, "that is by itself");
}

#[test]
#[ignore = "needs root and BTF"]
fn figures_are_scraped_and_end_with_the_daemon() {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("memleakd.prom");
    // Where node_exporter looks there need only be a link, to a place that is the daemon's.
    let texts = TempDir::new().expect("a directory");
    symlink(&file, texts.path().join("memleakd.prom")).expect("a link");
    let exporter = Service::node_exporter(texts.path());
    let prometheus = Service::prometheus(exporter.port);
    let leak = Running::start(&mut Command::new(program("leak")));
    let config = format!("[metrics]\nfile = {file:?}\n");
    let daemon = Daemon::start(&config, |_| {});
    daemon.alert("raised", leak.pid(), SOON);

    let query = |expression: &str| -> Vec<Value> {
        let answer = prometheus.json(&format!("/api/v1/query?query={expression}"));
        answer["data"]["result"].as_array().expect("a list").clone()
    };
    let value = |expression: &str| -> Option<f64> {
        let result = query(expression);
        let text = result.first()?["value"][1].as_str()?;
        text.parse().ok()
    };
    wait_until("an alert in Prometheus", || {
        value("sum(memleakd_alerts)").is_some_and(|n| n >= 1.0)
    });
    wait_until("the growth of the program", || {
        // It takes a MiB at a time, many times a second.
        value("memleakd_program_growth_bytes_per_second{comm=\"leak\"}")
            .is_some_and(|rate| rate > 1e4)
    });
    let growth = query("memleakd_program_growth_bytes_per_second");
    assert!((1..=10).contains(&growth.len()), "{growth:?}");
    let processes = value("memleakd_processes_watched").expect("a figure");
    // All of this machine's, but those that came and went and kernel threads.
    let entries = fs::read_dir("/proc").expect("lists").flatten();
    let n_pids = entries
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(|entry| fs::read_link(entry.path().join("exe")).is_ok())
        .count() as f64;
    assert!(
        processes > n_pids * 0.5 && processes < n_pids * 2.0,
        "{processes} of {n_pids}"
    );
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let scanned = value("memleakd_last_scan_timestamp_seconds").expect("a figure");
    assert!((now.as_secs_f64() - scanned).abs() < 30.0, "{scanned}");

    // Its own cost, as the kernel has it. While it captures stacks it holds more for a moment.
    let pid = daemon.running.pid();
    eventually("its own cost", || {
        let text = fs::read_to_string(&file).expect("a file");
        let own = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.expect("a figure").trim().parse().expect("a number")
        };
        let secs = own("memleakd_own_cpu_seconds_total ");
        let resident = own("memleakd_own_resident_bytes ");
        (secs - cpu_secs(pid)).abs() < 0.5 && (resident / resident_bytes(pid) - 1.0).abs() < 0.1
    });
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    daemon.running.signal(Signal::TERM);
    eventually("the end of the file", || !file.exists());
    assert_eq!(fs::read_dir(directory.path()).expect("lists").count(), 0);
}

#[test]
#[ignore = "needs root and BTF"]
fn a_file_that_cannot_be_written_is_said_once_and_one_that_goes_is_removed() {
    let directory = TempDir::new().expect("a directory");
    let missing = directory.path().join("missing");
    let file = missing.join("memleakd.prom");
    let daemon = Daemon::start(&format!("[metrics]\nfile = {file:?}\n"), |_| {});
    daemon.wait_for_log("metrics fails");
    // The quick profile's rounds are a fraction of a second apart.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        daemon.log().matches("metrics").count(),
        1,
        "{}",
        daemon.log()
    );
    fs::create_dir(&missing).expect("a directory");
    daemon.wait_for_log("metrics works again");
    assert!(file.exists());
    let config = daemon.directory.path().join("memleakd.toml");
    let text = fs::read_to_string(&config).expect("a configuration");
    let elsewhere = directory.path().join("other.prom");
    let changed = text.replace(
        file.to_str().expect("UTF-8"),
        elsewhere.to_str().expect("UTF-8"),
    );
    fs::write(&config, changed).expect("writes");
    daemon.running.signal(Signal::HUP);
    eventually("the other file", || elsewhere.exists() && !file.exists());
    fs::write(
        &config,
        text.replace("[metrics]", "[metrics]\ntop = 0\n")
            .replace(file.to_str().expect("UTF-8"), ""),
    )
    .expect("writes");
    daemon.running.signal(Signal::HUP);
    eventually("no file", || !elsewhere.exists());
}

/// What a process has used of the CPUs, in user space and in the kernel.
fn cpu_secs(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let fields: Vec<_> = fields.split(' ').collect();
    let ticks = fields[11..13].iter();
    let ticks: f64 = ticks
        .map(|field| field.parse::<f64>().expect("a number"))
        .sum();
    ticks / 100.0
}

fn resident_bytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.expect("a figure").trim().trim_end_matches(" kB");
    resident.parse::<f64>().expect("a number") * 1024.0
}
