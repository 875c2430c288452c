//! Why a process is taken for one that leaks, or why not, as somebody at a terminal is told.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bus::Bus;
use crate::stage::{Running, SOON, program};

/// The memory of its own that a process holds, by /proc/PID/status, in bytes.
fn anonymous_bytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.expect("a number") * 1024.0
}

/// Asks until the verdict on a process is what it should be. Returns that answer, and the verdicts
/// before it.
fn wait_for(bus: &Bus, pid: u32, verdict: &str) -> (Value, Vec<String>) {
    let until = Instant::now() + SOON;
    let mut before: Vec<String> = Vec::new();
    loop {
        let (code, output, error) = bus.ctl(None, &["explain", &pid.to_string(), "--json"]);
        if code == Some(0) {
            let answer: Value = serde_json::from_str(&output).expect("JSON");
            let found = &answer["sources"][0]["explanation"]["verdict"];
            if found == verdict {
                return (answer, before);
            }
            before.extend(found.as_str().map(str::to_owned));
        } else {
            // It may not be on the bus yet, or in its first scan.
            let is_early = ["try again", "does not run"]
                .iter()
                .any(|part| error.contains(part));
            assert!(is_early, "{error}");
        }
        assert!(Instant::now() < until, "not {verdict}: {before:?}");
        thread::sleep(Duration::from_millis(300));
    }
}

fn lane<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let lanes = answer["sources"][0]["explanation"]["lanes"].as_array();
    let mut lanes = lanes.expect("a list").iter();
    lanes.find(|lane| lane["lane"] == name).expect("the lane")
}

#[test]
#[ignore = "needs root and BTF"]
fn a_leak_is_pending_before_it_is_one() {
    let bus = Bus::start();
    let daemon = bus.daemon_with("rule.default.sustained = \"25s\"\n");
    let leak = Running::start(&mut Command::new(program("leak")));
    let (began, base_bytes) = (Instant::now(), anonymous_bytes(leak.pid()));

    let (pending, before) = wait_for(&bus, leak.pid(), "pending");
    assert!(
        before.iter().all(|verdict| verdict == "quiet"),
        "{before:?}"
    );
    assert_eq!(pending["comm"], "leak");
    assert_eq!(pending["alerts"], serde_json::json!([]));
    let explanation = &pending["sources"][0]["explanation"];
    assert_eq!(
        (&explanation["lane"], &explanation["fails"]),
        (&"slow".into(), &"sustained".into())
    );
    let slow = lane(&pending, "slow");
    let window_secs = slow["window_secs"].as_f64().expect("a number");
    let left_secs = explanation["pending_secs"].as_f64().expect("a number");
    assert_eq!(window_secs + left_secs, 25.0, "{pending}");

    let (leaking, before) = wait_for(&bus, leak.pid(), "leaking");
    assert!(
        before.iter().all(|verdict| verdict == "pending"),
        "{before:?}"
    );
    let slow = lane(&leaking, "slow");
    let gates = slow["gates"].as_array().expect("a list");
    assert!(gates.iter().all(|gate| gate["passes"] == true), "{slow}");
    let bytes_per_sec = (anonymous_bytes(leak.pid()) - base_bytes) / began.elapsed().as_secs_f64();
    let figure = |name: &str| slow[name].as_f64().expect("a number");
    let ratio = figure("growth_bytes_per_sec") / bytes_per_sec;
    assert!((0.8..1.25).contains(&ratio), "{bytes_per_sec} {slow}");
    assert!(figure("growth_bytes_per_sec_low") <= figure("growth_bytes_per_sec_high"));
    let size = leaking["sources"][0]["bytes"].as_f64().expect("a number");
    assert!(
        (0.7..=1.05).contains(&(size / anonymous_bytes(leak.pid()))),
        "{leaking}"
    );

    let raised = daemon.alert("raised", leak.pid(), SOON);
    let names = |gates: &Value| -> Vec<String> {
        let gates = gates.as_array().expect("a list").iter();
        gates.map(|gate| gate["gate"].to_string()).collect()
    };
    assert_eq!(names(&raised["gates"]), names(&slow["gates"]), "{raised}");
    let id = raised["id"].as_str().expect("an id");
    let after = bus.json(None, &["explain", &leak.pid().to_string(), "--json"]);
    assert_eq!(after["alerts"], serde_json::json!([id]));

    let (code, text, _) = bus.ctl(None, &["explain", &leak.pid().to_string()]);
    assert_eq!(code, Some(0));
    let first = text.lines().next().expect("a line");
    assert!(
        first.starts_with(&format!("leaking: leak (pid {}) grows by ", leak.pid())),
        "{text}"
    );
    assert!(
        text.contains("\n  ok  lasted") && !text.contains("\n  no  "),
        "{text}"
    );
    let (_, text, _) = bus.ctl(None, &["show", id]);
    assert!(text.contains("\n  why         gain "), "{text}");
}

#[test]
#[ignore = "needs root and BTF"]
fn whom_no_rule_is_for_is_told_so() {
    let bus = Bus::start();
    let _daemon = bus.daemon_with(
        "rule.default.match.comm = [\"steady\", \"sleeper\"]\n\
         rule.left-alone = { match.comm = [\"sleeper\"], ignore = true, match.user = [\"0\"] }\n",
    );
    for (name, starts) in [
        ("steady", "quiet: steady (pid "),
        (
            "sleeper",
            "ignored: rule left-alone says that sleeper (pid ",
        ),
        ("leak", "not watched: no rule matches leak (pid "),
    ] {
        let running = Running::start(Command::new(program(name)).stdin(Stdio::piped()));
        let pid = running.pid().to_string();
        crate::stage::eventually(starts, || {
            let (_, text, _) = bus.ctl(None, &["explain", &pid]);
            text.starts_with(starts)
        });
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn others_may_ask_after_their_own_only() {
    let bus = Bus::start();
    let _daemon = bus.daemon();
    crate::stage::eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let nobody = Some("65534");
    let of_root = Running::start(&mut Command::new(program("steady")));
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--",
        "sleep",
        "60",
    ]);
    let own = Running::start(&mut command);
    let own_pid = own.pid().to_string();
    crate::stage::eventually("the answer", || {
        bus.ctl(nobody, &["explain", &own_pid]).0 == Some(0)
    });
    let root_pid = of_root.pid().to_string();
    for (user, pid, expected) in [
        (
            nobody,
            root_pid.as_str(),
            format!("process {root_pid} belongs to another user: try again as root"),
        ),
        (nobody, "4194304", "there is no process 4194304".to_owned()),
        (None, "4194304", "there is no process 4194304".to_owned()),
    ] {
        let (code, output, error) = bus.ctl(user, &["explain", pid]);
        assert_eq!((code, output.as_str()), (Some(1), ""));
        assert_eq!(error, format!("memleakctl: {expected}\n"));
    }
    // A thread of the kernel has no memory of its own.
    let (code, _, error) = bus.ctl(None, &["explain", "2"]);
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains("a thread of the kernel"), "{error}");
}
