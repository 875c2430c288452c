//! What an allocation of kernel memory costs more while it is added up by process.

use std::hint::black_box;
use std::io;

use anyhow::{Context, Result};
use memleakd::collect::KernelMemory;

use crate::interrupt;
use crate::measure::{cpu_secs, median};
use crate::table::Table;

/// Pipes that are made and closed in one timing.
const N_PIPES: u64 = 10_000;
/// Timings with and without, by turns.
const N_TURNS: usize = 7;
/// One address in so many is sampled: 1, 16, 256.
const SHIFTS: [u32; 3] = [0, 4, 8];

/// Times pairs of pipe() and close(), with and without, and divides by the events that they are.
pub fn measure(table: &mut Table) -> Result<()> {
    let mut memory = KernelMemory::load()?;
    let events = events_of_pipe(&mut memory)?;
    for shift in SHIFTS {
        memory.keep_sampling(shift);
        let mut more_ns = Vec::new();
        for _ in 0..N_TURNS {
            interrupt::check()?;
            let bare = ns_of_pipe()?;
            memory.start()?;
            let measured = ns_of_pipe();
            memory.stop();
            more_ns.push((measured? - bare) / events);
        }
        table.say(
            format!("event of kernel memory, one in {} sampled", 1 << shift),
            format!("{:.0} ns more", median(more_ns)),
        );
    }
    table.note(format!(
        "Kernel memory: pipe() and close() of both ends, {events:.1} events by the program's own count."
    ));
    Ok(())
}

/// Allocations and frees of a pipe, as they are counted with every address sampled.
fn events_of_pipe(memory: &mut KernelMemory) -> Result<f64> {
    memory.keep_sampling(0);
    memory.start()?;
    let own = std::process::id();
    let calls = |memory: &mut KernelMemory| -> Result<u64> {
        let mut calls = 0;
        memory.read(&mut |process, net| {
            if process.pid == own {
                calls = net.calls;
            }
        })?;
        Ok(calls)
    };
    let before = calls(memory)?;
    ns_of_pipe()?;
    let after = calls(memory)?;
    memory.stop();
    Ok((after - before) as f64 / N_PIPES as f64)
}

/// CPU time of a pipe's life in nanoseconds.
fn ns_of_pipe() -> Result<f64> {
    let (secs, made) = cpu_secs(|| -> io::Result<()> {
        for _ in 0..N_PIPES {
            black_box(io::pipe()?);
        }
        Ok(())
    });
    made.context("making pipes")?;
    Ok(secs * 1e9 / N_PIPES as f64)
}
