//! The line that says what is under way, on a terminal that script(1) makes.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A history of which one sample a second comes, for so many seconds, as memleakd reads it.
const SLOW: &str =
    "(echo time_secs,pid,comm,bytes; for n in $(seq SECS); do sleep 1; echo $n,7,leak,1; done)";

/// Starts a shell's script on a terminal of a width.
fn on_terminal(directory: &TempDir, script: &str, columns: u32) -> Child {
    let script = script.replace("memleakd", env!("CARGO_BIN_EXE_memleakd"));
    let file = directory.path().join("script");
    fs::write(&file, format!("stty cols {columns}\n{script}\n")).expect("written");
    Command::new("script")
        .args(["-qefc"])
        .arg(format!("sh {}", file.display()))
        .arg(directory.path().join("typescript"))
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script runs")
}

/// What a terminal has shown, and its status.
fn shown(mut child: Child) -> (String, Option<i32>) {
    let mut text = Vec::new();
    let mut output = child.stdout.take().expect("a pipe");
    output.read_to_end(&mut text).expect("text");
    let status = child.wait().expect("script ends");
    (String::from_utf8(text).expect("UTF-8"), status.code())
}

/// What is on the screen after it has taken a text: lines, of which carriage returns begin again.
fn screen(text: &str) -> String {
    let line = |line: &str| {
        let mut cells: Vec<char> = Vec::new();
        for part in line.trim_end_matches('\r').split('\r') {
            for (column, letter) in part.chars().enumerate() {
                match cells.get_mut(column) {
                    Some(cell) => *cell = letter,
                    None => cells.push(letter),
                }
            }
        }
        String::from_iter(cells).trim_end().to_owned()
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn it_comes_after_a_second_fits_and_goes() {
    let directory = TempDir::new().expect("a directory");
    for (script, columns, wanted) in [
        ("SLOW | memleakd replay -", 200, Some("replaying for 2 s, ")),
        ("SLOW | memleakd replay -", 12, Some("\rreplaying f")),
        ("SLOW | memleakd replay - 2>errors", 200, None),
        (
            "echo time_secs,pid,comm,bytes | memleakd replay -",
            200,
            None,
        ),
    ] {
        let script = script.replace("SLOW", &SLOW.replace("SECS", "3"));
        let script = format!("cd {}\n{script}", directory.path().display());
        let (text, status) = shown(on_terminal(&directory, &script, columns));
        assert_eq!(status, Some(0), "{text}");
        assert_eq!(screen(&text), "", "{text:?}");
        match wanted {
            Some(wanted) => assert!(text.contains(wanted), "{text:?}"),
            None => assert_eq!(text, ""),
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let widest = text.split(['\r', '\n']).map(str::len).max();
        assert!(widest < Some(columns as usize), "{text:?}");
    }
}

#[test]
fn it_goes_at_ctrl_c_and_the_program_with_it() {
    let directory = TempDir::new().expect("a directory");
    let script = format!("{} | memleakd replay -", SLOW.replace("SECS", "60"));
    let began = Instant::now();
    let mut child = on_terminal(&directory, &script, 80);
    let mut keyboard = child.stdin.take().expect("a pipe");
    thread::sleep(Duration::from_millis(2500));
    keyboard.write_all(b"\x03").expect("a key");
    keyboard.flush().expect("a key");
    let (text, status) = shown(child);
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(text.contains("replaying for "), "{text:?}");
    assert_eq!(screen(&text), "", "{text:?}");
    // As a shell says that a program was ended by SIGINT.
    assert_eq!(status, Some(130), "{text:?}");
}

#[test]
fn what_is_printed_meanwhile_stands_by_itself() {
    let directory = TempDir::new().expect("a directory");
    let rows = "time_secs,pid,comm,bytes\n".to_owned()
        + &(0..1000)
            .map(|step| format!("{},7,leak,{}\n", step * 10, (step + 1) << 20))
            .collect::<String>();
    fs::write(directory.path().join("leak.csv"), rows).expect("written");
    let script = format!(
        "cd {}\n(head -n 2 leak.csv; sleep 2; tail -n +3 leak.csv; sleep 2) | memleakd replay - --output json",
        directory.path().display()
    );
    let (text, status) = shown(on_terminal(&directory, &script, 80));
    assert_eq!(status, Some(0), "{text}");
    let screen = screen(&text);
    let lines: Vec<_> = screen.lines().collect();
    assert!(!lines.is_empty(), "{text}");
    for line in lines {
        let alert: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(alert["comm"], "leak");
    }
}
