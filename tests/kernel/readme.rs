//! Every command line of the README is run, with a daemon, a leak and a bus of the test's own. What
//! cannot be run here is held by another test, which is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bus::Bus;
use crate::stage::{Running, SOON, eventually, program};

/// Lines that change the machine or take hours, with the file and the function that holds each.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "apt install ./memleakd_*.deb",
        "tests/booted/stage.rs",
        "apt_install",
    ),
    (
        "systemctl status memleakd",
        "tests/booted/install.rs",
        "installed_it_runs_and_says_how_it_is",
    ),
    (
        "make deb",
        "tests/suite/packaging/packages.rs",
        "the_deb_has_what_is_listed",
    ),
    (
        "make rpm",
        "tests/suite/packaging/packages.rs",
        "the_rpm_has_what_is_listed",
    ),
    (
        "make release && make install",
        "tests/suite/packaging.rs",
        "what_is_listed_is_installed_and_nothing_else",
    ),
    // This is one of these.
    (
        "make test",
        "tests/kernel/readme.rs",
        "each_command_line_of_the_readme_works",
    ),
];

/// What goes on until it is ended.
const ENDLESS: &[&str] = &[
    "memleakctl top",
    "memleakctl alerts --watch",
    "memleakctl demo-leak --rate 1MiB/min",
    "memleakctl record -o day.csv --for 1d",
];

/// What says by its status that something is wrong, as there is no systemd here.
const CRITICAL: &str = "memleakctl doctor";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of the blocks that are for a shell, without what is said of them.
fn lines() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in readme.lines() {
        match line {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            line if is_inside => lines.push(line),
            _ => {}
        }
    }
    let commands = lines.into_iter().map(|line| {
        let command = line.split("  #").next().unwrap_or(line);
        command.trim().to_owned()
    });
    commands.filter(|command| !command.is_empty()).collect()
}

#[test]
#[ignore = "needs root and BTF"]
fn each_command_line_of_the_readme_works() {
    let lines = lines();
    assert!(lines.len() >= 25, "{lines:?}");
    for (line, file, function) in ELSEWHERE {
        assert!(
            lines.iter().any(|other| other == line),
            "{line} is no longer there"
        );
        let text = fs::read_to_string(root().join(file)).expect(file);
        assert!(
            text.contains(&format!("fn {function}(")),
            "{file} has no {function}"
        );
    }
    for line in ENDLESS.iter().chain([&CRITICAL]) {
        assert!(
            lines.iter().any(|other| other == line),
            "{line} is no longer there"
        );
    }

    let bus = Bus::start();
    let daemon = bus.daemon_with(
        "[mail]\nto = [\"root@localhost\"]\nsendmail = \"/bin/true\"\n\
         [rule.demo-leak]\nmatch.comm = [\"memleakd-demo\"]\nsustained = \"1h\"\n",
    );
    let directory = daemon.directory.path();
    let mut mail = Command::new(env!("CARGO_BIN_EXE_memleakd-mail"));
    mail.args(["--watch", "--config"])
        .arg(directory.join("memleakd.toml"))
        .env("STATE_DIRECTORY", directory.join("state"));
    eventually("the spool", || directory.join("state/spool").exists());
    let _mail = Running::start(&mut mail);
    let leak = Running::start(&mut Command::new(program("leak")));
    let raised = daemon.alert("raised", leak.pid(), SOON);
    let id = raised["id"].as_str().expect("an id");
    eventually("the report", || bus.ctl(None, &["report", id]).0 == Some(0));

    for line in lines {
        if ELSEWHERE.iter().any(|(other, _, _)| *other == line) {
            continue;
        }
        let (status, said) = run(&bus, directory, &line, id, leak.pid());
        let allowed = match line.as_str() {
            CRITICAL => &[0, 1][..],
            // As timeout(1) tells that it had to end it.
            line if ENDLESS.contains(&line) => &[0, 124],
            _ => &[0],
        };
        assert!(
            status.is_some_and(|status| allowed.contains(&status)),
            "{line}: {said}"
        );
        if let Some((_, file)) = line.split_once(" -o ") {
            let file = file.split(' ').next().expect("a word");
            let written = fs::read_to_string(directory.join(file)).expect(file);
            assert!(written.contains("leak"), "{line}: {written}");
            continue;
        }
        let is_quiet = line.starts_with("memleakctl ack ");
        assert_eq!(said.trim().is_empty(), is_quiet, "{line}: {said}");
    }
}

/// Runs a line as somebody does who has installed the programs.
fn run(bus: &Bus, directory: &Path, line: &str, id: &str, pid: u32) -> (Option<i32>, String) {
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_memleakctl"));
    let programs = programs.parent().expect("a directory");
    let path = std::env::var("PATH").expect("a path");
    let (line, directory) = match line {
        // What it does but for compiling, which has been done.
        "make demo" => ("scripts/demo.sh".to_owned(), root()),
        line => {
            let line = line.replace(" ID", &format!(" {id}"));
            (line.replace(" PID", &format!(" {pid}")), directory)
        }
    };
    let mut command = match ENDLESS.contains(&line.as_str()) {
        true => {
            let mut command = Command::new("script");
            let line = format!("timeout --foreground -s INT 5 {line}");
            command.args(["-qefc", &line, "/dev/null"]);
            command
        }
        false => {
            let mut command = Command::new("sh");
            command.args(["-e", "-c", &line]);
            command
        }
    };
    let output = command
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("CARGO_TARGET_DIR", programs.parent().expect("a directory"))
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
        .env("TERM", "xterm")
        .output()
        .expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
