//! How the programs end, as scripts see it: the status, what is on which output, and what is no
//! error. What needs a daemon is in tests/kernel/script.rs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs a line of bash, with our programs in its path and no bus.
fn run(directory: &TempDir, line: &str) -> Output {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_memleakctl"));
    let programs = programs.parent().expect("a directory");
    let path = std::env::var("PATH").expect("a path");
    Command::new("bash")
        .args(["-o", "pipefail", "-c", line])
        .current_dir(directory.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
        .output()
        .expect("bash runs")
}

/// A directory with a history in which something leaks all the time, and a report.
fn scene() -> TempDir {
    let scene = TempDir::new().expect("a directory");
    let mut rows = "time_secs,pid,comm,bytes\n".to_owned();
    for step in 0..1000 {
        for pid in 1..200 {
            rows += &format!("{},{pid},leak{pid},{}\n", step * 10, (step + 1) << 20);
        }
    }
    fs::write(scene.path().join("leaks.csv"), rows).expect("written");
    fs::write(scene.path().join("wrong.toml"), "colour = 7\n").expect("written");
    let report = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/report.json");
    fs::copy(report, scene.path().join("report.json")).expect("a copy");
    scene
}

#[test]
fn the_status_tells_what_has_happened_and_errors_are_on_standard_error() {
    let scene = scene();
    for (line, status) in [
        ("memleakctl --help", 0),
        ("memleakctl --version", 0),
        ("memleakctl help explain", 0),
        ("memleakctl check", 0),
        ("memleakctl check --json", 0),
        ("memleakctl report report.json", 0),
        ("memleakd --check", 0),
        ("memleakd replay leaks.csv", 0),
        // Nobody is there to be asked.
        ("memleakctl status", 1),
        ("memleakctl alerts --json", 1),
        ("memleakctl top --once", 1),
        ("memleakctl explain 1", 1),
        ("memleakctl capture --pid 1", 1),
        ("memleakctl silence --unit x", 1),
        ("memleakctl test mail", 1),
        ("memleakctl report 0123456789ab", 1),
        ("memleakctl check ./nothing.toml", 1),
        ("memleakctl check ./wrong.toml", 1),
        ("memleakctl report ./nothing.json", 1),
        ("memleakd --check --config wrong.toml", 1),
        ("memleakd replay nothing.csv", 1),
        ("memleakd replay wrong.toml", 1),
        ("memleakctl", 2),
        ("memleakctl exlpain 7", 2),
        ("memleakctl explain seven", 2),
        ("memleakctl capture --pid 7 --for 1h", 2),
        ("memleakctl demo-leak --rate 1TiB/min", 2),
        ("memleakctl status --yaml", 2),
        ("memleakd --colour", 2),
        ("memleakd replay", 2),
    ] {
        let output = run(&scene, line);
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}: {error}");
        assert_eq!(said.is_empty(), status != 0, "{line}: {said}");
        assert_eq!(error.is_empty(), status == 0, "{line}: {error}");
        if status == 1 {
            let program = line.split(' ').next().expect("a program");
            assert!(
                error.starts_with(&format!("{program}: ")),
                "{line}: {error}"
            );
            assert_eq!(error.lines().count(), 1, "{line}: {error}");
        }
    }
}

/// The doctor's status is 1 here, as no daemon runs, and what it says is no error.
#[test]
fn the_doctor_says_by_its_status_that_something_is_wrong() {
    let scene = scene();
    for line in ["memleakctl doctor", "memleakctl doctor --json"] {
        let output = run(&scene, line);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
}

#[test]
fn who_has_read_enough_ends_nothing_in_an_error() {
    let scene = scene();
    for line in [
        "memleakctl check | head -n 1",
        "memleakctl check --json | head -n 1",
        "memleakctl report report.json | head -n 1",
        "memleakctl --help | head -n 1",
        "memleakd --check | head -n 1",
        "memleakd replay leaks.csv --output json | head -n 1",
        // Nobody reads at all.
        "memleakd replay leaks.csv --output json | true",
    ] {
        let output = run(&scene, line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*error), (Some(0), ""), "{line}");
    }
    // What cannot be written for another reason is one.
    for line in [
        "memleakctl check >/dev/full",
        "memleakd replay leaks.csv >/dev/full",
    ] {
        let output = run(&scene, line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(error.contains("No space left"), "{line}: {error}");
    }
}
