//! memleakd's own way to measure a heap, as the daemon has it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail};
use memleakd::collect::{Capture, Host, Prober};
use memleakd::sample::ProcessId;

use crate::interrupt;

/// Clock ticks of 10 ms, as field 22 of `/proc/PID/stat` counts them.
const TICK_NS: u64 = 10_000_000;
/// What is waited for beyond a capture: at the first one the probes are tried out.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whose captures these are.
const ROOT: u32 = 0;
const PAUSE: Duration = Duration::from_millis(2);

pub fn prober() -> Result<Prober> {
    Prober::start(PathBuf::from(env!("CARGO_BIN_EXE_memleakd")))
}

/// Who a running process is.
pub fn process(pid: u32) -> Result<ProcessId> {
    let ticks = Host::new("/").start_time_ticks(pid)?;
    Ok(ProcessId {
        pid,
        start_time_ns: ticks * TICK_NS,
    })
}

/// Waits for a capture to end.
pub fn captured(prober: &Prober, id: u64) -> Result<Capture> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(capture) = prober.captured(id, ROOT) {
            return capture.map_err(Error::msg);
        }
        interrupt::wait(PAUSE)?;
    }
    bail!("a capture does not end")
}

/// Begins one.
pub fn capture(prober: &Prober, pid: u32, time: Duration) -> Result<u64> {
    let begun = prober.capture(process(pid)?, time, ROOT);
    begun.map_err(Error::msg).context("measuring a process")
}

/// Fails if a capture is over already.
pub fn still_captures(prober: &Prober, id: u64) -> Result<()> {
    match prober.captured(id, ROOT) {
        None => Ok(()),
        Some(Ok(_)) => bail!("a capture has ended too soon"),
        Some(Err(error)) => Err(Error::msg(error)),
    }
}
