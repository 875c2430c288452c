use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::bus::Bus;
use crate::stage::{Daemon, Running, SOON, eventually, first_line, program, run_by};

/// "games": every Debian has this user, as a bus has to know who connects, and runs nothing by it, so
/// that no other program of this machine is told of.
const USER: u32 = 5;
/// Debian's, whatever else is called so.
const PYTHON: &str = "/usr/bin/python3";
/// Nothing happens in so long a time that should not happen at all.
const A_WHILE: Duration = Duration::from_secs(4);

/// A session of a user: a bus, and what belongs to a desktop on it.
struct Session {
    user: u32,
    directory: TempDir,
    address: String,
    system: String,
    _bus: Running,
}

impl Session {
    fn start(user: u32, system: &Bus) -> Self {
        let directory = TempDir::new().expect("a directory");
        chown(directory.path(), Some(user), Some(user)).expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("a directory");
        let address = format!("unix:path={}/session", directory.path().display());
        let config = directory.path().join("session.conf");
        // It starts no services: a server of notifications that is installed stays out of this.
        fs::write(
            &config,
            format!(
                "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>
                 <policy context='default'><allow user='*'/><allow own='*'/><allow eavesdrop='true'/>
                 <allow send_destination='*'/></policy></busconfig>"
            ),
        )
        .expect("a configuration");
        let mut bus = Running::start(
            Command::new("dbus-daemon")
                .arg(format!("--config-file={}", config.display()))
                .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address"])
                .stdout(Stdio::piped()),
        );
        first_line(bus.0.stdout.take().expect("a pipe"));
        let session = Self {
            user,
            directory,
            address,
            system: system.address.clone(),
            _bus: bus,
        };
        // What opens pages notes them in a file, if there is one, and has no browser otherwise.
        let (programs, opened) = (session.path("programs"), session.path("opened"));
        fs::create_dir(&programs).expect("a directory");
        let opener = programs.join("xdg-open");
        let opened = opened.display();
        let script = format!("#!/bin/sh\n[ -e {opened} ] || exit 3\necho \"$1\" >>{opened}\n");
        fs::write(&opener, script).expect("a program");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("a program");
        session
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The mock of a server of notifications, which writes what it is asked for into a file.
    fn server(&self) -> Running {
        let mut command = Command::new(PYTHON);
        command
            .args(["-m", "dbusmock", "--session", "-t", "notification_daemon"])
            .args([
                "-p",
                r#"{"capabilities": "actions body body-markup"}"#,
                "-l",
            ])
            .arg(self.path("asked"))
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        let server = Running::start(command.stdout(Stdio::null()));
        eventually("the server's name", || {
            self.call("org.freedesktop.Notifications", &["GetServerInformation"])
        });
        server
    }

    fn call(&self, interface: &str, call: &[&str]) -> bool {
        let mut command = Command::new("dbus-send");
        command
            .arg(format!("--bus={}", self.address))
            .args(["--print-reply", "--dest=org.freedesktop.Notifications"])
            .arg("/org/freedesktop/Notifications")
            .arg(format!("{interface}.{}", call[0]))
            .args(&call[1..]);
        let output = command.output().expect("dbus-send runs");
        output.status.success()
    }

    /// Has the server say that a person has done something.
    fn emit(&self, signal: &str, signature: &str, arguments: &str) {
        let code = format!(
            "import dbus; bus = dbus.bus.BusConnection('{}'); \
             bus.get_object('org.freedesktop.Notifications', '/org/freedesktop/Notifications')\
             .EmitSignal('', '{signal}', '{signature}', {arguments}, dbus_interface='org.freedesktop.DBus.Mock')",
            self.address
        );
        let mut command = Command::new(PYTHON);
        let status = command.args(["-c", &code]).status();
        assert!(status.expect("python3 runs").success(), "{code}");
    }

    fn agent(&self) -> Running {
        // The build directory may be closed to others.
        let path = self.path("memleakd-notify");
        if !path.exists() {
            fs::copy(env!("CARGO_BIN_EXE_memleakd-notify"), &path).expect("a copy");
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log");
        let mut command = Command::new(path);
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.system)
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("programs").display()),
            )
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("JOURNAL_STREAM");
        Running::start(by(self.user, &mut command).stderr(log))
    }

    /// What the server was asked for by the agent, as far as it has these texts.
    fn asked(&self, texts: &[&str]) -> Vec<String> {
        let asked = fs::read_to_string(self.path("asked")).unwrap_or_default();
        let mut calls: Vec<String> = Vec::new();
        for line in asked.lines() {
            // A call begins with its time. Texts in it may have several lines.
            match (line.split_once(' '), calls.last_mut()) {
                (Some((time, call)), _) if time.parse::<f64>().is_ok() => calls.push(call.into()),
                (_, Some(last)) => *last += &format!("\n{line}"),
                (_, None) => panic!("{line:?} is no call"),
            }
        }
        calls.retain(|call| texts.iter().all(|text| call.contains(text)));
        calls
    }

    /// Waits until the server has been asked for something so often.
    fn wait_for(&self, count: usize, texts: &[&str]) -> String {
        let until = Instant::now() + SOON;
        loop {
            let asked = self.asked(texts);
            if asked.len() >= count {
                return asked[count - 1].clone();
            }
            assert!(
                Instant::now() < until,
                "{count} of {texts:?} did not come but\n{:#?}\nthe agent:\n{}",
                self.asked(&[]),
                fs::read_to_string(self.path("log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Has a command run by a user.
fn by(user: u32, command: &mut Command) -> &mut Command {
    let user = user.to_string();
    if user != "0" {
        run_by(
            command,
            &[
                "setpriv",
                "--reuid",
                &user,
                "--regid",
                &user,
                "--clear-groups",
                "--",
            ],
        );
    }
    command.stderr(Stdio::inherit())
}

/// A program that leaks, under any name, by any user.
fn leak(user: u32, directory: &Path, name: &str) -> Running {
    let path = directory.join(name);
    fs::copy(program("leak"), &path).expect("a copy");
    Running::start(by(user, &mut Command::new(path)))
}

#[test]
#[ignore = "needs root and BTF"]
fn a_user_sees_a_bubble_of_an_own_program_from_its_beginning_to_its_end() {
    let bus = Bus::start();
    let session = Session::start(USER, &bus);
    let _server = session.server();
    let programs = TempDir::new().expect("a directory");
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).expect("a directory");
    let daemon = bus.daemon();
    let agent = session.agent();
    let other = leak(0, programs.path(), "of_root");
    let hostile = leak(USER, programs.path(), "<b>&\"");

    // Both are known before anything is said of what is not there.
    daemon.alert("raised", other.pid(), SOON);
    let first = session.wait_for(1, &["Notify"]);
    let begin = "Notify \"memleakd\" 0 \"dialog-warning\" \"<b>&\" leaks memory\" \"";
    assert!(first.starts_with(begin), "{first}");
    for text in [
        "/min, ",
        " now",
        "\"default\", \"Details\"",
        "\"silence\", \"Silence 1 h\"",
        "\"urgency\": 1",
        "\"category\": \"x-memleakd.leak\"",
    ] {
        assert!(first.contains(text), "{text} in {first}");
    }
    // Stacks name the function: the same bubble says it.
    session.wait_for(1, &["Notify \"memleakd\" 1 ", "In leak_record"]);

    // Another session of the user's is quiet as long as this one lasts, and then knows all.
    let n_asked = session.asked(&["Notify"]).len();
    let second = session.agent();
    eventually("the wait", || {
        let log = fs::read_to_string(session.path("log")).expect("a log");
        log.contains("waiting for its end")
    });
    agent.signal(Signal::TERM);
    let mut agent = agent;
    let ended = Instant::now();
    agent.0.wait().expect("it ends");
    assert!(ended.elapsed() < Duration::from_secs(1));
    thread::sleep(A_WHILE);
    assert_eq!(
        session.asked(&["Notify"]).len(),
        n_asked,
        "{:#?}",
        session.asked(&[])
    );

    session.emit("ActionInvoked", "us", "[1, 'details']");
    session.emit("NotificationClosed", "uu", "[1, 2]");
    let details = session.wait_for(1, &["Notify \"memleakd\" 0 ", "executable"]);
    assert!(details.contains("&lt;b&gt;&amp;\""), "{details}");

    // Nobody has allowed this user to manage alerts.
    session.emit("ActionInvoked", "us", "[2, 'acknowledge']");
    session.wait_for(
        1,
        &[
            "The alert was not acknowledged",
            "You are not allowed to do this",
        ],
    );

    assert_eq!(session.asked(&["of_root"]), [""; 0]);
    drop((hostile, second, other));
}

#[test]
#[ignore = "needs root and BTF"]
fn details_are_a_page_in_the_browser() {
    let bus = Bus::start();
    let session = Session::start(USER, &bus);
    let _server = session.server();
    let opened = session.path("opened");
    fs::write(&opened, "").expect("a file");
    chown(&opened, Some(USER), Some(USER)).expect("a file");
    let programs = TempDir::new().expect("a directory");
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).expect("a directory");
    let daemon = bus.daemon();
    let _agent = session.agent();
    let leak = leak(USER, programs.path(), "<i>leaky");
    let raised = daemon.alert("raised", leak.pid(), SOON);
    let id = raised["id"].as_str().expect("an id");
    session.wait_for(1, &["Notify \"memleakd\" 0 ", "leaks memory"]);
    session.emit("ActionInvoked", "us", "[1, 'details']");
    let page = session.path(&format!("memleakd/{id}.html"));
    eventually("the page", || {
        let opened = fs::read_to_string(&opened).expect("a file");
        opened.lines().any(|line| Path::new(line) == page)
    });
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&page), 0o600);
    assert_eq!(mode(page.parent().expect("a directory")), 0o700);
    let html = fs::read_to_string(&page).expect("a page");
    for expected in [
        "Content-Security-Policy",
        "&lt;i&gt;leaky",
        "class=\"chart\"",
    ] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    // The bubble has gone, and does not tell it all over again.
    thread::sleep(A_WHILE);
    assert_eq!(session.asked(&["executable"]), [""; 0]);
}

#[test]
#[ignore = "needs root and BTF"]
fn a_bubble_goes_with_its_alert_and_does_not_come_back_when_it_was_put_away() {
    let bus = Bus::start();
    let session = Session::start(USER, &bus);
    let programs = TempDir::new().expect("a directory");
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).expect("a directory");
    let daemon = bus.daemon();
    let agent = session.agent();
    let kept = leak(USER, programs.path(), "kept");
    let ended = leak(USER, programs.path(), "ended");
    daemon.alert("raised", kept.pid(), SOON);

    // The server comes late, and what has been raised by then is shown. Then it is restarted.
    let server = session.server();
    session.wait_for(1, &["Notify \"memleakd\" 0 ", "kept leaks"]);
    session.wait_for(1, &["Notify \"memleakd\" 0 ", "ended leaks"]);
    drop(server);
    fs::remove_file(session.path("asked")).expect("a file");
    let _server = session.server();
    session.wait_for(1, &["Notify \"memleakd\" 0 ", "kept leaks"]);
    session.wait_for(1, &["Notify \"memleakd\" 0 ", "ended leaks"]);

    let shown = session.asked(&["Notify \"memleakd\" 0 "]);
    let id_of = |name: &str| {
        1 + shown
            .iter()
            .position(|line| line.contains(name))
            .expect("it")
    };
    let put_away = id_of("kept leaks");
    session.emit("NotificationClosed", "uu", &format!("[{put_away}, 2]"));
    thread::sleep(Duration::from_secs(1));
    let n_kept = session.asked(&["kept leaks"]).len();

    drop(ended);
    session.wait_for(1, &[&format!("CloseNotification {}", id_of("ended leaks"))]);

    // memleakd comes back with what it knew, and there is nothing to say of it.
    drop(agent);
    let _agent = session.agent();
    let mut daemon = daemon;
    daemon.running.signal(Signal::TERM);
    daemon.running.0.wait().expect("it ends");
    let daemon = Daemon::start_in(daemon.directory, "dbus.enabled = true", |command| {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
    });
    eventually("its alerts", || {
        bus.ctl(None, &["alerts"]).1.contains("kept")
    });
    thread::sleep(A_WHILE);
    assert_eq!(
        session.asked(&["kept leaks"]).len(),
        n_kept,
        "{:#?}",
        session.asked(&[])
    );
    drop((daemon, kept));
}

