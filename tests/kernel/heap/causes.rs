//! What the daemon makes of it: causes, rules with `source = "heap"`, and whom it measures.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Program, build, has_probes};
use crate::stage::{Daemon, Running, SOON, eventually, program};

fn grower(how: &str) -> Running {
    // Under a name of its own each, or they would share an alert.
    let arguments: &[&str] = match how {
        "kernel" => &["-static", "-s"],
        _ => &[],
    };
    let path = build(&format!("grow-{how}"), &["grow.c"], "cc", arguments);
    Running::start(Command::new(path).arg(how))
}

#[test]
#[ignore = "needs root and BTF"]
fn an_alert_names_the_cause() {
    let mut expected = vec![
        (grower("map"), "mapping"),
        (grower("retain"), "retention"),
        (grower("kernel"), "unknown"),
        (Running::start(&mut Command::new(program("leak"))), "heap"),
    ];
    // Long enough to have looked for ten seconds by then: little is called by one that maps.
    let daemon = Daemon::start("[rule.default]\nsustained = \"24s\"\n", |_| {});
    let until = Instant::now() + SOON + SOON;
    while !expected.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        let alert = daemon.find(left, |alert| {
            alert["change"] == "raised"
                && expected
                    .iter()
                    .any(|(running, _)| alert["pid"] == running.pid())
        });
        let waits_for: Vec<_> = expected.iter().map(|(_, cause)| *cause).collect();
        let alert = alert.unwrap_or_else(|| panic!("{waits_for:?}: {}", daemon.log()));
        let at = expected
            .iter()
            .position(|(running, _)| alert["pid"] == running.pid());
        let (_, cause) = expected.swap_remove(at.expect("one of them"));
        assert_eq!(alert["cause"], cause, "{alert:#}");
        if cause == "unknown" {
            assert!(
                alert["loss"]
                    .to_string()
                    .contains("a static, stripped program"),
                "{alert:#}"
            );
        }
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_rule_of_the_heap_finds_what_is_not_freed_and_nothing_else() {
    let retain = grower("retain");
    let steady = Running::start(&mut Command::new(program("steady")));
    let leak = Running::start(&mut Command::new(program("leak")));
    let more =
        "[rule.default]\nsource = \"heap\"\n[heap]\nwatch = \"matched\"\nceiling = \"100%\"\n
        [rule.others]\nignore = true\nmatch.comm = [\"[!lhs]*\"]\n";
    let daemon = Daemon::start(more, |_| {});
    eventually("a probe in a steady program", || has_probes(steady.pid()));
    eventually("a probe in another", || has_probes(retain.pid()));
    let alert = daemon.alert("raised", leak.pid(), SOON);
    assert_eq!(
        (&alert["source"], &alert["cause"]),
        (&"heap".into(), &"heap".into()),
        "{alert:#}"
    );
    let rate = alert["growth_bytes_per_sec"].as_f64().expect("a number");
    assert!((300_000.0..1_100_000.0).contains(&rate), "{alert:#}");
    let wrong = daemon.find(Duration::from_secs(15), |alert| {
        alert["pid"] == retain.pid() || alert["pid"] == steady.pid()
    });
    assert_eq!(wrong, None::<Value>);
}

#[test]
#[ignore = "needs root and BTF"]
fn without_leave_nothing_is_probed() {
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = Daemon::start("[heap]\nwatch = \"off\"\n", |_| {});
    let mut is_raised = false;
    let until = Instant::now() + SOON;
    while !is_raised {
        assert!(Instant::now() < until, "{}", daemon.log());
        assert!(!has_probes(leak.pid()));
        let alert = daemon.find(Duration::from_millis(200), |alert| {
            alert["pid"] == leak.pid()
        });
        if let Some(alert) = alert {
            assert_eq!(alert["cause"], "unknown");
            is_raised = true;
        }
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn many_measured_processes_hold_up_no_round() {
    let busy = build("busy", &["busy.c"], "cc", &[]);
    let calls = build("calls", &["calls.c"], "cc", &[]);
    let mut idle: Vec<_> = (0..24)
        .map(|_| Program::start(&mut Command::new(&calls)))
        .collect();
    let _busy = Program::start(&mut Command::new(&busy));
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a time");
    let more = "[heap]\nwatch = \"matched\"\n[rule.heap]\nsource = \"heap\"\n
        match.comm = [\"heap-*\"]\n";
    let daemon = Daemon::start(more, |command| {
        command.env("NOTIFY_SOCKET", &path).stdin(Stdio::null());
    });
    let mut buffer = [0; 4096];
    let mut round = || {
        socket.recv(&mut buffer).expect("a round");
        Instant::now()
    };
    round();
    let mut last = round();
    let mut longest = Duration::ZERO;
    let mut was_measured = false;
    for n in 0..15 {
        let at = round();
        longest = longest.max(at - last);
        last = at;
        was_measured |= idle.iter().all(Program::has_probes);
        if n == 10 {
            assert!(was_measured, "{}", daemon.log());
            // All at once.
            idle.clear();
        }
    }
    eprintln!("longest round {longest:?}");
    assert!(longest < Duration::from_millis(1500), "{longest:?}");
}
