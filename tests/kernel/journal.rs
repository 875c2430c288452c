use std::fs;
use std::process::{Command, Stdio};

use memleakd::alert::Alert;
use memleakd::sink::{Delivery, Journal, Sink};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::journald::Journald;
use crate::stage::{Daemon, Running, SOON, eventually, program, run_by, start_time};

/// A change of the alert of a process.
fn change(change: &str, pid: u32, start_time: &str) -> Alert {
    let text = format!(
        r#"{{
        "change": "{change}", "id": "0123456789ab", "time": "2026-03-01T12:00:00Z", "host": "db1",
        "rule": "default", "severity": "warning", "reason": null, "pid": {pid},
        "start_time": {start_time}, "comm": "postgres", "exe": null, "unit": "offender.service",
        "user_unit": "offender-of-user.service", "uid": 1000, "container": null, "processes": 1,
        "source": "pages", "cause": "unknown", "bytes": 1, "growth_bytes": 1,
        "growth_bytes_per_sec": 1.0, "growth_bytes_per_sec_low": 1.0,
        "since": "2026-03-01T11:00:00Z", "limit_bytes": null, "limit_kind": null,
        "exhausts_in_secs": null, "next_reminder": null, "loss": [], "message": "it leaks",
        "sites": [{{"bytes": 1024, "count": 1, "frames": [{{"function": "parse_row",
            "module": null, "offset": null, "file": "query.c", "line": 7, "unknown": null}}]}}]
        }}"#
    );
    serde_json::from_str(&text).expect("an alert")
}

fn gone(sequence: u64) -> Delivery {
    Delivery {
        sequence,
        changes: vec![change("raised", 1, "1")],
    }
}

fn sequences(journald: &Journald) -> Vec<u64> {
    let entries = journald.entries(&["SYSLOG_IDENTIFIER=memleakd"]);
    let sequence = |entry: &Value| entry["MEMLEAKD_SEQUENCE"].as_str()?.parse().ok();
    let sequences: Option<Vec<_>> = entries.iter().map(sequence).collect();
    sequences.expect("each has a sequence")
}

