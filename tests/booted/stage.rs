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
match.exe = ["/home/*"]
min_growth = "4MiB"
sustained = "10s"
warm_up = "0s"
fast.sustained = "8s"
# Not that it would, on a machine with little memory.
critical.exhausts_within = "1min"

[stacks]
time = "4s"
again = "0s"

[alert]
keep_firing = "10s"
group_wait = "1s"
"#;

/// Where the quick rules are.
pub const DROP_IN: &str = "/etc/memleakd/memleakd.toml.d/50-test.toml";

/// What the documentation has for kernels before [`PROBES_FOR_ALL`].
const OLD_KERNEL: &str =
    include_str!("../../packaging/usr/share/doc/memleakd/examples/old-kernel.conf");

/// The first kernel that measures heaps, and the first that does it without [`OLD_KERNEL`].
pub const PROBES: (u32, u32) = (5, 15);
pub const PROBES_FOR_ALL: (u32, u32) = (6, 10);

/// Only one test at a time compiles a program.
static COMPILER: Mutex<()> = Mutex::new(());

/// A package that `make deb` has made, by its name.
pub fn package(name: &str) -> PathBuf {
    made(
        &format!("{name}_{}-", env!("CARGO_PKG_VERSION")),
        ".deb",
        "make deb",
    )
}

/// A package that `make rpm` has made, by its name.
pub fn rpm_package(name: &str) -> PathBuf {
    made(
        &format!("{name}-{}-", env!("CARGO_PKG_VERSION")),
        ".rpm",
        "make rpm",
    )
}

fn made(prefix: &str, suffix: &str, target: &str) -> PathBuf {
    let directory = env::var_os("MEMLEAKD_PACKAGES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/packages"),
        PathBuf::from,
    );
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    let found = paths.find(|path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(prefix) && file.ends_with(suffix)
    });
    found.unwrap_or_else(|| panic!("no {prefix}…{suffix} in {}: {target}", directory.display()))
}

/// Installs the daemon's package, with the quick rules and more configuration already there.
pub fn install_quick(machine: &Machine, more: &str) {
    machine.put(DROP_IN, 0o644, QUICK);
    machine.put("/etc/memleakd/memleakd.toml.d/60-test.toml", 0o644, more);
    install(machine);
}

/// Grants, before the daemon starts, what this kernel asks of who measures heaps. Returns whether it
/// can measure them at all.
pub fn let_measure_heaps(machine: &Machine) -> bool {
    if machine.kernel() < PROBES_FOR_ALL {
        let path = "/etc/systemd/system/memleakd.service.d/old-kernel.conf";
        machine.put(path, 0o644, OLD_KERNEL);
    }
    machine.kernel() >= PROBES
}

/// Installs the daemon's package as an administrator does it.
pub fn install(machine: &Machine) {
    install_package(machine, "memleakd");
}

/// The same of any of the packages.
pub fn install_package(machine: &Machine, name: &str) {
    apt_install(machine, &package(name));
}

/// Installs a file with a package, of whatever version.
pub fn apt_install(machine: &Machine, path: &Path) {
    machine.copy(path, "/root/package.deb");
    machine.ok(
        "DEBIAN_FRONTEND=noninteractive apt-get -qq --no-install-recommends --allow-downgrades \
         install /root/package.deb",
    );
}

/// The daemon's package as it was before: the same, of a lower version.
pub fn older_package() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("booted");
    let (tree, path) = (directory.join("older"), directory.join("older.deb"));
    let _one = COMPILER.lock().unwrap_or_else(|broken| broken.into_inner());
    let script = format!(
        "rm -rf '{tree}'; mkdir -p '{tree}'; dpkg-deb --raw-extract '{newer}' '{tree}'
         sed -i 's/^Version: .*/Version: 0.0.1-1/' '{tree}/DEBIAN/control'
         dpkg-deb -Znone --build '{tree}' '{path}' >/dev/null; rm -r '{tree}'",
        tree = tree.display(),
        newer = package("memleakd").display(),
        path = path.display(),
    );
    let status = Command::new("sh").args(["-ec", &script]).status();
    assert!(status.expect("sh runs").success(), "{script}");
    path
}

/// Puts a program of tests/programs into a user's home.
pub fn put_program(machine: &Machine, name: &str, user: &str) -> String {
    let there = format!("/home/{user}/{name}");
    machine.copy(&compiled(name, &[]), &there);
    there
}

/// The same of a program that needs no library, in a place of the machine's own.
pub fn put_static_program(machine: &Machine, name: &str) -> String {
    let there = format!("/usr/local/bin/{name}");
    machine.copy(&compiled(name, &["-static"]), &there);
    there
}

/// Starts a service of a user that leaks 1 KiB a millisecond, in a mount namespace of its own, and
/// returns its pid.
pub fn start_leak(machine: &Machine, unit: &str, user: &str) -> String {
    let program = put_program(machine, "leak", user);
    machine.ok(&format!(
        "systemd-run --quiet --unit={unit} --uid={user} --property=PrivateTmp=yes \
         --property=ProtectHome=read-only --property=PrivateDevices=yes {program}"
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

/// Waits for the first alert, and returns its entry and its id.
pub fn raised(machine: &Machine) -> (Value, String) {
    let entry = entry(machine, "an alert", SOON, &format!("MESSAGE_ID={RAISED}"));
    let id = entry["MEMLEAKD_ID"].as_str().expect("an id").to_owned();
    (entry, id)
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

fn compiled(name: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let source = source.join(name).with_extension("c");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("booted");
    let path = directory.join(name);
    let _one = COMPILER.lock().unwrap_or_else(|broken| broken.into_inner());
    fs::create_dir_all(&directory).expect("a directory");
    let status = Command::new("cc")
        .args(options)
        .args(["-O2", "-g", "-pthread", "-o"])
        .arg(&path)
        .arg(&source)
        .status()
        .expect("cc runs");
    assert!(status.success(), "{} does not compile", source.display());
    path
}
