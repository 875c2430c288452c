//! How alerts end, and how they do not: kills for lack of memory, and data that stop.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use memleakd::collect::{OomKills, Scan};
use memleakd::sample::ProcessId;
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{Daemon, Running, SOON, eventually, program, run_by};

/// A memory cgroup that is removed with the test.
struct MemoryCgroup {
    directory: PathBuf,
    is_v1: bool,
}

impl MemoryCgroup {
    fn new(name: &str) -> Self {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let is_v1 = v1.join("memory.limit_in_bytes").exists();
        let root = if is_v1 {
            v1
        } else {
            Path::new("/sys/fs/cgroup")
        };
        if !is_v1 {
            fs::write(root.join("cgroup.subtree_control"), "+memory").expect("a controller");
        }
        let directory = root.join(format!("memleakd-test-{name}-{}", std::process::id()));
        fs::create_dir(&directory).expect("a cgroup");
        Self { directory, is_v1 }
    }

    fn take(&self, pid: u32) {
        fs::write(self.directory.join("cgroup.procs"), pid.to_string()).expect("a process");
    }

    /// Leaves it so many bytes more than it holds, and no swap.
    fn limit(&self, more_bytes: u64) {
        let (usage, limit, no_swap) = match self.is_v1 {
            true => (
                "memory.usage_in_bytes",
                "memory.limit_in_bytes",
                "memory.swappiness",
            ),
            false => ("memory.current", "memory.max", "memory.swap.max"),
        };
        let usage = fs::read_to_string(self.directory.join(usage)).expect("a size");
        let bytes: u64 = usage.trim().parse().expect("a number");
        if self.directory.join(no_swap).exists() {
            fs::write(self.directory.join(no_swap), "0").expect("no swap");
        }
        let limit_bytes = (bytes + more_bytes).to_string();
        fs::write(self.directory.join(limit), limit_bytes).expect("a limit");
    }

    /// How many processes the kernel says to have killed in it.
    fn n_killed(&self) -> u64 {
        let file = if self.is_v1 {
            "memory.oom_control"
        } else {
            "memory.events"
        };
        let events = fs::read_to_string(self.directory.join(file)).expect("events");
        let killed = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        killed.expect("a count").parse().expect("a number")
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // A test that has failed may leave a process in it.
        fs::remove_dir(&self.directory).ok();
    }
}

/// The leaking program under another name, or the two would share an alert.
fn leak_as(name: &str, directory: &Path) -> Running {
    let path = directory.join(name);
    fs::copy(program("leak"), &path).expect("a copy");
    Running::start(&mut Command::new(path))
}

#[test]
#[ignore = "needs root, BTF and a memory cgroup"]
fn a_kill_for_lack_of_memory_is_told_from_other_kills() {
    let cgroup = MemoryCgroup::new("oom");
    let directory = tempfile::TempDir::new().expect("a directory");
    let mut starved = leak_as("starved", directory.path());
    cgroup.take(starved.pid());
    let mut killed = leak_as("killed", directory.path());
    let five = "+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore";
    let bound = format!("--bounding-set=-all,{five}");
    let runner = ["setpriv", &bound, "--inh-caps=-all", "--"];
    let daemon = Daemon::start("", |command| run_by(command, &runner));
    let pids = [starved.pid(), killed.pid()];
    let next = |change: &str| {
        let found = daemon.find(SOON, |alert| {
            alert["change"] == change && pids.iter().any(|pid| alert["pid"] == *pid)
        });
        found.unwrap_or_else(|| panic!("no {change}; the log:\n{}", daemon.log()))
    };
    let mut raised = Vec::new();
    while raised.len() < 2 {
        raised.push(next("raised"));
    }
    assert!(raised.iter().all(|alert| alert["state"] == "firing"));

    cgroup.limit(4 << 20);
    let status = starved.0.wait().expect("an end");
    assert_eq!((status.signal(), cgroup.n_killed()), (Some(9), 1));
    killed.signal(Signal::KILL);
    killed.0.wait().expect("an end");
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        let cleared = next("cleared");
        assert_eq!(cleared["state"], "cleared");
        let message = cleared["message"].as_str().expect("a sentence").to_owned();
        let reason = cleared["reason"].as_str().expect("a reason").to_owned();
        let comm = cleared["comm"].as_str().expect("a name").to_owned();
        reasons.push((comm, reason, message.contains("for lack of memory")));
    }
    reasons.sort();
    let expected = [
        ("killed".to_owned(), "exited".to_owned(), false),
        ("starved".to_owned(), "oom_killed".to_owned(), true),
    ];
    assert_eq!(reasons, expected, "the log:\n{}", daemon.log());
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
}

