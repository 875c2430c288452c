//! What the manual and the completions say of the bus, on a bus with a daemon.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bus::Bus;
use crate::stage::{Running, SOON, program};

/// A file that is shipped.
fn shipped(path: &str) -> String {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    fs::read_to_string(packaging.join(path)).expect(path)
}

/// Runs a script with a bus, and gives what it prints.
fn run(bus: &Bus, shell: &str, script: &str) -> String {
    let output = Command::new(shell)
        .args(["-c", script])
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
        .output()
        .expect("the shell runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
#[ignore = "needs root and BTF"]
fn the_examples_of_the_bus_work_and_ids_are_completed() {
    let bus = Bus::start();
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = bus.daemon();
    let raised = daemon.alert("raised", leak.pid(), SOON);
    let id = raised["id"].as_str().expect("an id");

    let page = shipped("usr/share/man/man5/org.memleakd.Memleakd1.5");
    let (_, block) = page.split_once(".Bd -literal\n").expect("examples");
    let (block, _) = block.split_once(".Ed\n").expect("examples");
    // What is followed for ever, what is of another machine, and what this one does not have.
    let lines = block.replace("\\e\n", " ");
    let lines = lines.lines().filter(|line| !line.contains(" monitor "));
    let script: Vec<_> = lines
        .map(|line| line.replace("de6e8beb95d0", id))
        .map(|line| line.replace("s journal", "s dbus"))
        // This shell is new to the daemon.
        .map(|line| line.replace("$$", &leak.pid().to_string()))
        .collect();
    assert!(script.len() >= 15, "{script:?}");
    let said = run(&bus, "sh", &format!("set -ex\n{}", script.join("\n")));
    for expected in ["ProcessesWatched", "GrowthBytesPerSecLow", id, "t 1"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }

    // The ids as the completions of each shell ask for them.
    let completions = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/usr/share");
    bus.json(None, &["alerts", "--json"]);
    let silenced = bus.ctl(None, &["silence", "--unit", "x", "--for", "1h"]);
    assert_eq!(silenced.0, Some(0), "{silenced:?}");
    let silences = bus.json(None, &["silences", "--json"]);
    let silence = silences[0]["id"].as_str().expect("an id");
    let bash = completions.join("bash-completion/completions/memleakctl");
    let fish = completions.join("fish/vendor_completions.d/memleakctl.fish");
    for (shell, script, expected) in [
        (
            "bash",
            format!("source {}; _memleakctl_known alerts", bash.display()),
            id,
        ),
        (
            "bash",
            format!("source {}; _memleakctl_known silences", bash.display()),
            silence,
        ),
        (
            "fish",
            format!("source {}; __fish_memleakctl_alerts", fish.display()),
            id,
        ),
        (
            "fish",
            format!("source {}; __fish_memleakctl_silences", fish.display()),
            silence,
        ),
    ] {
        let said = run(&bus, shell, &script);
        assert!(
            said.lines().any(|line| line == expected),
            "{script}: {said}"
        );
    }
}
