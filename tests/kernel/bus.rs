use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{Daemon, Running, SOON, first_line, program};

/// A system bus of the test's own, with the policy that is shipped.
pub struct Bus {
    _running: Running,
    directory: TempDir,
    pub address: String,
}

impl Bus {
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        // Other users are to come in.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("a directory");
        let address = format!("unix:path={}/bus", directory.path().display());
        let policy = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/packaging/usr/share/dbus-1/system.d/org.memleakd.Memleakd1.conf"
        );
        let config = directory.path().join("bus.conf");
        // What matters of the policy in /usr/share/dbus-1/system.conf.
        fs::write(&config, format!(
            "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>
             <policy context='default'><allow user='*'/><deny own='*'/><deny send_type='method_call'/>
             <allow send_type='signal'/><allow send_requested_reply='true' send_type='method_return'/>
             <allow send_requested_reply='true' send_type='error'/><allow receive_type='method_call'/>
             <allow receive_type='method_return'/><allow receive_type='error'/><allow receive_type='signal'/>
             <allow send_destination='org.freedesktop.DBus' send_interface='org.freedesktop.DBus'/></policy>
             <policy user='root'><allow send_destination='org.freedesktop.DBus' send_interface='org.freedesktop.DBus.Monitoring'/>
             <allow own='org.freedesktop.PolicyKit1'/><allow send_destination='org.freedesktop.PolicyKit1'/></policy>
             <include>{policy}</include></busconfig>"
        ))
        .expect("a configuration");
        let mut running = Running::start(
            Command::new("dbus-daemon")
                .arg(format!("--config-file={}", config.display()))
                .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address"])
                .stdout(Stdio::piped()),
        );
        first_line(running.0.stdout.take().expect("a pipe"));
        Self {
            _running: running,
            directory,
            address,
        }
    }

    pub fn daemon(&self) -> Daemon {
        self.daemon_with("")
    }

    /// A daemon in the directory of one that has ended.
    pub fn daemon_in(&self, directory: TempDir) -> Daemon {
        Daemon::start_in(directory, "dbus.enabled = true", |command| {
            command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        })
    }

    /// A daemon with a configuration that is appended to the quick profile's.
    pub fn daemon_with(&self, more: &str) -> Daemon {
        Daemon::start(&format!("dbus.enabled = true\n{more}"), |command| {
            command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        })
    }

    /// Runs the client, as root or as another user, and returns its status and what it said.
    pub fn ctl(&self, user: Option<&str>, arguments: &[&str]) -> (Option<i32>, String, String) {
        let path = self.directory.path().join("memleakctl");
        if !path.exists() {
            fs::copy(env!("CARGO_BIN_EXE_memleakctl"), &path).expect("a copy");
        }
        let mut command = match user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", user, "--regid", user, "--clear-groups", "--"])
                    .arg(&path);
                command
            }
            None => Command::new(&path),
        };
        let output = command
            .args(arguments)
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
            .output()
            .expect("memleakctl runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    pub fn json(&self, user: Option<&str>, arguments: &[&str]) -> Value {
        let (code, output, error) = self.ctl(user, arguments);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{arguments:?}");
        serde_json::from_str(&output).expect("JSON")
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn the_client_sees_what_the_daemon_knows_and_others_see_only_their_own() {
    let bus = Bus::start();
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = bus.daemon();
    let raised = daemon.alert("raised", leak.pid(), SOON);
    let id = raised["id"].as_str().expect("an id");

    let alerts = bus.json(None, &["alerts", "--json"]);
    let listed = alerts
        .as_array()
        .expect("a list")
        .iter()
        .find(|alert| alert["id"] == id)
        .expect("the alert");
    for key in [
        "pid",
        "comm",
        "exe",
        "rule",
        "severity",
        "since",
        "start_time",
        "growth_bytes_per_sec_low",
        "limit_kind",
    ] {
        assert_eq!(listed[key], raised[key], "{key}");
    }
    assert_eq!(
        bus.json(None, &["show", id, "--json"])["message"],
        raised["message"]
    );
    let status = bus.json(None, &["status", "--json"]);
    assert!(
        status["processes"].as_u64() > Some(1) && status["alerts"].as_u64() >= Some(1),
        "{status}"
    );
    let top = bus.json(None, &["top", "--once", "--json", "-n", "5"]);
    let top = top.as_array().expect("a list");
    assert!(
        top.len() <= 5 && top.iter().any(|process| process["pid"] == leak.pid()),
        "{top:?}"
    );

    let (code, text, _) = bus.ctl(None, &["show", id]);
    assert!(
        code == Some(0) && text.contains(&format!("leak (pid {})", leak.pid())),
        "{text}"
    );
    let (_, text, _) = bus.ctl(None, &["top", "--once"]);
    assert!(
        text.lines()
            .any(|line| line.trim_start().starts_with(&format!("{} ", leak.pid()))),
        "{text}"
    );

    let nobody = Some("65534");
    assert_eq!(
        bus.json(nobody, &["alerts", "--json"]),
        serde_json::json!([])
    );
    assert_eq!(
        bus.json(nobody, &["top", "--once", "--json"]),
        serde_json::json!([])
    );
    assert_eq!(bus.ctl(nobody, &["show", id]).0, Some(1));
    assert!(bus.json(nobody, &["status", "--json"])["processes"].as_u64() > Some(1));
    let (code, _, error) = bus.ctl(None, &["show", "nothing"]);
    assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
}

#[test]
#[ignore = "needs root and BTF"]
fn signals_tell_of_changes_but_not_of_whose() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    let mut monitor = Running::start(
        Command::new("dbus-monitor")
            .args([
                "--address",
                &bus.address,
                "type='signal',interface='org.memleakd.Memleakd1'",
            ])
            .stdout(Stdio::piped()),
    );
    let (sender, lines) = channel();
    let output = BufReader::new(monitor.0.stdout.take().expect("a pipe"));
    thread::spawn(move || {
        output
            .lines()
            .map_while(Result::ok)
            .all(|line| sender.send(line).is_ok())
    });

    let leak = Running::start(&mut Command::new(program("leak")));
    let pid = leak.pid();
    let raised = daemon.alert("raised", pid, SOON);
    let id = raised["id"].as_str().expect("an id");
    let id = format!("   object path \"/org/memleakd/Memleakd1/alert/{id}\"");
    drop(leak);
    let mut seen: Vec<String> = Vec::new();
    for member in ["AlertRaised", "AlertCleared"] {
        loop {
            let line = lines
                .recv_timeout(SOON)
                .unwrap_or_else(|_| panic!("no {member} in {seen:#?}"));
            seen.push(line);
            if let [.., head, found] = &seen[..]
                && head.contains(&format!("member={member}"))
                && *found == id
            {
                break;
            }
        }
    }
    assert!(
        !seen
            .iter()
            .any(|line| line.contains("leak") && !line.contains("memleakd")),
        "{seen:#?}"
    );
}

