//! How much memory the daemon takes before, during and after a capture of stacks.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use memleakd::quantity::Bytes;

use crate::bus::Bus;
use crate::daemon::{Daemon, Memory};
use crate::interrupt;
use crate::running::Running;
use crate::table::Table;

const N_CAPTURES: usize = 3;
const INTERVAL: &str = "1s";
/// More than three intervals.
const SETTLING: Duration = Duration::from_millis(4500);
const PAUSE: Duration = Duration::from_millis(20);
/// What a capture may take, at the most.
const CAPTURE_AIM: Bytes = Bytes(32 << 20);
/// By how much the daemon may differ from what it was.
const AFTER_AIM: Bytes = Bytes(1 << 20);

/// One daemon, and captures one after the other.
pub fn measure(table: &mut Table) -> Result<()> {
    let leak = Running::start(Command::new(program()?).stdout(Stdio::null()))?;
    let bus = Bus::start()?;
    let mut daemon = Daemon::start(INTERVAL, Some(&bus))?;
    interrupt::wait(SETTLING)?;
    let before = daemon.memory()?.rss;
    let mut most = 0;
    let mut afters = Vec::new();
    for _ in 0..N_CAPTURES {
        most = most_during(&daemon, &bus, leak.pid())?.max(most);
        interrupt::wait(SETTLING)?;
        afters.push(daemon.memory()?.rss);
    }
    let (first, last) = (afters[0], afters[N_CAPTURES - 1]);
    table.say(
        "memory of the daemon before a capture of stacks (Rss)",
        Bytes(before).to_string(),
    );
    let more = Bytes(most.saturating_sub(before));
    table.aim(
        "- at most during it, with the process that resolves, more",
        more.to_string(),
        CAPTURE_AIM.to_string(),
        more <= CAPTURE_AIM,
    );
    let kept = Bytes(first.saturating_sub(before));
    table.say(
        "- after the first one, more: the probes stay loaded",
        kept.to_string(),
    );
    let kept = Bytes(last.saturating_sub(first));
    table.aim(
        format!("- after {N_CAPTURES} captures, more than after the first"),
        kept.to_string(),
        AFTER_AIM.to_string(),
        kept <= AFTER_AIM,
    );
    Ok(())
}

/// Captures a process, and returns what the daemon and its children have taken at the most.
fn most_during(daemon: &Daemon, bus: &Bus, pid: u32) -> Result<u64> {
    let mut client = Running::start(
        Command::new(env!("CARGO_BIN_EXE_memleakctl"))
            .args(["capture", "--for", "5s", "--pid", &pid.to_string()])
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .stdout(Stdio::null()),
    )?;
    let mut most = 0;
    while !client.has_ended()? {
        let own = Memory::of(daemon.pid())?.rss;
        // A child may end meanwhile.
        let of_children = children(daemon.pid())?
            .into_iter()
            .filter_map(|pid| Some(Memory::of(pid).ok()?.rss));
        most = (own + of_children.sum::<u64>()).max(most);
        interrupt::wait(PAUSE)?;
    }
    let status = client.child.wait().context("waiting for memleakctl")?;
    ensure!(status.success(), "memleakctl capture fails");
    Ok(most)
}

/// The processes that a process has started.
fn children(pid: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("listing threads")? {
        // A thread may end meanwhile.
        let list = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        children.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    Ok(children)
}

fn program() -> Result<std::path::PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sites/deep.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deep");
    let status = Command::new("cc")
        .args(["-O2", "-o"])
        .args([&program, &source])
        .status()
        .context("starting the C compiler cc")?;
    ensure!(status.success(), "{} does not compile", source.display());
    Ok(program)
}
