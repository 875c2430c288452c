//! Who takes note of alerts, who is spared them, and who may say so.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::process::Signal;

use crate::bus::Bus;
use crate::stage::{Daemon, Running, SOON, eventually, program};

const NOBODY: Option<&str> = Some("65534");

/// What the bus carries of memleakd's, a line each.
fn monitor(bus: &Bus) -> (Running, Receiver<String>) {
    let mut monitor = Running::start(
        Command::new("dbus-monitor")
            .args(["--address", &bus.address])
            .args([
                "type='signal',sender='org.memleakd.Memleakd1'",
                "type='signal',path_namespace='/org/memleakd/Memleakd1'",
            ])
            .stdout(Stdio::piped()),
    );
    let (sender, lines) = channel();
    let output = BufReader::new(monitor.0.stdout.take().expect("a pipe"));
    thread::spawn(move || {
        output
            .lines()
            .map_while(Result::ok)
            .all(|line| sender.send(line).is_ok())
    });
    (monitor, lines)
}

/// Waits for lines that each have one of these texts, in this order, and returns all up to there.
fn in_order(lines: &Receiver<String>, texts: &[&str]) -> String {
    let mut seen = String::new();
    for text in texts {
        loop {
            let line = lines
                .recv_timeout(SOON)
                .unwrap_or_else(|_| panic!("no {text:?} after\n{seen}"));
            seen += &line;
            seen += "\n";
            if line.contains(text) {
                break;
            }
        }
    }
    seen
}

