//! Examples: each command line of ours is one that its program takes, and those that need no daemon
//! are run.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::page::{Page, pages};
use super::programs::programs;

/// Every line of an example, those that go on in the next one as one.
fn lines() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for path in pages() {
        let name = path.display().to_string();
        let page = Page::read(&path);
        for example in page.examples() {
            let joined = example.replace("\\\n", " ").replace("|\n", "| ");
            lines.extend(joined.lines().map(|line| (name.clone(), line.to_owned())));
        }
        // Those in a sentence.
        let quoted = page.text().lines();
        let quoted = quoted.filter_map(|line| line.strip_prefix(".Ql "));
        lines.extend(quoted.map(|line| {
            let line = line.trim_end_matches([' ', '.', ',', ';']);
            (name.clone(), line.to_owned())
        }));
    }
    lines
}

/// The words of a command line as a shell has them, without what is done with its output.
pub fn words(line: &str) -> Vec<String> {
    let script = format!("printf '%s\\n' {line}");
    let end = ["|", ">", "&&", "#"]
        .iter()
        .filter_map(|end| script.find(&format!(" {end}")));
    let script = &script[..end.min().unwrap_or(script.len())];
    let script = script.replace("$(pidof -s redis-server)", "7");
    let output = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{line}: {output:?}");
    let words = String::from_utf8(output.stdout).expect("UTF-8");
    words.lines().map(str::to_owned).collect()
}

#[test]
fn each_command_line_is_one_that_its_program_takes() {
    let mut n_tried = 0;
    for (page, line) in lines() {
        let Some((name, _)) = line.split_once(' ') else {
            continue;
        };
        let named = |page: &str| page.rsplit_once('.').is_some_and(|(page, _)| page == name);
        let Some((_, program)) = programs().into_iter().find(|(page, _)| named(page)) else {
            continue;
        };
        let line = line.replace(" PID", " 7").replace(" SINK", " journal");
        let line = line.replace(" ID", " 0123456789ab");
        let words = words(&line);
        // An option by itself stands for every command that has it.
        if words.len() == 2 && words[1] == "--json" {
            continue;
        }
        if let Err(error) = program.try_get_matches_from(&words) {
            panic!("{page}: {line}: {error}");
        }
        n_tried += 1;
    }
    assert!(n_tried >= 25, "{n_tried}");
}

/// A directory with what the examples ask for.
fn scene() -> TempDir {
    let scene = TempDir::new().expect("a directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = |name: &str, text: &str| {
        fs::write(scene.path().join(name), text).expect("written");
    };
    write("new.toml", "rule.default.sustained = \"10min\"\n");
    let rows = (0..1000).map(|step| format!("{},7,leak,{}\n", step * 10, (step + 1) << 20));
    let rows: String = rows.collect();
    write("week.csv", &format!("time_secs,pid,comm,bytes\n{rows}"));
    fs::copy(
        root.join("tests/report/report.json"),
        scene.path().join("leak.json"),
    )
    .expect("a copy");
    scene
}

#[test]
fn what_needs_no_daemon_does_what_it_says() {
    let scene = scene();
    let programs = Path::new(env!("CARGO_BIN_EXE_memleakctl"));
    let programs = programs.parent().expect("a directory");
    let path = std::env::var("PATH").expect("a path");
    let mut tried = Vec::new();
    for (page, line) in lines() {
        let is_alone = [
            "memleakd --check",
            "memleakd replay --config",
            "memleakctl check ./",
            "memleakctl report leak.json",
        ];
        if !is_alone.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        let output = Command::new("sh")
            .args(["-e", "-c", &line])
            .current_dir(scene.path())
            .env("PATH", format!("{}:{path}", programs.display()))
            .output()
            .expect("sh runs");
        assert!(output.status.success(), "{page}: {line}: {output:?}");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        tried.push((line, said));
    }
    let said = |start: &str| {
        let found = tried.iter().find(|(line, _)| line.starts_with(start));
        found.map(|(_, said)| said.as_str()).expect(start)
    };
    assert!(said("memleakd --check").contains("[rule.default]"));
    assert!(said("memleakd replay").contains("\"change\":\"raised\""));
    assert_eq!(said("memleakctl check"), "right\n");
    let file = |name: &str| fs::read(scene.path().join(name)).expect(name);
    assert!(String::from_utf8_lossy(&file("leak.svg")).contains("<svg"));
    assert!(file("leak.html").starts_with(b"<!DOCTYPE html>"));
    // As gzip files begin.
    assert!(file("leak.pb.gz").starts_with(&[0x1f, 0x8b]));
}
