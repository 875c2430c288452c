use std::process::Command;
use std::time::Duration;

use crate::stage::{Daemon, SOON, program};

/// Runs the daemon with some capabilities and returns how it ended and what it said.
fn end_with(capabilities: &str) -> (Option<i32>, String) {
    let directory = tempfile::TempDir::new().expect("a directory");
    let output = Command::new("timeout")
        .args([
            "20",
            "setpriv",
            &format!("--bounding-set=-all{capabilities}"),
            "--inh-caps=-all",
            "--",
        ])
        .arg(env!("CARGO_BIN_EXE_memleakd"))
        .args([
            "--config",
            concat!(env!("CARGO_MANIFEST_DIR"), "/config/quick.toml"),
        ])
        .env("STATE_DIRECTORY", directory.path())
        .output()
        .expect("setpriv runs");
    (
        output.status.code(),
        String::from_utf8(output.stderr).expect("UTF-8"),
    )
}

#[test]
#[ignore = "needs root and BTF"]
fn without_capabilities_it_says_in_one_sentence_what_is_missing() {
    let (code, error) = end_with("");
    assert_eq!(code, Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("CAP_BPF and CAP_PERFMON"), "{error}");
}

#[test]
#[ignore = "needs root and BTF"]
fn with_five_capabilities_it_finds_a_leak() {
    let mut leak = Command::new(program("leak"));
    let leak = crate::stage::Running::start(&mut leak);
    let daemon = Daemon::start("", |command| {
        let inner = std::mem::replace(command, Command::new("setpriv"));
        let five = "+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore";
        command.args([
            &format!("--bounding-set=-all,{five}"),
            "--inh-caps=-all",
            "--",
        ]);
        command.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::inherit());
    });
    let alert = daemon.alert("raised", leak.pid(), SOON);
    assert_eq!(alert["loss"], serde_json::json!([]));
}

#[test]
#[ignore = "needs root and BTF"]
fn in_a_pid_namespace_of_its_own_it_speaks_of_pids_as_they_are_there() {
    let leak = program("leak");
    let daemon = Daemon::start("", |command| {
        let inner = std::mem::replace(command, Command::new("unshare"));
        let script = format!("{} & exec \"$@\"", leak.display());
        command.args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            &script,
            "sh",
        ]);
        command.arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::inherit());
    });
    let alert = daemon
        .find(SOON, |alert| alert["comm"] == "leak")
        .expect("an alert");
    assert_eq!(alert["pid"], 2);
    assert_eq!(alert["exe"], leak.to_str().expect("UTF-8"));
    // What lives outside is not seen at all.
    assert_eq!(
        daemon.find(Duration::from_secs(1), |alert| alert["pid"].as_u64()
            > Some(100)),
        None
    );
}
