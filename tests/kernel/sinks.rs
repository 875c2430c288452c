use std::collections::HashMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::stage::{Daemon, Running, SOON, eventually, program};

/// A datagram socket in a directory.
fn socket(directory: &TempDir, name: &str) -> (UnixDatagram, String) {
    let path = directory.path().join(name);
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    (socket, path.to_str().expect("UTF-8").to_owned())
}

fn receive(socket: &UnixDatagram) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let length = socket.recv(&mut buffer).expect("a datagram");
    buffer.truncate(length);
    buffer
}

/// The fields of a journal entry in the native protocol, which is read here as its page has it.
fn fields(mut entry: &[u8]) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while !entry.is_empty() {
        let line_end = entry
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line");
        let line = std::str::from_utf8(&entry[..line_end]).expect("UTF-8");
        entry = &entry[line_end + 1..];
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let length =
                    u64::from_le_bytes(entry[..8].try_into().expect("eight bytes")) as usize;
                let value = String::from_utf8(entry[8..8 + length].to_vec()).expect("UTF-8");
                assert_eq!(entry[8 + length], b'\n');
                entry = &entry[9 + length..];
                (line, value)
            }
        };
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name}"
        );
        assert_eq!(fields.insert(name.to_owned(), value), None, "{name} twice");
    }
    fields
}

#[test]
#[ignore = "needs root and BTF"]
fn the_journal_gets_one_entry_for_each_change_with_every_field() {
    let directory = TempDir::new().expect("a directory");
    let (journal, path) = socket(&directory, "journal");
    let config = format!("[journal]\nenabled = true\nsocket = {path:?}\n");
    let leak = Running::start(&mut Command::new(program("leak")));
    let pid = leak.pid();
    let daemon = Daemon::start(&config, |_| {});
    let alert = daemon.alert("raised", pid, SOON);
    let entry_of = |change: &str| {
        std::iter::repeat_with(|| fields(&receive(&journal)))
            .find(|fields| {
                fields["MEMLEAKD_PID"] == pid.to_string() && fields["MEMLEAKD_CHANGE"] == change
            })
            .expect("an entry")
    };
    let entry = entry_of("raised");
    let fields = alert.as_object().expect("an object").iter();
    // What only a picture makes sense of.
    for (name, value) in fields.filter(|(name, _)| *name != "curve") {
        let text = match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Null => None,
            serde_json::Value::Array(items) if items.is_empty() => None,
            value => Some(value.to_string()),
        };
        let field = if name == "message" {
            "MESSAGE".to_owned()
        } else {
            format!("MEMLEAKD_{}", name.to_uppercase())
        };
        assert_eq!(entry.get(&field), text.as_ref(), "{field}");
    }
    assert_eq!(entry["OBJECT_PID"], pid.to_string());
    assert_eq!(entry["PRIORITY"], "4");
    assert_eq!(entry["MESSAGE_ID"], "8cfacbc0f4424276a4fc02126ce7ac04");
    assert_eq!(entry["SYSLOG_IDENTIFIER"], "memleakd");
    drop(leak);
    let entry = entry_of("cleared");
    assert_eq!(entry["MESSAGE_ID"], "9f7f8863ed644029b2e79263f90fcea7");
    assert_eq!(entry["MEMLEAKD_REASON"], "exited");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_sink_that_breaks_is_said_once_and_costs_the_others_nothing() {
    let directory = TempDir::new().expect("a directory");
    let (journal, path) = socket(&directory, "journal");
    let config = format!(
        "[journal]\nenabled = true\nsocket = {path:?}\n[dbus]\nenabled = true\n[mail]\nto = [\"ops@example.org\"]\n"
    );
    let leak = Running::start(&mut Command::new(program("leak")));
    let pid = leak.pid();
    // No bus at that address, and a journal that goes away.
    let daemon = Daemon::start(&config, |command| {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    });
    daemon.wait_for_log("dbus fails");
    drop(journal);
    fs::remove_file(&path).expect("a socket");
    let alert = daemon.alert("raised", pid, SOON);
    drop(leak);
    daemon.alert("cleared", pid, SOON);
    let complaints = |log: &str| log.matches("journal fails").count();
    daemon.wait_for_log("journal fails");
    assert_eq!(complaints(&daemon.log()), 1, "{}", daemon.log());
    let spool = daemon.directory.path().join("state/spool");
    let mails = || -> Vec<String> {
        let entries = fs::read_dir(&spool)
            .expect("a spool")
            .map(|entry| entry.expect("an entry").path());
        let mails =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
        mails
            .map(|path| fs::read_to_string(path).expect("a mail"))
            .collect()
    };
    let id = alert["id"].as_str().expect("an id");
    eventually("both changes as mail", || {
        ["raised", "cleared"].iter().all(|change| {
            let told = format!("{id}/{change}/");
            mails().iter().any(|mail| mail.contains(&told))
        })
    });
}

