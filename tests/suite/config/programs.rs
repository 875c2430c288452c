//! The configuration as `memleakd --check` and `memleakctl check` show it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use memleakd::config::{Config, load_file};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tempfile::TempDir;
use toml::Value;

const DAEMON: &str = env!("CARGO_BIN_EXE_memleakd");
const CLIENT: &str = env!("CARGO_BIN_EXE_memleakctl");

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("can be started")
}

fn in_a_file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.toml");
    fs::write(&file, text).expect("can be written");
    (directory, file)
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("is UTF-8")
}

/// Every way of asking for a file.
fn ways(file: &str) -> [(&'static str, Vec<&str>); 5] {
    [
        (DAEMON, vec!["--check", "--config", file]),
        (DAEMON, vec!["--config", file]),
        (DAEMON, vec!["replay", "/dev/null", "--config", file]),
        (CLIENT, vec!["check", file]),
        (CLIENT, vec!["check", "--json", file]),
    ]
}

#[test]
fn a_bad_file_is_one_line_and_status_1() {
    for (bad, said) in [
        (
            "[scan]\ninterval = \"5 parsecs\"\n",
            ":2: scan.interval: \"5 parsecs\" is not a time: \
             write numbers with units (ms, s, min, h, d), such as \"10min\"",
        ),
        (
            "[mail]\n\nserver = \"mail.example.org\"\n",
            ":3: mail.tls: \"none\" is for a server on this machine; \
             for mail.example.org use \"starttls\" or \"tls\"",
        ),
        (
            "\"a\\nb\\u001b[2J\" = 1\n",
            ":1: \"a\\u{a}b\\u{1b}[2J\": unknown key, \
             expected alert, alertmanager, dbus, heap, hook, journal, kernel, mail, metrics, rule, scan or stacks",
        ),
        ("scan\n", ":1: is not TOML: key with no value, expected `=`"),
    ] {
        let (_directory, file) = in_a_file(bad);
        let file = file.to_str().expect("is UTF-8");
        for (program, arguments) in ways(file) {
            let output = run(program, &arguments);
            let name = Path::new(program)
                .file_name()
                .expect("has one")
                .to_string_lossy();
            assert_eq!(
                text(&output.stderr),
                format!("{name}: {file}{said}\n"),
                "{arguments:?}"
            );
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            assert_eq!(text(&output.stdout), "", "{arguments:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_told() {
    for (program, arguments) in ways("/nonexistent/x.toml") {
        let output = run(program, &arguments);
        let said = text(&output.stderr);
        let expected =
            "/nonexistent/x.toml: cannot be read: No such file or directory (os error 2)\n";
        assert_eq!(
            said.split_once(": ").expect("names the program").1,
            expected
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn the_name_of_a_file_cannot_forge_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory
        .path()
        .join("a\nmemleakd: all is well\u{1b}[2J.toml");
    fs::write(&file, "x = 1\n").expect("can be written");
    let output = run(
        DAEMON,
        &["--check", "--config", file.to_str().expect("is UTF-8")],
    );
    let said = text(&output.stderr);
    assert!(
        said.contains("/a\\u{a}memleakd: all is well\\u{1b}[2J.toml:1: x: unknown key"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn a_pipe_will_do() {
    let mut child = Command::new(DAEMON)
        .args(["--check", "--config", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("can be started");
    let mut stdin = child.stdin.take().expect("is a pipe");
    stdin
        .write_all(b"scan.interval = \"7s\"\n")
        .expect("can be written");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert!(text(&output.stdout).contains("interval = \"7s\""));
}

/// What a program prints of a file, read back.
fn printed(program: &str, arguments: &[&str]) -> (String, Config) {
    let output = run(program, arguments);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let printed = text(&output.stdout).to_owned();
    let config = match arguments.contains(&"--json") {
        true => serde_json::from_str(&printed).expect("is a configuration as JSON"),
        false => load_file(&in_a_file(&printed).1).expect("can be loaded"),
    };
    (printed, config)
}

fn quoted(text: String) -> String {
    Value::String(text).to_string()
}

/// Keys with the values that they may have, as they are written in a file.
fn settings() -> impl Strategy<Value = Vec<String>> {
    let line = |key: &'static str, value: BoxedStrategy<String>| {
        value
            .prop_map(move |value| format!("{key} = {value}"))
            .boxed()
    };
    let choice = |choices: &'static [&'static str]| {
        select(choices)
            .prop_map(|choice| quoted(choice.to_owned()))
            .boxed()
    };
    let secs = |least, most| {
        (least..most)
            .prop_map(|secs: f64| format!("\"{secs}s\""))
            .boxed()
    };
    let any_text = || any::<String>().prop_map(quoted).boxed();
    let addresses = vec("[a-z]{1,9}@[a-z]{1,9}\\.example", 0..4)
        .prop_map(|to| format!("{to:?}"))
        .boxed();
    let switch = || any::<bool>().prop_map(|on| on.to_string()).boxed();
    (
        line("scan.interval", secs(1.0, 600.0)),
        line("heap.watch", choice(&["off", "suspects", "matched"])),
        line(
            "heap.ceiling",
            (1e-9..100.0)
                .prop_map(|percent: f64| format!("\"{percent}%\""))
                .boxed(),
        ),
        line("kernel.watch", choice(&["off", "suspects", "matched"])),
        line("alert.keep_firing", secs(0.0, 1e9)),
        line("alert.repeat", secs(60.0, 1e9)),
        line(
            "alert.max_per_hour",
            (1..u32::MAX).prop_map(|n| n.to_string()).boxed(),
        ),
        line("journal.enabled", switch()),
        line("journal.socket", any_text()),
        (
            line("dbus.enabled", switch()),
            line("mail.to", addresses),
            line("mail.min_severity", choice(&["warning", "critical"])),
            line("mail.server", choice(&["localhost", "127.0.0.1", "[::1]"])),
            line(
                "mail.port",
                any::<u16>().prop_map(|port| port.to_string()).boxed(),
            ),
            line("mail.tls", choice(&["none", "starttls", "tls"])),
            line("mail.ca_file", any_text()),
            line("mail.username", any_text()),
            line("mail.password_file", any_text()),
            line("mail.timeout", secs(1.0, 1e6)),
        ),
    )
        .prop_map(
            |(a, b, c, d, e, f, g, h, i, (j, k, l, m, n, o, p, q, r, s))| {
                vec![a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s]
            },
        )
        .prop_flat_map(|lines| {
            let n_lines = lines.len();
            subsequence(lines, 0..=n_lines)
        })
}

/// The settings of one rule.
fn rule() -> impl Strategy<Value = Vec<String>> {
    let patterns = || {
        vec("[a-z*?.@/-]{0,12}", 0..4).prop_filter("** is special", |patterns| {
            patterns.iter().all(|pattern| !pattern.contains("**"))
        })
    };
    let size = "(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?(B|K|KiB|M|MiB|G|GiB)";
    let rate = "[1-9][0-9]{0,3}(\\.[0-9]{1,3})?(B|KiB|MiB|GiB)/(s|min|h|d)";
    let span = "([1-6]h)?([0-5]?[0-9]min)?[0-5]?[0-9](\\.[0-9]{1,3})?s";
    (
        (
            any::<bool>(),
            any::<bool>(),
            select(vec!["pages", "heap", "kernel"]),
        ),
        (rate, size, span, span, any::<bool>()),
        (span, span, span),
        (patterns(), patterns(), patterns(), patterns(), patterns()),
    )
        .prop_map(|(a, b, c, d)| {
            let lines = [
                format!("enabled = {}", a.0),
                format!("source = {:?}", a.2),
                format!("growth = {:?}", b.0),
                format!("min_growth = {:?}", b.1),
                format!("sustained = {:?}", b.2),
                format!("warm_up = {:?}", b.3),
                format!("stacks = {}", b.4),
                format!("fast.exhausts_within = {:?}", c.0),
                format!("fast = {{ sustained = {:?} }}", c.1),
                format!("critical.exhausts_within = {:?}", c.2),
                format!("match.exe = {:?}", d.0),
                format!("match.comm = {:?}", d.1),
                format!("match.user = {:?}", d.2),
                format!("match.cgroup = {:?}", d.3),
            ];
            // Of the two ways of writing a table only one may be used.
            let fast = if a.0 { 8 } else { 7 };
            let mut lines: Vec<_> = lines
                .into_iter()
                .enumerate()
                .filter(|(index, _)| *index != fast)
                .map(|(_, line)| line)
                .collect();
            lines.extend([
                format!("match.unit = {:?}", d.4),
                format!("ignore = {}", a.1 && !d.4.is_empty()),
            ]);
            lines
        })
        .prop_flat_map(|lines| {
            let n_lines = lines.len();
            let always = lines[n_lines - 2..].to_vec();
            subsequence(lines[..n_lines - 2].to_vec(), 0..n_lines - 2)
                .prop_map(move |chosen| [chosen, always.clone()].concat())
        })
}

fn files() -> impl Strategy<Value = String> {
    let rules = btree_map("[A-Za-z0-9_-]{1,8}", rule(), 0..4);
    (settings(), rules).prop_map(|(settings, rules)| {
        let mut lines = settings;
        for (name, rule) in rules {
            lines.push(format!("[rule.{name}]"));
            lines.extend(rule);
        }
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back(file in files()) {
        let (_directory, path) = in_a_file(&file);
        let config = load_file(&path);
        prop_assert!(config.is_ok(), "{config:?}");
        let path = path.to_str().expect("is UTF-8");
        let (printed_by_daemon, effective) = printed(DAEMON, &["--check", "--config", path]);
        prop_assert_eq!(Ok(&effective), config.as_ref());
        let (printed_by_client, effective) = printed(CLIENT, &["check", path]);
        prop_assert_eq!(printed_by_client, printed_by_daemon);
        prop_assert_eq!(Ok(&effective), config.as_ref());
        let (_, effective) = printed(CLIENT, &["check", "--json", path]);
        prop_assert_eq!(Ok(&effective), config.as_ref());
    }
}