#[test]
#[ignore = "needs root and BTF"]
fn root_acknowledges_and_silences_from_the_desktop_and_sees_tests() {
    let bus = Bus::start();
    let session = Session::start(0, &bus);
    let _server = session.server();
    let programs = TempDir::new().expect("a directory");
    let daemon = bus.daemon();
    let taken = leak(0, programs.path(), "taken_note_of");
    let spared = leak(0, programs.path(), "spared");
    let id = daemon.alert("raised", taken.pid(), SOON)["id"].clone();
    let id = id.as_str().expect("an id");
    let _agent = session.agent();
    let number = |name: &str| {
        session.wait_for(1, &["Notify \"memleakd\" 0 ", name]);
        let shown = session.asked(&["Notify \"memleakd\" 0 "]);
        1 + shown
            .iter()
            .position(|line| line.contains(name))
            .expect("it")
    };

    let of_taken = number("taken_note_of");
    session.emit(
        "ActionInvoked",
        "us",
        &format!("[{of_taken}, 'acknowledge']"),
    );
    session.wait_for(1, &[&format!("CloseNotification {of_taken}")]);
    eventually("the acknowledgement", || {
        !bus.json(None, &["show", id, "--json"])["acknowledged"].is_null()
    });

    let of_spared = number("spared");
    session.emit("ActionInvoked", "us", &format!("[{of_spared}, 'silence']"));
    eventually("the silence", || {
        let silences = bus.json(None, &["silences", "--json"]);
        silences.to_string().contains("from the desktop")
    });

    let (code, _, error) = bus.ctl(None, &["test", "desktop"]);
    assert_eq!(code, Some(0), "{error}");
    session.wait_for(1, &["This is a test of memleakd"]);
    drop((taken, spared));
}