#[test]
#[ignore = "needs root and BTF"]
fn the_service_manager_is_told() {
    let directory = TempDir::new().expect("a directory");
    let (manager, path) = socket(&directory, "notify");
    let daemon = Daemon::start("", |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "60000000");
    });
    let next = || String::from_utf8(receive(&manager)).expect("UTF-8");
    let expect = |wanted: &str| {
        let found = (0..50)
            .map(|_| next())
            .find(|message| message.lines().any(|line| line.starts_with(wanted)));
        found.unwrap_or_else(|| panic!("{wanted} was not told"))
    };
    let first = next();
    assert!(first.contains("READY=1"), "{first}");
    let status = first
        .lines()
        .find(|line| line.starts_with("STATUS="))
        .expect("a status");
    assert!(
        status.starts_with("STATUS=no alerts; watching ") && !status.contains(" watching 0 "),
        "{status}"
    );
    expect("WATCHDOG=1");
    daemon.running.signal(Signal::HUP);
    assert!(expect("RELOADING=1").contains("MONOTONIC_USEC="));
    expect("READY=1");

    let config = daemon.directory.path().join("memleakd.toml");
    fs::write(&config, "[scan]\nintervall = \"1s\"\n").expect("a configuration");
    daemon.running.signal(Signal::HUP);
    expect("RELOADING=1");
    let refused = expect("READY=1");
    assert!(
        refused.contains("the old configuration is in force, because of ")
            && refused.contains("memleakd.toml:2: scan.intervall: unknown key"),
        "{refused}"
    );
    daemon.running.signal(Signal::TERM);
    expect("STOPPING=1");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_watchdog_shorter_than_the_rounds_is_asked_for_more() {
    let directory = TempDir::new().expect("a directory");
    let (manager, path) = socket(&directory, "notify");
    let _daemon = Daemon::start("[scan]\ninterval = \"2s\"\n", |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000");
    });
    let first = String::from_utf8(receive(&manager)).expect("UTF-8");
    assert_eq!(first.trim(), "WATCHDOG_USEC=6000000");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_hostile_name_does_no_harm_anywhere() {
    let directory = TempDir::new().expect("a directory");
    let (journal, path) = socket(&directory, "journal");
    let evil = directory.path().join("\u{1b}[2J\nBcc: x@y");
    fs::copy(program("leak"), &evil).expect("a copy");
    let config = format!(
        "[journal]\nenabled = true\nsocket = {path:?}\n[mail]\nto = [\"ops@example.org\"]\n"
    );
    let leak = Running::start(&mut Command::new(&evil));
    let daemon = Daemon::start(&config, |_| {});
    let alert = daemon.alert("raised", leak.pid(), SOON);
    assert_eq!(alert["comm"], "\\u{1b}[2J\\u{a}Bcc: x@y");
    let entry = std::iter::repeat_with(|| fields(&receive(&journal)))
        .find(|fields| fields["MEMLEAKD_PID"] == leak.pid().to_string())
        .expect("an entry");
    assert!(
        entry
            .values()
            .all(|value| !value.contains(char::is_control)),
        "{entry:?}"
    );
    let spool = daemon.directory.path().join("state/spool");
    eventually("a mail", || {
        fs::read_dir(&spool).expect("a spool").any(|entry| {
            let path = entry.expect("an entry").path();
            path.extension().is_some_and(|extension| extension == "eml")
                && fs::read_to_string(&path)
                    .expect("a mail")
                    .lines()
                    .all(|line| !line.starts_with("Bcc"))
        })
    });
    assert!(!daemon.log().contains('\u{1b}'), "{}", daemon.log());
    // Nothing came of the pause either: the program still leaks, and is said to.
    assert_eq!(
        daemon.find(Duration::from_secs(1), |later| later["change"] == "cleared"
            && later["pid"] == alert["pid"]),
        None
    );
}
