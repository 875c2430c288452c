use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::stage::{Daemon, Running, SOON, eventually, program, start_time};

#[test]
#[ignore = "needs root and BTF"]
fn a_leak_is_found_and_a_steady_program_left_alone() {
    let leak = Running::start(&mut Command::new(program("leak")));
    let steady = Running::start(&mut Command::new(program("steady")));
    let mut daemon = Daemon::start("", |_| {});
    let alert = daemon.alert("raised", leak.pid(), SOON);
    assert_eq!(alert["comm"], "leak");
    assert_eq!(alert["exe"], program("leak").to_str().expect("UTF-8"));
    assert_eq!(alert["rule"], "default");
    assert_eq!(alert["start_time"].to_string(), start_time(leak.pid()));
    // The program asks for 1 KiB a millisecond, and malloc adds 16 bytes to each; sleeping takes longer.
    let (low, rate) = (
        &alert["growth_bytes_per_sec_low"],
        &alert["growth_bytes_per_sec"],
    );
    let (low, rate) = (
        low.as_f64().expect("a number"),
        rate.as_f64().expect("a number"),
    );
    assert!(
        300_000.0 < low && low <= rate && rate < 1_100_000.0,
        "{low} {rate}"
    );
    assert!(alert["exhausts_in_secs"].as_u64().expect("a number") > 0);

    drop(leak);
    assert_eq!(
        daemon.alert(
            "cleared",
            alert["pid"].as_u64().expect("a pid") as u32,
            SOON
        )["reason"],
        "exited"
    );
    let steady_alert = daemon.find(Duration::from_secs(5), |alert| alert["pid"] == steady.pid());
    assert_eq!(steady_alert, None);

    let asked = Instant::now();
    daemon.running.signal(Signal::TERM);
    assert!(daemon.running.0.wait().expect("an end").success());
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn a_killed_daemon_neither_repeats_nor_forgets() {
    let leak = Running::start(&mut Command::new(program("leak")));
    let pid = leak.pid();
    let mut daemon = Daemon::start("", |_| {});
    let raised = daemon.alert("raised", pid, SOON);
    let state = daemon.directory.path().join("state/alerts.json");
    eventually("delivery", || {
        let state = fs::read_to_string(&state).expect("a state");
        let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
        state["outbox"]["waiting"]
            .as_array()
            .is_some_and(Vec::is_empty)
    });
    daemon.running.signal(Signal::KILL);
    daemon.running.0.wait().expect("an end");

    let daemon = Daemon::start_in(daemon.directory, "", |_| {});
    // Long enough to find the leak anew, which still is the same one.
    // That its cause gets known meanwhile is no repetition.
    let again = daemon.find(Duration::from_secs(20), |alert| {
        alert["pid"] == pid && alert["change"] != "updated"
    });
    assert_eq!(again, None);
    drop(leak);
    let cleared = daemon.alert("cleared", pid, SOON);
    assert_eq!(
        (&cleared["id"], &cleared["reason"]),
        (&raised["id"], &"exited".into())
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn an_unreadable_state_is_set_aside() {
    let directory = tempfile::TempDir::new().expect("a directory");
    fs::create_dir(directory.path().join("state")).expect("a directory");
    fs::write(
        directory.path().join("state/alerts.json"),
        "{\"version\":1,",
    )
    .expect("a file");
    fs::write(
        directory.path().join("state/past.json"),
        "{\"version\":99,\"wisdom\":[]}",
    )
    .expect("a file");
    // Cut in the middle of a number, as by a file system that has lost its end.
    fs::write(
        directory.path().join("state/curves.json"),
        "{\"version\":1,\"curves\":[{\"boot_id\":\"x\",\"process\":{\"pid\":1",
    )
    .expect("a file");
    let daemon = Daemon::start_in(directory, "", |_| {});
    daemon.wait_for_log("starting without open alerts");
    daemon.wait_for_log("starting without the curves of processes");
    daemon.wait_for_log("past.json has format 99, this version of memleakd knows format 1");
    for file in [
        "alerts.json.unreadable",
        "past.json.unreadable",
        "curves.json.unreadable",
    ] {
        let aside = daemon.directory.path().join("state").join(file);
        assert!(aside.exists(), "{file}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn what_a_program_did_survives_a_restart() {
    let path = program("leak");
    let path = path.to_str().expect("UTF-8");
    let mut directory = tempfile::TempDir::new().expect("a directory");
    for n_leaks in 1..=2 {
        let leak = Running::start(&mut Command::new(path));
        let mut daemon = Daemon::start_in(directory, "", |_| {});
        daemon.alert("raised", leak.pid(), SOON);
        let pid = leak.pid();
        drop(leak);
        daemon.alert("cleared", pid, SOON);
        daemon.running.signal(Signal::TERM);
        assert!(daemon.running.0.wait().expect("an end").success());
        directory = daemon.directory;

        let past = directory.path().join("state/past.json");
        let past = fs::read_to_string(past).expect("a past");
        let past: serde_json::Value = serde_json::from_str(&past).expect("JSON");
        let programs = past["past"]["programs"].as_object().expect("programs");
        // Where the tests run in no unit, there is nothing before the name.
        let mut ours = programs.iter().filter(|(name, _)| name.ends_with(path));
        let (_, leaked) = ours.next().expect("the program that leaked");
        assert_eq!(leaked["n_leaks"], n_leaks, "{leaked}");
        assert_eq!(leaked["n_runs"], n_leaks, "{leaked}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_bad_configuration_leaves_the_old_one_in_force() {
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = Daemon::start("", |_| {});
    daemon.wait_for_log("alerts go to: ");
    let config = daemon.directory.path().join("memleakd.toml");
    let good = fs::read_to_string(&config).expect("a configuration");

    fs::write(&config, "[rule.default]\ngrowth = \"1 furlong\"\n").expect("a file");
    daemon.running.signal(Signal::HUP);
    daemon.wait_for_log("memleakd.toml:2: rule.default.growth: \"1 furlong\" is not a rate");
    daemon.wait_for_log("the old configuration stays in force");
    daemon.alert("raised", leak.pid(), SOON);

    fs::write(
        &config,
        good + "\n[rule.off]\nignore = true\nmatch.comm = [\"leak\"]\n",
    )
    .expect("a file");
    daemon.running.signal(Signal::HUP);
    daemon.wait_for_log("configuration reloaded");
    assert_eq!(
        daemon.alert("cleared", leak.pid(), SOON)["reason"],
        "rule_changed"
    );
}

#[test]
#[ignore = "needs root and BTF"]
fn two_daemons_do_not_share_a_state() {
    let first = Daemon::start("", |_| {});
    first.wait_for_log("alerts go to: ");
    let second = Command::new(env!("CARGO_BIN_EXE_memleakd"))
        .arg("--config")
        .arg(first.directory.path().join("memleakd.toml"))
        .env("STATE_DIRECTORY", first.directory.path().join("state"))
        .output()
        .expect("memleakd runs");
    let error = String::from_utf8(second.stderr).expect("UTF-8");
    assert!(
        !second.status.success()
            && error.contains("another memleakd runs with the state directory"),
        "{error}"
    );
}