#[test]
#[ignore = "needs root, BTF and a memory cgroup"]
fn a_kill_for_lack_of_memory_is_seen_in_a_pid_namespace_too() {
    let cgroup = MemoryCgroup::new("oom-namespace");
    // A shell of its own goes there, which becomes the program.
    let script = format!(
        "sh -c 'echo 0 > {} && exec {}' & exec \"$@\"",
        cgroup.directory.join("cgroup.procs").display(),
        program("leak").display(),
    );
    let mut runner = vec!["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    runner.extend(["sh", "-c", &script, "sh"]);
    let daemon = Daemon::start("", |command| run_by(command, &runner));
    let of_leak = |change: &'static str| {
        let found = daemon.find(SOON, |alert| {
            alert["comm"] == "leak" && alert["change"] == change
        });
        found.unwrap_or_else(|| panic!("no {change}; the log:\n{}", daemon.log()))
    };
    assert_eq!(of_leak("raised")["pid"], 2);
    cgroup.limit(4 << 20);
    assert_eq!(of_leak("cleared")["reason"], "oom_killed");
    assert_eq!(cgroup.n_killed(), 1);
}

#[test]
#[ignore = "needs root and BTF"]
fn a_kernel_that_tells_no_more_than_a_number_is_understood() {
    let kills = OomKills::attach().expect("a program");
    let sleeper = || Running::start(Command::new("sleep").arg("60"));
    let (victim, other) = (sleeper(), sleeper());
    let own = std::process::id();
    let mut processes = Vec::new();
    let mut scan = Scan::load().expect("the scan");
    scan.read(&mut |sample| processes.push(sample.process))
        .expect("a scan");
    let process = |pid| -> ProcessId {
        let found = processes.iter().find(|process| process.pid == pid);
        *found.expect("a process")
    };
    let (victim, other, own) = (process(victim.pid()), process(other.pid()), process(own));
    for process in [victim, other, own] {
        assert!(!kills.has(process), "{process:?}");
    }
    kills.mark(victim.pid).expect("a mark");
    // The task that runs out of memory is often the victim itself, and need not lead its process.
    let task = fs::read_link("/proc/thread-self").expect("a task");
    let task = task.file_name().and_then(|name| name.to_str());
    let task = task.expect("a number").parse().expect("a number");
    kills.mark(task).expect("a mark");
    let with_start = |process: ProcessId, start_time_ns| ProcessId {
        start_time_ns,
        ..process
    };
    let later_ns = u64::MAX;
    for (process, is_killed) in [
        (victim, true),
        (own, true),
        (other, false),
        // A later process of the same number.
        (with_start(victim, later_ns), false),
        (with_start(own, later_ns), false),
        // Of this one the start is known.
        (with_start(own, own.start_time_ns - 1), false),
    ] {
        assert_eq!(kills.has(process), is_killed, "{process:?}");
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn data_that_stop_make_an_alert_stale_and_do_not_end_it() {
    let leak = Running::start(&mut Command::new(program("leak")));
    let daemon = Daemon::start(
        "[heap]\nwatch = \"matched\"\nceiling = \"100%\"\n\
         [rule.default]\nenabled = false\n\
         [rule.heap]\nsource = \"heap\"\nmatch.comm = [\"leak\"]\n",
        |_| {},
    );
    let next = |change: &str| -> Value { daemon.alert(change, leak.pid(), SOON) };
    let raised = next("raised");
    assert_eq!(
        (&raised["source"], &raised["state"]),
        (&"heap".into(), &"firing".into())
    );

    let file = daemon.directory.path().join("memleakd.toml");
    let matched = fs::read_to_string(&file).expect("a configuration");
    let off = matched.replace("watch = \"matched\"", "watch = \"off\"");
    assert_ne!(off, matched);
    let configure = |config: &str| {
        fs::write(&file, config).expect("a file");
        daemon.running.signal(Signal::HUP);
    };
    configure(&off);
    // What is said first is whatever was under way.
    let stale = daemon.find(SOON, |alert| {
        alert["pid"] == leak.pid() && alert["state"] != "firing"
    });
    let stale = stale.unwrap_or_else(|| panic!("nothing is stale: {}", daemon.log()));
    assert_eq!(
        (&stale["change"], &stale["state"], &stale["id"]),
        (&"updated".into(), &"stale".into(), &raised["id"])
    );
    let message = stale["message"].as_str().expect("a sentence");
    assert!(
        message.starts_with("nothing has been seen of the heap of leak "),
        "{message}"
    );
    // Longer than what would have cleared it.
    let later = daemon.find(Duration::from_secs(15), |alert| alert["pid"] == leak.pid());
    assert_eq!(later, None);

    configure(&matched);
    let again = next("updated");
    assert_eq!(again["state"], "firing");
    let message = again["message"].as_str().expect("a sentence");
    assert!(message.contains("is seen again, after "), "{message}");

    configure(&off);
    eventually("the configuration", || {
        daemon.log().matches("configuration reloaded").count() == 3
    });
    leak.signal(Signal::KILL);
    assert_eq!(next("cleared")["reason"], "exited");
}
