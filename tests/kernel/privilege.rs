use std::process::Command;
use std::time::Duration;

use crate::stage::{Daemon, Running, SOON, program, run_by};

/// Those of the unit.
const FIVE: &str = "+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore";

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
    let leak = Running::start(&mut Command::new(program("leak")));
    let bound = format!("--bounding-set=-all,{FIVE}");
    let runner = ["setpriv", &bound, "--inh-caps=-all", "--"];
    let daemon = Daemon::start("", |command| run_by(command, &runner));
    let alert = daemon.alert("raised", leak.pid(), SOON);
    assert_eq!(alert["loss"], serde_json::json!([]));
}

#[test]
#[ignore = "needs root and BTF"]
fn with_five_capabilities_stacks_of_faults_and_of_the_kernel_are_seen() {
    for test in [
        "faults::the_stack_comes_with_it",
        "kernel_memory::the_stack_of_a_leak_has_its_system_call",
    ] {
        let itself = std::env::current_exe().expect("this program");
        let output = Command::new("setpriv")
            .args([
                &format!("--bounding-set=-all,{FIVE}"),
                "--inh-caps=-all",
                "--",
            ])
            .arg(itself)
            .args(["--ignored", "--exact", test])
            .output()
            .expect("setpriv runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn in_a_pid_namespace_of_its_own_it_speaks_of_pids_as_they_are_there() {
    let leak = program("leak");
    let script = format!("{} & exec \"$@\"", leak.display());
    let mut runner = vec!["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    runner.extend(["sh", "-c", &script, "sh"]);
    let daemon = Daemon::start("", |command| run_by(command, &runner));
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