/// One interface of what an object tells of itself, line by line.
fn interface(xml: &str, name: &str) -> Vec<String> {
    let from = xml
        .find(&format!("<interface name=\"{name}\">"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    let to = from + xml[from..].find("</interface>").expect("its end");
    let lines = xml[from..to].lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
#[ignore = "needs root and BTF"]
fn the_interfaces_are_those_that_are_documented() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    let leak = Running::start(&mut Command::new(program("leak")));
    let raised = daemon.alert("raised", leak.pid(), SOON);
    let id = raised["id"].as_str().expect("an id");
    let path = format!("/org/memleakd/Memleakd1/alert/{id}");
    for (path, name, shipped) in [
        (
            "/org/memleakd/Memleakd1",
            "org.memleakd.Memleakd1",
            include_str!("../../packaging/usr/share/dbus-1/interfaces/org.memleakd.Memleakd1.xml"),
        ),
        (
            &path,
            "org.memleakd.Memleakd1.Alert",
            include_str!(
                "../../packaging/usr/share/dbus-1/interfaces/org.memleakd.Memleakd1.Alert.xml"
            ),
        ),
    ] {
        let output = Command::new("dbus-send")
            .args([
                &format!("--bus={}", bus.address),
                "--print-reply=literal",
                "--dest=org.memleakd.Memleakd1",
                path,
                "org.freedesktop.DBus.Introspectable.Introspect",
            ])
            .output()
            .expect("dbus-send runs");
        let live = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(interface(&live, name), interface(shipped, name));
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn without_a_daemon_the_client_says_so() {
    let bus = Bus::start();
    for command in [
        &["status"][..],
        &["alerts"],
        &["top", "--once"],
        &["show", "x"],
        &["top", "--heap", "--once"],
        &["capture", "--pid", "1"],
        &["explain", "1"],
    ] {
        let (code, output, error) = bus.ctl(None, command);
        assert_eq!((code, output.as_str()), (Some(1), ""));
        assert_eq!(
            error,
            "memleakctl: memleakd does not run: start it with \"systemctl start memleakd\"\n"
        );
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_reload_keeps_the_name() {
    let bus = Bus::start();
    let daemon = bus.daemon();
    crate::stage::eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    daemon.running.signal(rustix::process::Signal::HUP);
    daemon.wait_for_log("configuration reloaded");
    assert_eq!(bus.ctl(None, &["status"]).0, Some(0));
    assert!(!daemon.log().contains("dbus fails"), "{}", daemon.log());
}
