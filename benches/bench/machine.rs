//! The machine that the figures are of, and how many processes it bears.

use std::fmt;
use std::fs;

use anyhow::{Context, Result};

/// Process numbers that are left to others.
const SPARE_PROCESSES: usize = 2000;
/// What one sleeping process takes of the machine's memory, generously: most of it is the kernel's.
const SLEEPER_KIB: usize = 256;

/// This machine.
#[derive(Debug)]
pub struct Machine {
    cpu: String,
    n_cpus: usize,
    kernel: String,
}

impl Machine {
    /// Looks around. An error is a `/proc` that cannot be read.
    pub fn look() -> Result<Self> {
        let cpuinfo = read("/proc/cpuinfo")?;
        // Not every architecture tells the name.
        let named = ["model name", "Model", "cpu model", "cpu\t"];
        let name = named
            .iter()
            .find_map(|key| cpuinfo.lines().find(|line| line.starts_with(key)))
            .and_then(|line| line.split_once(':'));
        Ok(Self {
            cpu: name
                .map_or("unknown CPU", |(_, name)| name.trim())
                .to_owned(),
            n_cpus: std::thread::available_parallelism()?.get(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }

    /// How many sleeping processes can be added before others would feel it.
    ///
    /// A limit on the user or the control group is not among what is looked at: it shows when
    /// [`Sleepers`](crate::sleepers::Sleepers) are started.
    pub fn room(&self) -> Result<usize> {
        // Running and all tasks: the fourth word of `0.20 0.18 0.12 1/80 11206`.
        let load = read("/proc/loadavg")?;
        let tasks = load.split(['/', ' ']).nth(4);
        let n_tasks: usize = tasks
            .and_then(|n| n.parse().ok())
            .context("/proc/loadavg has no number of tasks")?;
        let least =
            number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
        let by_number = least.saturating_sub(n_tasks + SPARE_PROCESSES);
        let meminfo = read("/proc/meminfo")?;
        let available = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"));
        let available_kib: usize = available
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .context("/proc/meminfo has no MemAvailable")?;
        Ok(by_number.min(available_kib / 2 / SLEEPER_KIB))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = if self.n_cpus == 1 { "core" } else { "cores" };
        write!(
            f,
            "{}, {} {cores}, Linux {}",
            self.cpu, self.n_cpus, self.kernel
        )
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

fn number(path: &str) -> Result<usize> {
    let text = read(path)?;
    text.trim()
        .parse()
        .with_context(|| format!("{path} is {:?}, not a number", text.trim()))
}
