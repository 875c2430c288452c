//! The leak on purpose is found, by the rule that is shipped for it, in the function that is named.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::Signal;

use crate::bus::Bus;
use crate::stage::{Running, SOON, eventually};

/// The shipped rule, for a shorter time than its two minutes.
fn rule() -> String {
    let shipped =
        include_str!("../../packaging/usr/lib/memleakd/memleakd.toml.d/50-demo-leak.toml");
    assert!(shipped.contains("sustained = \"2min\""), "{shipped}");
    shipped.replace("\"2min\"", "\"15s\"")
}

#[test]
#[ignore = "needs root and BTF"]
fn it_is_found_and_the_code_is_named() {
    let bus = Bus::start();
    // Nothing else is to be found, so that it is this rule.
    let daemon = bus.daemon_with(&format!("rule.default.sustained = \"1h\"\n{}", rule()));
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let mut demo = Command::new(env!("CARGO_BIN_EXE_memleakctl"));
    demo.args(["demo-leak", "--rate", "30MiB/min"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
        .stdout(Stdio::piped());
    let mut demo = Running::start(&mut demo);
    let mut output = demo.0.stdout.take().expect("a pipe");
    let read = thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).expect("text");
        text
    });

    let raised = daemon
        .find(SOON, |alert| {
            alert["change"] == "raised" && alert["rule"] == "demo-leak"
        })
        .unwrap_or_else(|| panic!("no alert; the log:\n{}", daemon.log()));
    assert_eq!(raised["comm"], "memleakd-demo");
    let id = raised["id"].as_str().expect("an id");
    let named = daemon.find(SOON, |alert| {
        alert["id"] == id && alert["message"].to_string().contains("memleakd_demo_leak")
    });
    let named = named.unwrap_or_else(|| panic!("no name; the log:\n{}", daemon.log()));
    assert_eq!(named["cause"], "heap", "{named}");
    let (code, text, _) = bus.ctl(None, &["report", id]);
    let first = text.lines().next().expect("a line");
    assert!(
        code == Some(0) && first.starts_with("memleakd_demo_leak"),
        "{text}"
    );

    demo.signal(Signal::INT);
    assert_eq!(demo.0.wait().expect("an end").code(), Some(0));
    let said = read.join().expect("text");
    for expected in [
        "rule demo-leak is for it: there will be an alert in 20 s or little more",
        &format!(" there is an alert: {id}\n"),
        &format!("memleakctl report {id} "),
        "ended after ",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let cleared = daemon.find(SOON, |alert| {
        alert["id"] == id && alert["change"] == "cleared"
    });
    assert_eq!(cleared.expect("its end")["reason"], "exited");
}

/// Who is too slow for a rule, or left alone by one, is told that there is nothing to wait for.
#[test]
#[ignore = "needs root and BTF"]
fn it_says_when_nothing_is_to_be_expected() {
    let bus = Bus::start();
    let daemon = bus.daemon_with(&format!(
        "{}\n[rule.left-alone]\nmatch.comm = [\"memleakd-demo\"]\nmatch.exe = [\"*/memleakctl\"]\nmatch.user = [\"0\"]\nignore = true\n",
        rule()
    ));
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let (code, said, _) = bus.ctl(None, &["demo-leak", "--for", "8s"]);
    assert_eq!(code, Some(0));
    let expected = "rule left-alone says that it is to be left alone: there will be no alert\n";
    assert!(said.contains(expected), "{said}");
    drop(daemon);
    let daemon = bus.daemon_with(&rule());
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let (code, said, _) = bus.ctl(None, &["demo-leak", "--rate", "9KiB/min", "--for", "8s"]);
    assert_eq!(code, Some(0));
    let expected =
        "rule demo-leak asks for growth of 100 KiB/min at least: there will be no alert\n";
    assert!(said.contains(expected), "{said}");
    drop(daemon);
}
