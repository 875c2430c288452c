//! `memleakctl top` as somebody has it at a terminal: the real program, bus and daemon.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bus::Bus;
use crate::stage::{Running, SOON, eventually, program};
use crate::terminal::Terminal;

/// The program, as somebody would run it on a usual terminal.
fn top(bus: &Bus, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memleakctl"));
    command
        .arg("top")
        .args(arguments)
        .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR");
    command
}

/// The line of a process in the list.
fn line_of(text: &str, pid: u32) -> Option<&str> {
    let pid = pid.to_string();
    let is_its = |line: &&str| line.split_whitespace().take(2).any(|word| word == pid);
    text.lines().find(is_its)
}

#[test]
#[ignore = "needs root and BTF"]
fn somebody_finds_the_leak_and_answers_it_by_keys() {
    let bus = Bus::start();
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = bus.daemon();
    daemon.alert("raised", leak.pid(), SOON);

    let mut terminal = Terminal::run(&mut top(&bus, &[]), 80, 24);
    let has_leak = |text: &str| {
        line_of(text, leak.pid()).is_some_and(|line| line.contains("leak") && line.contains('!'))
    };
    let text = terminal.wait("the leak with its sign", has_leak);
    assert!(
        text.lines()
            .next()
            .is_some_and(|line| line.contains(" alert")),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );

    // Only that one is left: no line follows its own.
    terminal.press(&format!("/{}\r", leak.pid()));
    terminal.wait("one line", |text| {
        let mut after = text.lines().skip_while(|line| !has_leak(line)).skip(1);
        has_leak(text) && after.next().is_some_and(|line| line.trim().is_empty())
    });
    // Its page: a chart or why there is none, the verdict, and its alert.
    terminal.press("\r");
    let text = terminal.wait("its page", |text| text.contains("passes every gate"));
    assert!(
        text.contains(&format!("leak (pid {})", leak.pid())),
        "{text}"
    );
    terminal.press("G");
    terminal.wait("its sites", |text| text.contains("leak_record"));
    terminal.press("\u{1b}");
    terminal.wait("the list", |text| text.contains("sorted by growth"));

    // Larger, as a tree, and in another order.
    terminal.resize(160, 45);
    terminal.wait("more columns", |text| {
        text.contains("AT LEAST") && text.contains("UNIT")
    });
    terminal.press("t");
    terminal.wait("a tree", |text| {
        text.contains("by unit") && text.contains("└ leak")
    });
    terminal.press("t>");
    terminal.wait("the next order", |text| text.contains("sorted by at least"));
    terminal.press("2");
    terminal.wait("the measured heap", |text| {
        text.contains("ALLOCATED") && line_of(text, leak.pid()).is_some()
    });
    terminal.press("1");
    terminal.wait("pages", |text| text.contains("AT LEAST"));

    terminal.press("a");
    terminal.wait("the answer", |text| text.contains("is acknowledged"));
    terminal.wait("its sign", |text| {
        line_of(text, leak.pid()).is_some_and(|line| line.contains("!a"))
    });
    let alerts = bus.json(None, &["alerts", "--json"]);
    let mut alerts = alerts.as_array().expect("a list").iter();
    let alert = alerts.find(|alert| alert["pid"] == leak.pid());
    assert!(
        alert.is_some_and(|alert| alert["acknowledged"].is_string()),
        "{alert:?}"
    );

    terminal.press("s");
    terminal.wait("a choice", |text| text.contains("for how long"));
    // Four hours, and not yet done.
    terminal.press("\u{1b}[C\r");
    terminal.wait("a question", |text| text.contains("for 4 h. Is that so?"));
    assert_eq!(
        bus.json(None, &["silences", "--json"]),
        serde_json::json!([])
    );
    terminal.press("y");
    terminal.wait("the answer", |text| text.contains("nobody is told of"));
    let silences = bus.json(None, &["silences", "--json"]);
    assert_eq!(silences.as_array().map(Vec::len), Some(1), "{silences}");

    terminal.press("c");
    terminal.wait("its progress", |text| text.contains("s left █"));
    terminal.wait("what it has found", |text| {
        text.contains("measured for 30") && text.contains("leak_record")
    });
    terminal.press("q");
    assert_eq!(terminal.ended(), (Some(0), None));
    terminal.assert_restored("q");
}

