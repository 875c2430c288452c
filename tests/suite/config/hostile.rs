//! Files that are meant to hurt the reader. Tests run on threads with a small stack.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use memleakd::config::load_file;

fn said_of(text: &[u8]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("x.toml");
    fs::write(&file, text).expect("can be written");
    let started = Instant::now();
    let result = load_file(&file);
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    match result {
        Ok(_) => "is taken".to_owned(),
        Err(fault) => fault
            .to_string()
            .replace(&*directory.path().to_string_lossy(), ""),
    }
}

#[test]
fn deep_nesting_is_refused_without_falling() {
    let dotted = |levels: usize| vec!["a"; levels].join(".");
    let too_deep = "is nested more deeply than any configuration";
    for (name, text, said) in [
        (
            "brackets",
            format!("x = {}{}\n", "[".repeat(10_000), "]".repeat(10_000)),
            format!("/x.toml:1: {too_deep}"),
        ),
        (
            "a megabyte of brackets",
            "x = ".to_owned() + &"[".repeat(1_000_000),
            format!("/x.toml:1: {too_deep}"),
        ),
        (
            "braces",
            format!("x = {}1{}\n", "{a = ".repeat(10_000), "}".repeat(10_000)),
            format!("/x.toml:1: {too_deep}"),
        ),
        (
            "dots",
            format!("{} = 1\n", dotted(10_000)),
            format!("/x.toml: {too_deep}"),
        ),
        (
            "a header",
            format!("[{}]\n", dotted(10_000)),
            format!("/x.toml: {too_deep}"),
        ),
        (
            "headers that are each allowed",
            (1..79).map(|levels| format!("[{}]\n", dotted(levels))).collect(),
            "/x.toml:1: a: unknown key, expected alert, alertmanager, dbus, heap, hook, journal, kernel, mail, metrics, rule, scan or stacks".to_owned(),
        ),
        (
            "all of them, 6000 levels that are each allowed",
            format!(
                "[{0}]\nx = {1}1{2}\n",
                dotted(78),
                format!("{{{} = ", dotted(78)).repeat(78),
                "}".repeat(78)
            ),
            "/x.toml:1: a: unknown key, expected alert, alertmanager, dbus, heap, hook, journal, kernel, mail, metrics, rule, scan or stacks".to_owned(),
        ),
    ] {
        assert_eq!(said_of(text.as_bytes()), said, "{name}");
    }
}

#[test]
fn a_file_is_read_up_to_a_mebibyte() {
    let text = |n: usize| [b"#".repeat(n - 1).as_slice(), b"\n"].concat();
    assert_eq!(said_of(&text(1 << 20)), "is taken");
    let refused = "/x.toml: is larger than 1 MiB, which no configuration is";
    assert_eq!(said_of(&text((1 << 20) + 1)), refused);

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.toml");
    let file = File::create(&path).expect("can be made");
    file.set_len(100 << 20).expect("takes no room");
    let fault = load_file(&path).expect_err("is too large");
    assert_eq!(
        fault.message,
        "is larger than 1 MiB, which no configuration is"
    );

    let fault = load_file("/dev/zero".as_ref()).expect_err("has no end");
    assert_eq!(
        fault.message,
        "is larger than 1 MiB, which no configuration is"
    );
}

#[test]
fn a_mebibyte_of_anything_is_judged_in_time() {
    let lines = |line: &dyn Fn(usize) -> String| -> String {
        let mut text = String::new();
        while text.len() < (1 << 20) - 100 {
            text += &line(text.len());
        }
        text
    };
    for (name, text, said) in [
        (
            "rules",
            lines(&|n| format!("rule.r{n}.match.unit = [\"u{n}.service\"]\n")),
            "is taken",
        ),
        (
            "unknown keys",
            lines(&|n| format!("k{n} = 1\n")),
            "/x.toml:1: k0: unknown key, expected alert, alertmanager, dbus, heap, hook, journal, kernel, mail, metrics, rule, scan or stacks",
        ),
        (
            "patterns",
            format!(
                "rule.web.match.exe = [{}]\n",
                lines(&|_| "\"*a*a*a*a\",".to_owned())
            ),
            "is taken",
        ),
        ("one long name", format!("{} = 1", "k".repeat(1 << 19)), ""),
    ] {
        let found = said_of(text.as_bytes());
        assert!(found.len() < 5000, "{name}: {} bytes", found.len());
        if !said.is_empty() {
            assert_eq!(found, said, "{name}");
        }
    }
}
