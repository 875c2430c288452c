//! What scenarios on booted machines are played with: the packages, programs that leak, and rules
//! that find these soon and leave everything else to what is shipped.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::machine::Machine;

/// The quick rules may take so long to find a leak, on a busy machine.
pub const SOON: Duration = Duration::from_secs(90);

/// Anything else that does not come at once.
pub const SHORTLY: Duration = Duration::from_secs(30);

/// `MESSAGE_ID` of the journal's entries: an alert was raised, was updated, is cleared.
pub const RAISED: &str = "8cfacbc0f4424276a4fc02126ce7ac04";
pub const UPDATED: &str = "dcaa0b7d25414895a38a9045e243941f";
pub const CLEARED: &str = "9f7f8863ed644029b2e79263f90fcea7";

/// Finds a leak of the test's own programs in a quarter of a minute. For all others there is what is
/// shipped, so that nothing is said of what starts on the machine.
pub const QUICK: &str = r#"
[scan]
interval = "1s"

[heap]
ceiling = "20%"

[rule.quick]
match.exe = ["/home/tester/*"]
min_growth = "4MiB"
sustained = "10s"
warm_up = "0s"
fast.sustained = "8s"

[stacks]
time = "4s"
again = "0s"

[alert]
keep_firing = "10s"
group_wait = "1s"
"#;

/// Where the quick rules are.
pub const DROP_IN: &str = "/etc/memleakd/memleakd.toml.d/50-test.toml";

/// Only one test at a time compiles a program.
static COMPILER: Mutex<()> = Mutex::new(());

/// A package that `make deb` has made, by its name.
pub fn package(name: &str) -> PathBuf {
    let directory = env::var_os("MEMLEAKD_PACKAGES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages"),
        PathBuf::from,
    );
    let prefix = format!("{name}_{}-", env!("CARGO_PKG_VERSION"));
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    let found = paths.find(|path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&prefix) && file.ends_with(".deb")
    });
    found.unwrap_or_else(|| panic!("no {prefix}….deb in {}: make deb", directory.display()))
}

/// Installs the daemon's package, with the quick rules and more configuration already there.
pub fn install_quick(machine: &Machine, more: &str) {
    machine.put(DROP_IN, 0o644, format!("{QUICK}\n{more}"));
    install(machine);
}

/// Installs the daemon's package as an administrator does it.
pub fn install(machine: &Machine) {
    machine.copy(&package("memleakd"), "/root/memleakd.deb");
    machine.ok("DEBIAN_FRONTEND=noninteractive apt-get -qq --no-install-recommends install /root/memleakd.deb");
}

/// Puts a program of tests/programs there, at a path that users have for their own.
pub fn put_program(machine: &Machine, name: &str) -> String {
    let there = format!("/home/tester/{name}");
    machine.copy(&compiled(name), &there);
    there
}

/// Starts a service that leaks 1 KiB a millisecond, of another user, hidden from others as far as
/// systemd can, and returns its pid.
pub fn start_leak(machine: &Machine, unit: &str) -> String {
    let program = put_program(machine, "leak");
    machine.ok(&format!(
        "systemd-run --quiet --unit={unit} --uid=tester --property=PrivateTmp=yes \
         --property=ProtectSystem=strict --property=PrivateDevices=yes {program}"
    ));
    machine.ok(&format!("systemctl show --property=MainPID --value {unit}"))
}

/// The journal's entries that a match selects, as `journalctl -o json` has them.
pub fn entries(machine: &Machine, wanted: &str) -> Vec<Value> {
    let lines = machine.ok(&format!(
        "journalctl --sync; journalctl -q -o json {wanted}"
    ));
    let entries = lines.lines().map(serde_json::from_str);
    entries.collect::<Result<_, _>>().expect("JSON")
}

/// Waits for an entry that a match selects, and returns the first.
pub fn entry(machine: &Machine, what: &str, within: Duration, wanted: &str) -> Value {
    let script = format!("journalctl --sync; journalctl -q -o json {wanted} | grep -m1 .");
    let line = machine.eventually(what, within, &script);
    serde_json::from_str(&line).expect("JSON")
}

/// What the daemon tells the service manager of itself.
pub fn status_line(machine: &Machine) -> String {
    machine.ok("systemctl show --value --property=StatusText memleakd")
}

/// The daemon's pid.
pub fn daemon_pid(machine: &Machine) -> String {
    machine.ok("systemctl show --value --property=MainPID memleakd")
}

/// What memleakctl says of something as JSON.
pub fn asked(machine: &Machine, arguments: &str) -> Value {
    serde_json::from_str(&machine.ok(&format!("memleakctl {arguments} --json"))).expect("JSON")
}

fn compiled(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let source = source.join(name).with_extension("c");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("booted");
    let path = directory.join(name);
    let _one = COMPILER.lock().unwrap_or_else(|broken| broken.into_inner());
    fs::create_dir_all(&directory).expect("a directory");
    let status = Command::new("cc")
        .args(["-O2", "-g", "-pthread", "-o"])
        .arg(&path)
        .arg(&source)
        .status()
        .expect("cc runs");
    assert!(status.success(), "{} does not compile", source.display());
    path
}