#[test]
#[ignore = "needs root and BTF"]
fn however_it_ends_the_terminal_is_as_before() {
    let bus = Bus::start();
    let _daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let shown = || {
        let terminal = Terminal::run(&mut top(&bus, &[]), 80, 24);
        terminal.wait("the figures", |text| text.contains("processes, "));
        assert!(terminal.is_taken());
        terminal
    };
    for (keys, what) in [
        ("q", "q"),
        ("\u{3}", "Ctrl-C"),
        ("/abc\u{3}", "Ctrl-C in a filter"),
    ] {
        let mut terminal = shown();
        terminal.press(keys);
        assert_eq!(terminal.ended(), (Some(0), None), "{what}");
        terminal.assert_restored(what);
    }
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut terminal = shown();
        terminal.running.signal(signal);
        let what = format!("{signal:?}");
        assert_eq!(terminal.ended(), (None, Some(signal.as_raw())), "{what}");
        terminal.assert_restored(&what);
    }

    // Stopped, it leaves the terminal to the shell; then it goes on.
    let mut terminal = shown();
    terminal.press("\u{1a}");
    let stat = format!("/proc/{}/stat", terminal.running.pid());
    let is_stopped = || {
        let stat = fs::read_to_string(&stat).expect("it is there");
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    eventually("the stop", is_stopped);
    terminal.assert_restored("Ctrl-Z");
    terminal.running.signal(Signal::CONT);
    eventually("the screen", || terminal.is_taken());
    terminal.wait("the figures", |text| text.contains("processes, "));
    terminal.press("q");
    assert_eq!(terminal.ended(), (Some(0), None));
    terminal.assert_restored("q after Ctrl-Z");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_daemon_that_hangs_or_is_started_anew_is_said_and_keys_are_answered() {
    let bus = Bus::start();
    let _leak = Running::start(&mut Command::new(program("leak")));
    let daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let mut terminal = Terminal::run(&mut top(&bus, &[]), 80, 24);
    terminal.wait("a list", |text| text.contains("PROCESS"));

    daemon.running.signal(Signal::STOP);
    let is_late = |text: &str| {
        let first = text.lines().next().unwrap_or_default();
        first.contains("has not answered") || first.contains("does not answer")
    };
    terminal.wait("that it hangs", is_late);
    let pressed = Instant::now();
    terminal.press("?");
    terminal.wait("the help", |text| text.contains("keys and signs"));
    assert!(
        pressed.elapsed() < Duration::from_secs(2),
        "{:?}",
        pressed.elapsed()
    );
    terminal.press("\u{1b}");
    daemon.running.signal(Signal::CONT);
    terminal.wait("the figures again", |text| {
        text.starts_with(" memleakd: ") && text.contains("processes, ")
    });

    drop(daemon);
    terminal.wait("that it is away", |text| {
        text.contains("memleakd does not run, for ")
    });
    // Asking does not start it, and what was known is still there.
    thread::sleep(Duration::from_secs(2));
    terminal.wait("still", |text| {
        text.contains("waiting for it") && text.contains("PROCESS")
    });
    let _daemon = bus.daemon();
    terminal.wait("the figures again", |text| text.starts_with(" memleakd: "));
    terminal.press("q");
    assert_eq!(terminal.ended(), (Some(0), None));
    terminal.assert_restored("q");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_terminal_gets_no_more_than_it_can_show() {
    let bus = Bus::start();
    let _leak = Running::start(&mut Command::new(program("leak")));
    let _daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let mut command = top(&bus, &[]);
    command.env("LC_ALL", "C").env("NO_COLOR", "1");
    let mut terminal = Terminal::run(&mut command, 40, 10);
    terminal.wait("a list", |text| text.contains("PROCESS"));
    terminal.press("\r");
    terminal.wait("a page", |text| text.contains("(pid "));
    terminal.press("q");
    assert_eq!(terminal.ended(), (Some(0), None));
    let raw = terminal.raw();
    assert!(raw.is_ascii(), "{}", String::from_utf8_lossy(&raw));
    let text = String::from_utf8(raw).expect("ASCII");
    // Colours are 30 to 49, but for 39 and 49: the terminal's own.
    let colours = text.split("\u{1b}[").skip(1).filter(|after| {
        let code = after.split_once('m').map_or("", |(code, _)| code);
        code.split(';')
            .any(|part| matches!(part.parse(), Ok(30..=38 | 40..=48 | 90..=107)))
    });
    assert_eq!(colours.count(), 0, "{text:?}");

    // One table, where nothing else is possible.
    command = top(&bus, &["-n", "1"]);
    command.env("TERM", "dumb");
    let mut terminal = Terminal::run(&mut command, 80, 24);
    assert_eq!(terminal.ended(), (Some(0), None));
    assert!(!terminal.raw().contains(&0x1b));
    let (code, table, error) = bus.ctl(None, &["top", "-n", "1"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(!table.contains('\u{1b}'));
}
