//! The process that leaks on purpose: its memory is that of nobody else, and goes with it.

use std::fs;
use std::hint::black_box;
use std::mem;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::set_name;

use crate::quantity::{Bytes, Rate};

/// How often it leaks.
const STEP: Duration = Duration::from_millis(100);
/// What was missed while it was stopped is not made up for.
const LONGEST_STEP: Duration = Duration::from_secs(1);
/// So many blocks make a step, of sizes within these bounds: small ones, as leaks are, which the
/// allocator takes from its heap.
const BLOCKS_A_STEP: f64 = 8.0;
const SIZES: (f64, f64) = (256.0, 65536.0);

/// Leaks at a rate until so much is leaked, and ends with `parent`.
pub fn leak_on_purpose(rate: Rate, most: Bytes, parent: u32) -> Result<()> {
    set_name(c"memleakd-demo").context("naming the process")?;
    set_parent_process_death_signal(Some(Signal::TERM)).context("following the parent")?;
    // It may have ended before that.
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get().cast_unsigned() != parent) {
        return Ok(());
    }
    // If memory is short, this is the process to be killed. Where it cannot be said, it is small.
    fs::write("/proc/self/oom_score_adj", "1000").ok();
    let bytes_a_step = rate.bytes_per_sec() * STEP.as_secs_f64();
    let block = (bytes_a_step / BLOCKS_A_STEP).clamp(SIZES.0, SIZES.1);
    let (mut due, mut leaked) = (0.0, 0.0);
    let mut before = Instant::now();
    while leaked + block <= most.0 as f64 {
        thread::sleep(STEP);
        let passed = before.elapsed().min(LONGEST_STEP);
        before = Instant::now();
        due = (due + rate.bytes_per_sec() * passed.as_secs_f64()).min(most.0 as f64);
        while leaked + block <= due {
            memleakd_demo_leak(block as usize);
            leaked += block;
        }
    }
    process::exit(0)
}

/// Allocates, writes and forgets. Its name is exported, so that a report can tell it although the
/// program is stripped (see build.rs), and it is never inlined.
// An exported name is unsafe as it could be another function's; nobody else has this one.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn memleakd_demo_leak(bytes: usize) {
    let mut block = vec![1u8; bytes];
    // Whoever compiles this must think that somebody reads it.
    black_box(&mut block);
    mem::forget(block);
}
