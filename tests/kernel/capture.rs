use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::bus::Bus;
use crate::stage::{Running, SOON, eventually, program};

const NOBODY: &str = "65534";

/// A program that allocates as it is told, and knows what it has.
struct Churn {
    running: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _directory: TempDir,
}

impl Churn {
    /// Starts it, as root or as another user.
    fn start(user: Option<&str>) -> Self {
        let path = program("churn");
        let directory = TempDir::new().expect("a directory");
        let mut command = match user {
            Some(user) => {
                // Where it is, others may not come.
                fs::set_permissions(directory.path(), Permissions::from_mode(0o755))
                    .expect("a directory");
                let shared = directory.path().join("churn");
                fs::copy(path, &shared).expect("a copy");
                let mut command = Command::new("setpriv");
                command
                    .args(["--reuid", user, "--regid", user, "--clear-groups", "--"])
                    .arg(shared);
                command
            }
            None => Command::new(path),
        };
        let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let input = running.0.stdin.take().expect("a pipe");
        let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let mut churn = Self {
            running,
            input,
            output,
            _directory: directory,
        };
        assert_eq!(churn.answer(), "ready");
        churn
    }

    fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Has it do something. Returns what is live then by its own figures, in bytes, and what it
    /// has ever allocated.
    fn tell(&mut self, order: &str) -> (i64, i64) {
        writeln!(self.input, "{order}").expect("a pipe");
        let answer = self.answer();
        let words: Vec<_> = answer.split(' ').collect();
        match words[..] {
            ["live", live, "turned", turned] => {
                (live.parse().expect("bytes"), turned.parse().expect("bytes"))
            }
            ["took", _] => (0, 0),
            _ => panic!("{order}: {answer}"),
        }
    }
}

/// Captures a process in the meantime, in which it does something.
fn captured_meanwhile(bus: &Bus, pid: u32, time: &str, act: impl FnOnce()) -> Value {
    thread::scope(|scope| {
        let capture = scope.spawn(move || {
            bus.json(
                None,
                &[
                    "capture",
                    "--pid",
                    &pid.to_string(),
                    "--for",
                    time,
                    "--json",
                ],
            )
        });
        // The probes are in by then, and are so long enough after.
        thread::sleep(Duration::from_secs(1));
        act();
        capture.join().expect("a capture")
    })
}

/// A bus and a daemon that has its probes loaded: that takes its time at first use.
fn ready() -> (Bus, crate::stage::Daemon) {
    let bus = Bus::start();
    let daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    let churn = Churn::start(None);
    let pid = churn.pid().to_string();
    bus.json(None, &["capture", "--pid", &pid, "--for", "1s", "--json"]);
    (bus, daemon)
}

fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[test]
#[ignore = "needs root and BTF"]
fn a_capture_counts_what_the_program_counts() {
    let (bus, _daemon) = ready();
    let mut churn = Churn::start(None);
    let pid = churn.pid();

    // Told to the byte: nothing else is called.
    let mut leaked = 0;
    let capture = captured_meanwhile(&bus, pid, "3s", || {
        leaked = churn.tell("leak 1000 100000").0;
        churn.tell("pairs 500");
    });
    assert_eq!(capture["pid"], pid);
    assert_eq!(capture["calls"], 2000, "{capture}");
    assert_eq!(capture["lost"], 0, "{capture}");
    let sites = capture["sites"].as_array().expect("a list");
    let bytes: i64 = sites.iter().map(|site| number(&site["bytes"])).sum();
    // All of these are large enough to be sampled, but come faster than stacks are read.
    let is_lossy = capture["loss"]
        .to_string()
        .contains("samples that came too fast");
    let least = if is_lossy { 1 } else { leaked / 5 * 4 };
    assert!((least..=leaked).contains(&bytes), "{bytes}: {capture}");
    let frame = &sites[0]["frames"][0]["module"];
    assert!(
        frame.as_str().expect("a file").ends_with("churn"),
        "{capture}"
    );
    let net = number(&capture["net_bytes"]);
    assert!(
        (net - leaked).abs() <= leaked / 1000,
        "{net} of {leaked}: {capture}"
    );
    assert_eq!(
        number(&capture["allocated_bytes"]) - number(&capture["freed_bytes"]),
        net
    );
    let secs = capture["secs"].as_f64().expect("seconds");
    assert!((2.9..4.0).contains(&secs), "{capture}");
    for key in ["method", "cost_secs", "loss"] {
        assert!(!capture[key].is_null(), "{key}: {capture}");
    }

    // Every function of the family, and then less than before.
    let before = churn.tell("leak 0 1");
    let mut after = before;
    let capture = captured_meanwhile(&bus, pid, "4s", || after = churn.tell("churn 20000"));
    let (net, live) = (number(&capture["net_bytes"]), after.0 - before.0);
    let turned = after.1 - before.1;
    assert!(
        (net - live).abs() <= turned / 200,
        "{net} of {live}: {capture}"
    );
    let allocated = number(&capture["allocated_bytes"]);
    assert!(
        allocated >= turned - turned / 200,
        "{allocated} of {turned}"
    );
    let capture = captured_meanwhile(&bus, pid, "3s", || {
        churn.tell("drop");
    });
    let net = number(&capture["net_bytes"]);
    assert!(
        (net + live).abs() <= turned / 200,
        "{net} of -{live}: {capture}"
    );
    assert_eq!(capture["allocated_bytes"], 0, "{capture}");

    let pid = pid.to_string();
    let (code, text, error) = bus.ctl(None, &["capture", "--pid", &pid, "--for", "1s"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    for line in [
        "allocated    0 B",
        "net          0 B, 0 B/min",
        "calls        0 calls",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{text}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn a_process_that_ends_during_its_capture_is_told_of_until_then() {
    let (bus, _daemon) = ready();
    let mut churn = Churn::start(None);
    let pid = churn.pid();
    let started = Instant::now();
    let capture = captured_meanwhile(&bus, pid, "5min", || {
        churn.tell("leak 10 1000");
        drop(churn);
    });
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!(capture["calls"], 10, "{capture}");
    let loss = capture["loss"].to_string();
    assert!(loss.contains("as the process ended"), "{capture}");
    assert!(capture["secs"].as_f64() < Some(10.0), "{capture}");
}

#[test]
#[ignore = "needs root and BTF"]
fn others_may_capture_their_own_processes_only() {
    let (bus, _daemon) = ready();
    let (root, own) = (Churn::start(None), Churn::start(Some(NOBODY)));
    let (root, own) = (root.pid().to_string(), own.pid().to_string());
    let (code, output, error) = bus.ctl(Some(NOBODY), &["capture", "--pid", &root]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert_eq!(
        error,
        format!("memleakctl: process {root} belongs to another user: try again as root\n")
    );
    let arguments = ["capture", "--pid", &own, "--for", "1s", "--json"];
    assert_eq!(bus.json(Some(NOBODY), &arguments)["pid"].to_string(), own);
    assert_eq!(bus.json(None, &arguments)["pid"].to_string(), own);

    // Root's capture is none of another user's, who may guess its id.
    let call = |user: Option<&str>, arguments: &[&str]| {
        let mut command = match user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([
                    "--reuid",
                    user,
                    "--regid",
                    user,
                    "--clear-groups",
                    "dbus-send",
                ]);
                command
            }
            None => Command::new("dbus-send"),
        };
        let output = command
            .arg(format!("--bus={}", bus.address))
            .args(["--print-reply=literal", "--dest=org.memleakd.Memleakd1"])
            .arg("/org/memleakd/Memleakd1")
            .args(arguments)
            .output()
            .expect("dbus-send runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        (output.status.success(), text.trim().to_owned())
    };
    let start = "org.memleakd.Memleakd1.Capture";
    let (_, id) = call(None, &[start, &format!("uint32:{root}"), "double:2"]);
    let id = id.replace(' ', ":");
    let get = ["org.memleakd.Memleakd1.GetCapture", &id];
    let (done, text) = call(Some(NOBODY), &get);
    assert!(
        !done && text.ends_with("there is no such capture"),
        "{id}: {text}"
    );
    assert!(call(None, &get).0);
    eventually("the capture", || call(None, &get).1.contains("NetBytes"));
    // It is handed out once.
    assert!(call(None, &get).1.ends_with("there is no such capture"));

    for secs in ["0", "-1", "600.5", "nan", "inf"] {
        let (done, text) = call(
            None,
            &[start, &format!("uint32:{root}"), &format!("double:{secs}")],
        );
        assert!(
            !done && text.contains("a capture takes 1 to 600 seconds"),
            "{secs}: {text}"
        );
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn what_cannot_be_captured_is_said_in_one_sentence() {
    let (bus, _daemon) = ready();
    let gone = Running::start(&mut Command::new(program("sleeper"))).pid();
    let (code, output, error) = bus.ctl(None, &["capture", "--pid", &gone.to_string()]);
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert_eq!(error, format!("memleakctl: there is no process {gone}\n"));

    // A program without an allocator, stopped at once: what it touches is all there is to see.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
    let mut compiler = Running::start(
        Command::new("cc")
            .args(["-O2", "-static", "-nostdlib", "-x", "c", "-", "-o"])
            .arg(&path)
            .stdin(Stdio::piped()),
    );
    let mut source = compiler.0.stdin.take().expect("a pipe");
    write!(
        source,
        "void _start(void) {{ for (;;) __asm__ volatile(\"\"); }}"
    )
    .expect("a pipe");
    drop(source);
    assert!(compiler.0.wait().expect("cc runs").success());
    let bare = Running::start(&mut Command::new(&path));
    bare.signal(Signal::STOP);
    let pid = bare.pid();
    let pid = pid.to_string();
    let touched = bus.json(None, &["capture", "--pid", &pid, "--for=1s", "--json"]);
    assert_eq!(touched["method"], "page faults", "{touched}");
    assert_eq!(touched["net_bytes"], 0, "{touched}");
    let loss = touched["loss"].to_string();
    assert!(loss.contains("what it allocates: "), "{touched}");

    for time in ["0s", "11min", "5", "-5s"] {
        let (code, _, error) = bus.ctl(None, &["capture", "--pid", "1", &format!("--for={time}")]);
        assert_eq!(code, Some(2), "{time}: {error}");
        assert!(
            error.contains(" is out of range: write 1s to 10min")
                || error.contains(" is not a time: "),
            "{error}"
        );
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn the_heap_of_a_suspect_is_listed() {
    let bus = Bus::start();
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = bus.daemon();
    daemon.alert("raised", leak.pid(), SOON);
    let list = |user| {
        let list = bus.json(user, &["top", "--heap", "--json"]);
        list.as_array().expect("a list").clone()
    };
    let of_leak = || {
        list(None)
            .into_iter()
            .find(|found| found["pid"] == leak.pid())
    };
    eventually("a figure of its heap", || {
        of_leak().is_some_and(|found| found["calls"].as_u64() > Some(1000))
    });
    let found = of_leak().expect("it is there");
    // It leaks 1 KiB a millisecond or a little less, and frees nothing.
    let growth = found["growth_bytes_per_sec"].as_f64().expect("a rate");
    assert!((300e3..1.2e6).contains(&growth), "{found}");
    assert_eq!(found["comm"], "leak");
    assert_eq!(found["source"], "heap");
    assert_eq!(found["freed_bytes"], 0, "{found}");
    assert!(number(&found["net_bytes"]) > 0, "{found}");
    assert!(bus.json(None, &["status", "--json"])["measured"].as_u64() >= Some(1));
    let (code, text, _) = bus.ctl(None, &["top", "--heap", "--once"]);
    let line = format!("{} ", leak.pid());
    let is_listed = text
        .lines()
        .any(|found| found.trim_start().starts_with(&line));
    assert!(code == Some(0) && is_listed, "{text}");

    assert_eq!(list(Some(NOBODY)), Vec::<Value>::new());
    // Kernel memory is measured from when root asks for it.
    let kernel = bus.json(None, &["top", "--kernel", "--json"]);
    let sources: Vec<_> = kernel.as_array().expect("a list").iter().collect();
    assert!(!sources.is_empty());
    assert!(
        sources.iter().all(|found| found["source"] == "kernel"),
        "{kernel}"
    );
    assert_eq!(bus.ctl(None, &["top", "--kernel", "--heap"]).0, Some(2));
}