fn objects(bus: &Bus) -> String {
    let output = Command::new("dbus-send")
        .args([
            &format!("--bus={}", bus.address),
            "--print-reply=literal",
            "--dest=org.memleakd.Memleakd1",
            "/org/memleakd/Memleakd1",
            "org.freedesktop.DBus.ObjectManager.GetManagedObjects",
        ])
        .output()
        .expect("dbus-send runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn raised(daemon: &Daemon, pid: u32) -> String {
    let raised = daemon.alert("raised", pid, SOON);
    raised["id"].as_str().expect("an id").to_owned()
}

#[test]
#[ignore = "needs root and BTF"]
fn alerts_are_objects_that_tell_everybody_no_more_than_how_bad_it_is() {
    let bus = Bus::start();
    let mut daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let (_monitor, lines) = monitor(&bus);
    let leak = Running::start(&mut Command::new(program("leak")));
    let id = raised(&daemon, leak.pid());
    let path = format!("/org/memleakd/Memleakd1/alert/{id}");
    in_order(&lines, &["member=InterfacesAdded", &path]);
    assert_eq!(
        bus.ctl(None, &["ack", &id]),
        (Some(0), String::new(), String::new())
    );
    let seen = in_order(
        &lines,
        &[&format!("path={path}; "), "Acknowledged", "boolean true"],
    );
    assert!(seen.contains("member=PropertiesChanged"), "{seen}");
    let there = objects(&bus);
    assert!(
        there.contains(&path) && there.contains("org.memleakd.Memleakd1.Alert"),
        "{there}"
    );

    // What was open before a start is an object again.
    daemon.running.signal(Signal::KILL);
    daemon.running.0.wait().expect("an end");
    let directory = daemon.directory;
    let daemon = bus.daemon_in(directory);
    eventually("the alert's object", || objects(&bus).contains(&path));
    drop(leak);
    let seen = in_order(
        &lines,
        &[
            "member=InterfacesRemoved",
            &path,
            "org.memleakd.Memleakd1.Alert",
        ],
    );
    for secret in [
        "leak\"",
        "/leak",
        "Comm",
        "Exe",
        &format!("uint64 {}\n", daemon.running.pid()),
    ] {
        assert!(!seen.contains(secret), "{secret} in\n{seen}");
    }
    assert!(!objects(&bus).contains(&path));
}

#[test]
#[ignore = "needs root and BTF"]
fn who_has_taken_note_is_known_and_others_may_not() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    let leak = Running::start(&mut Command::new(program("leak")));
    let id = raised(&daemon, leak.pid());
    let (code, _, error) = bus.ctl(NOBODY, &["ack", &id]);
    assert_eq!(code, Some(1));
    assert_eq!(
        error,
        "memleakctl: memleakd may not be asked that by this user: try again as root\n"
    );
    let (code, _, error) = bus.ctl(None, &["ack", "ffffffffffff"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("there is no open alert with that id"),
        "{error}"
    );
    assert_eq!(bus.ctl(None, &["ack", &id]).0, Some(0));
    let acknowledged = daemon
        .find(SOON, |alert| alert["acknowledged"].is_string())
        .expect("a change");
    assert_eq!(acknowledged["change"], "updated");
    assert_eq!(acknowledged["acknowledged_by"], "root");
    let (_, table, _) = bus.ctl(None, &["alerts"]);
    assert!(table.contains("(acknowledged)"), "{table}");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_silence_outlives_the_daemon_and_can_be_taken_back() {
    let bus = Bus::start();
    let mut daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let silence = &[
        "silence",
        "--comm",
        "le?k",
        "--for",
        "2h",
        "-c",
        "known\nfor long",
    ][..];
    let (code, said, error) = bus.ctl(None, silence);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(
        said,
        "silence 1: nobody is told of comm le?k for 2 h; \"memleakctl unsilence 1\" takes it back\n"
    );
    daemon.running.signal(Signal::KILL);
    daemon.running.0.wait().expect("an end");
    let daemon = bus.daemon_in(daemon.directory);
    let leak = Running::start(&mut Command::new(program("leak")));
    let alert = daemon.alert("raised", leak.pid(), SOON);
    assert!(alert["silenced_until"].is_string(), "{alert}");
    let silences = bus.json(None, &["silences", "--json"]);
    assert_eq!(silences[0]["comment"], "known\\u{a}for long");
    assert_eq!(silences[0]["matcher"]["comm"], "le?k");
    let (_, table, _) = bus.ctl(None, &["alerts"]);
    assert!(table.contains("(silenced)"), "{table}");
    assert_eq!(bus.ctl(NOBODY, &["unsilence", "1"]).0, Some(1));
    assert_eq!(bus.ctl(None, &["unsilence", "1"]).0, Some(0));
    let (code, _, error) = bus.ctl(None, &["unsilence", "1"]);
    assert_eq!(code, Some(1));
    assert!(
        error.starts_with("memleakctl: there is no silence \"1\""),
        "{error}"
    );
    let heard = daemon.find(SOON, |alert| {
        alert["change"] == "updated" && alert["silenced_until"].is_null()
    });
    assert!(heard.is_some());
}

#[test]
#[ignore = "needs root and BTF"]
fn polkit_lets_others_see_and_manage() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    let leak = Running::start(&mut Command::new(program("leak")));
    let id = raised(&daemon, leak.pid());
    // Nobody to ask: root only.
    let (code, _, error) = bus.ctl(NOBODY, &["show", &id]);
    assert!(
        code == Some(1) && error.contains("no open alert"),
        "{error}"
    );
    let _polkit = Running::start(
        Command::new("/usr/bin/python3")
            .args(["-m", "dbusmock", "--system", "-t", "polkitd"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
            .stdout(Stdio::null()),
    );
    let allow = |actions: &str| {
        let status = Command::new("dbus-send")
            .args([
                &format!("--bus={}", bus.address),
                "--print-reply",
                "--dest=org.freedesktop.PolicyKit1",
                "/org/freedesktop/PolicyKit1/Authority",
                "org.freedesktop.DBus.Mock.SetAllowed",
                &format!("array:string:{actions}"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.expect("dbus-send runs").success()
    };
    eventually("polkit", || allow("org.memleakd.Memleakd1.capture"));
    assert_eq!(bus.ctl(NOBODY, &["show", &id]).0, Some(1));
    assert!(allow("org.memleakd.Memleakd1.view-details"));
    assert_eq!(bus.ctl(NOBODY, &["show", &id]).0, Some(0));
    assert_eq!(bus.json(NOBODY, &["alerts", "--json"])[0]["id"], *id);
    assert_eq!(
        bus.json(NOBODY, &["silences", "--json"]),
        serde_json::json!([])
    );
    assert_eq!(bus.ctl(NOBODY, &["ack", &id]).0, Some(1));
    assert!(allow("org.memleakd.Memleakd1.manage"));
    assert_eq!(bus.ctl(NOBODY, &["ack", &id]).0, Some(0));
    assert_eq!(bus.ctl(NOBODY, &["show", &id]).0, Some(1));
}

#[test]
#[ignore = "needs root and BTF"]
fn a_reload_by_the_bus_says_what_is_wrong() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    assert_eq!(
        bus.ctl(None, &["reload"]),
        (Some(0), String::new(), String::new())
    );
    let config = daemon.directory.path().join("memleakd.toml");
    let before = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, before.clone() + "\n[scan2]\n").expect("written");
    let (code, _, error) = bus.ctl(None, &["reload"]);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("scan2: unknown key") && error.contains("the old configuration stays"),
        "{error}"
    );
    std::fs::write(&config, before).expect("written");
    assert_eq!(bus.ctl(None, &["reload"]).0, Some(0));
    assert_eq!(bus.ctl(NOBODY, &["reload"]).0, Some(1));
}

#[test]
#[ignore = "needs root and BTF"]
fn a_test_of_a_sink_tells_whether_it_works() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let (_monitor, lines) = monitor(&bus);
    for sink in ["dbus", "desktop"] {
        let (code, said, error) = bus.ctl(None, &["test", sink]);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{said}");
        assert!(said.starts_with(&format!("{sink}: ")), "{said}");
        in_order(
            &lines,
            &["member=AlertRaised", "/org/memleakd/Memleakd1/alert/test"],
        );
    }
    for (sink, expected) in [
        ("mail", "memleakctl: no alerts go to mail"),
        (
            "carrier-pigeon",
            "memleakctl: there is no sink \"carrier-pigeon\"",
        ),
    ] {
        let (code, _, error) = bus.ctl(None, &["test", sink]);
        assert_eq!(code, Some(1));
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(bus.ctl(NOBODY, &["test", "dbus"]).0, Some(1));
    // It is no alert.
    assert_eq!(bus.json(None, &["alerts", "--json"]), serde_json::json!([]));
    drop(daemon);
}