#[test]
#[ignore = "needs root and BTF"]
fn many_at_login_are_one_bubble() {
    let bus = Bus::start();
    let session = Session::start(USER, &bus);
    let _server = session.server();
    let programs = TempDir::new().expect("a directory");
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).expect("a directory");
    let leaks = [1, 2, 3, 4, 5].map(|n| leak(USER, programs.path(), &format!("leak{n}")));
    let daemon = bus.daemon();
    let n_raised = Cell::new(0);
    let all_raised = daemon.find(SOON, |alert| {
        let is_one = alert["change"] == "raised" && alert["uid"] == USER;
        n_raised.set(n_raised.get() + usize::from(is_one));
        n_raised.get() == leaks.len()
    });
    assert!(
        all_raised.is_some(),
        "{n_raised:?} of five; {}",
        daemon.log()
    );
    let _agent = session.agent();
    session.wait_for(1, &["Notify \"memleakd\" 0 ", "5 programs leak memory"]);
    thread::sleep(A_WHILE);
    assert_eq!(
        session.asked(&["Notify \"memleakd\" 0 "]).len(),
        1,
        "{:#?}",
        session.asked(&[])
    );
    drop((leaks, daemon));
}

#[test]
#[ignore = "needs root and BTF"]
fn a_real_server_paints_a_bubble_with_details_and_takes_it_away() {
    let bus = Bus::start();
    let session = Session::start(USER, &bus);
    let mut screen = Running::start(
        Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "900x640x24",
                "-nolisten",
                "tcp",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    );
    let display = format!(":{}", first_line(screen.0.stdout.take().expect("a pipe")));
    let on_screen = |program: &str| {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &display)
            .env("DBUS_SESSION_BUS_ADDRESS", &session.address);
        command
    };
    // Nothing leaves the screen by itself, so that it is the agent who takes it away.
    let config = session.path("dunstrc");
    fs::write(&config, "[urgency_normal]\ntimeout = 0\n").expect("a configuration");
    let _server = Running::start(
        on_screen("dunst")
            .arg("-conf")
            .arg(&config)
            .stderr(Stdio::null()),
    );
    let count = || {
        let output = on_screen("dunstctl").args(["count", "displayed"]).output();
        let output = output.expect("dunstctl runs").stdout;
        String::from_utf8_lossy(&output).trim().to_owned()
    };
    let picture = || {
        let output = on_screen("xwd").args(["-root", "-silent"]).output();
        output.expect("xwd runs").stdout
    };
    eventually("dunst", || count() == "0");
    let empty = picture();
    assert!(empty.len() > 900 * 640, "{} bytes", empty.len());

    let programs = TempDir::new().expect("a directory");
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).expect("a directory");
    let daemon = bus.daemon();
    let _agent = session.agent();
    let leak = leak(USER, programs.path(), "<b>&\"");
    daemon.alert("raised", leak.pid(), SOON);
    eventually("a bubble", || count() == "1" && picture() != empty);

    // dunst takes a bubble away whose action is chosen, and says that the person did.
    let short = picture();
    let action = on_screen("dunstctl").args(["action", "0"]).status();
    assert!(action.expect("dunstctl runs").success());
    let n_painted = |picture: &[u8]| picture.iter().zip(&empty).filter(|(a, b)| a != b).count();
    eventually("its details", || {
        count() == "1" && n_painted(&picture()) > 2 * n_painted(&short)
    });
    drop(leak);
    eventually("an empty screen", || count() == "0" && picture() == empty);
}