#[test]
#[ignore = "needs root and BTF"]
fn journalctl_shows_an_alert_under_the_offenders_unit() {
    let journald = Journald::start();
    let mut journal = Journal::new(journald.socket());
    let sleeper = Running::start(Command::new("sleep").arg("1000"));
    let living = change("raised", sleeper.pid(), &start_time(sleeper.pid()));
    let dead = change("cleared", sleeper.pid(), "1");
    for (sequence, alert) in [(1, living), (2, dead)] {
        let delivery = Delivery {
            sequence,
            changes: vec![alert],
        };
        journal.send(&delivery).expect("it is sent");
    }
    let raised = journald.entries(&["MESSAGE_ID=8cfacbc0f4424276a4fc02126ce7ac04"]);
    let [raised] = &raised[..] else {
        panic!("{raised:?}")
    };
    assert_eq!(raised["MESSAGE"], "it leaks");
    assert_eq!(raised["OBJECT_PID"], sleeper.pid().to_string());
    // This is what journald has looked up.
    assert_eq!(raised["OBJECT_COMM"], "sleep");
    assert_eq!(raised["DOCUMENTATION"], "man:memleakd(8)");
    let stacks = "1 KiB in 1 block, allocated by\n  parse_row (query.c:7)";
    assert_eq!(raised["MEMLEAKD_STACKS"], stacks);
    let sites = raised["MEMLEAKD_SITES"].as_str().expect("a text");
    let sites: Value = serde_json::from_str(sites).expect("JSON");
    assert_eq!(sites[0]["frames"][0]["function"], "parse_row");
    for arguments in [
        ["--unit", "offender.service"],
        ["--user-unit", "offender-of-user.service"],
    ] {
        let shown = journald.entries(&arguments);
        let [cleared] = &shown[..] else {
            panic!("{arguments:?}: {shown:?}")
        };
        assert_eq!(cleared["MEMLEAKD_SEQUENCE"], "2");
        assert_eq!(cleared["OBJECT_PID"], Value::Null);
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_journald_that_was_away_has_each_entry_once() {
    let mut journald = Journald::start();
    let mut journal = Journal::new(journald.socket());
    journal.send(&gone(1)).expect("it is sent");
    journald.resume();
    journal.send(&gone(2)).expect("it is sent to the next one");
    journald.stop();
    journal.send(&gone(3)).expect_err("nobody listens");
    fs::remove_file(journald.socket()).expect("a socket");
    journal.send(&gone(3)).expect_err("there is no socket");
    journald.resume();
    journal.send(&gone(3)).expect("it is sent");
    assert_eq!(sequences(&journald), [1, 2, 3]);
}

#[test]
#[ignore = "needs root and BTF"]
fn a_journald_that_does_not_read_is_waited_for_or_said() {
    let journald = Journald::start();
    let mut journal = Journal::new(journald.socket());
    journald.signal(Signal::STOP);
    let n_taken = (1..)
        .take_while(|n| journal.send(&gone(*n)).is_ok())
        .count() as u64;
    let error = journal.send(&gone(n_taken + 1)).expect_err("it is full");
    assert!(
        format!("{error:#}").contains("its buffer is full"),
        "{error:#}"
    );
    journald.signal(Signal::CONT);
    journal.send(&gone(n_taken + 1)).expect("it is sent");
    assert_eq!(sequences(&journald), (1..=n_taken + 1).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs root and BTF"]
fn an_entry_larger_than_the_sockets_buffer_arrives_whole() {
    let journald = Journald::start();
    let mut journal = Journal::new(journald.socket());
    let mut alert = change("raised", 1, "1");
    let limit = fs::read_to_string("/proc/sys/net/core/wmem_max").expect("a limit");
    let limit: usize = limit.trim().parse().expect("a number");
    alert.loss = vec!["é".repeat(limit)];
    let delivery = Delivery {
        sequence: 1,
        changes: vec![alert.clone()],
    };
    journal.send(&delivery).expect("it is sent");
    let entries = journald.entries(&["MEMLEAKD_SEQUENCE=1"]);
    let [entry] = &entries[..] else {
        panic!("{} entries", entries.len())
    };
    let loss = entry["MEMLEAKD_LOSS"].as_str().expect("a text");
    assert!(loss == serde_json::to_string(&alert.loss).expect("JSON"));
}

#[test]
#[ignore = "needs root and BTF"]
fn what_the_journal_had_before_a_kill_is_not_sent_again() {
    let journald = Journald::start();
    let runner = journald.runner();
    let runner: Vec<_> = runner.iter().map(String::as_str).collect();
    let leak = Running::start(&mut Command::new(program("leak")));
    // Its socket is where the machine's is.
    let config = "[journal]\nenabled = true\n";
    let daemon = Daemon::start(config, |command| run_by(command, &runner));
    daemon.alert("raised", leak.pid(), SOON);
    let pid = leak.pid().to_string();
    let of_leak = format!("MEMLEAKD_PID={pid}");
    eventually("an entry", || !journald.entries(&[&of_leak]).is_empty());
    let Daemon {
        running, directory, ..
    } = daemon;
    running.signal(Signal::KILL);
    drop(running);
    drop(leak);
    // As if it had been killed before it could note that the first had arrived, while two more
    // waited that no journal has had.
    let path = directory.path().join("state/alerts.json");
    let text = fs::read_to_string(&path).expect("a state");
    let mut state: Value = serde_json::from_str(&text).expect("JSON");
    let entry = journald.entries(&[&of_leak]).remove(0);
    let field = |name: &str| entry[name].as_str().expect("a text").to_owned();
    let mut alert = serde_json::to_value(change("raised", 1, "1")).expect("JSON");
    alert["id"] = field("MEMLEAKD_ID").into();
    alert["time"] = field("MEMLEAKD_TIME").into();
    let sequence: u64 = field("MEMLEAKD_SEQUENCE").parse().expect("a number");
    let waiting = |sequence: u64| json!({"sequence": sequence, "alert": alert, "addressees": [{"sink": "journal"}]});
    state["outbox"]["waiting"] = json!([waiting(sequence), waiting(9001), waiting(9002)]);
    fs::write(&path, state.to_string()).expect("a state");
    let _daemon = Daemon::start_in(directory, config, |command| {
        run_by(command, &runner);
        command.stdout(Stdio::piped());
    });
    eventually("what had not arrived", || {
        !journald.entries(&["MEMLEAKD_SEQUENCE=9002"]).is_empty()
    });
    for sequence in [sequence, 9001, 9002] {
        let entries = journald.entries(&[&format!("MEMLEAKD_SEQUENCE={sequence}")]);
        assert_eq!(entries.len(), 1, "{sequence}: {entries:?}");
    }
}
