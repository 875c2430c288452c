use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use memleakd::collect::Scan;
use memleakd::sample::Sample;

use crate::stage::{Running, first_line, program, start_time};

const MIB: u64 = 1 << 20;

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    Scan::load()
        .expect("the scan loads")
        .read(&mut |sample| samples.push(sample))
        .expect("the scan reads");
    samples
}

fn hold(arguments: &[&str]) -> Running {
    let mut running = Running::start(
        Command::new(program("holder"))
            .args(arguments)
            .stdout(Stdio::piped()),
    );
    assert_eq!(
        first_line(running.0.stdout.take().expect("a pipe")),
        "ready"
    );
    running
}

/// What /proc/PID/status says, by key.
fn status(pid: u32) -> HashMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

fn kib(status: &HashMap<String, String>, key: &str) -> u64 {
    let number = status[key].split(' ').next().expect("a number");
    number.parse::<u64>().expect("a number") * 1024
}

/// What per-CPU counters may keep back: the kernel's batch for each CPU.
fn tolerance_bytes() -> u64 {
    let n_cpus = std::thread::available_parallelism().expect("CPUs").get() as u64;
    n_cpus * 32.max(2 * n_cpus) * 4096
}

#[test]
#[ignore = "needs root and BTF"]
fn agrees_with_proc() {
    let holder = hold(&["40", "24"]);
    let found: Vec<Sample> = samples()
        .into_iter()
        .filter(|sample| sample.process.pid == holder.pid())
        .collect();
    let [sample] = found[..] else {
        panic!("{found:?}")
    };
    let status = status(holder.pid());
    let near = |bytes: u64, key: &str| {
        let exact = kib(&status, key);
        assert!(
            bytes.abs_diff(exact) <= tolerance_bytes(),
            "{key}: {bytes} of {exact}"
        );
    };
    near(sample.bytes - sample.shared_bytes, "RssAnon");
    near(sample.shared_bytes, "RssShmem");
    near(sample.file_bytes, "RssFile");
    assert!(
        sample.bytes >= 64 * MIB - 2 * tolerance_bytes(),
        "{sample:?}"
    );
    assert_eq!(sample.virtual_bytes, kib(&status, "VmSize"));
    assert_eq!(sample.comm.to_string(), status["Name"]);
    assert_eq!(sample.parent_pid, std::process::id());
    assert_eq!(
        sample.uid.to_string(),
        status["Uid"].split('\t').nth(1).expect("an effective uid")
    );
    assert_eq!(
        sample.process.start_time_ticks().to_string(),
        start_time(holder.pid())
    );

    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", holder.pid())).expect("cgroups");
    let path = cgroups
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .expect("a cgroup in the v2 hierarchy");
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let root = roots
        .into_iter()
        .find(|root| fs::exists(format!("{root}/cgroup.procs")).expect("readable"));
    let directory =
        fs::metadata(format!("{}{path}", root.expect("a v2 hierarchy"))).expect("a cgroup");
    assert_eq!(sample.cgroup_id, directory.ino());
}

#[test]
#[ignore = "needs root and BTF"]
fn threads_do_not_count_twice_nor_does_the_first_ones_end_hide_a_process() {
    let holder = hold(&["8", "0"]);
    let orphaned = hold(&["8", "0", "first thread ends"]);
    let samples = samples();
    for pid in [holder.pid(), orphaned.pid()] {
        let bytes: Vec<u64> = samples
            .iter()
            .filter(|sample| sample.process.pid == pid)
            .map(|sample| sample.bytes)
            .collect();
        assert!(
            matches!(bytes[..], [one] if one >= 8 * MIB - tolerance_bytes()),
            "{bytes:?}"
        );
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn sees_every_process_and_no_kernel_thread() {
    let holders: Vec<Running> = (0..300).map(|_| hold(&["0", "0"])).collect();
    let seen: Vec<u32> = samples()
        .into_iter()
        .map(|sample| sample.process.pid)
        .collect();
    for holder in &holders {
        assert!(seen.contains(&holder.pid()));
    }
    for pid in seen {
        // One may have ended since.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let flags: u32 = stat
            .rsplit_once(") ")
            .expect("a name")
            .1
            .split(' ')
            .nth(6)
            .expect("flags")
            .parse()
            .expect("flags");
        assert_eq!(flags & 0x0020_0000, 0, "kernel thread {pid}");
    }
}
