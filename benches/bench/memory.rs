//! How much memory the daemon takes.

use std::time::Duration;

use anyhow::Result;
use memleakd::collect::Scan;
use memleakd::quantity::Bytes;

use crate::bus::Bus;
use crate::daemon::{Daemon, Memory};
use crate::interrupt;
use crate::machine::Machine;
use crate::sleepers::Sleepers;
use crate::table::{Table, grouped};

/// Processes that are added to those that are there, and what is aimed at.
const SIZES: [(usize, Option<Bytes>); 2] = [(1000, Some(Bytes(12 << 20))), (10_000, None)];
const WITH_BUS: &str = "- with D-Bus (Rss)";
/// Shorter than the default, so that it need not be waited for.
const INTERVAL: &str = "1s";
/// More than three intervals.
const SETTLING: Duration = Duration::from_millis(4500);

/// One daemon after the other, as two would share the pages of their program.
pub fn measure(machine: &Machine, table: &mut Table) -> Result<()> {
    let mut sleepers = Sleepers::new()?;
    let mut found = Vec::new();
    for (size, aim) in SIZES {
        let n_sleepers = sleepers.grow_to(size, machine, table)?;
        let aim = aim.filter(|_| n_sleepers == size);
        let n_processes = count()?;
        let alone = memory(None)?;
        let title = format!(
            "memory of the daemon at {} processes (Rss)",
            grouped(n_processes)
        );
        rss(table, &title, &alone, aim);
        table.say(
            "- its own of that (Pss_Anon)",
            Bytes(alone.pss_anon).to_string(),
        );
        table.say(
            "- its share of program and libraries (Pss_File)",
            Bytes(alone.pss_file).to_string(),
        );
        table.say("- the two together (Pss)", Bytes(alone.pss).to_string());
        match Bus::start() {
            Ok(bus) => rss(table, WITH_BUS, &memory(Some(&bus))?, aim),
            Err(error) => table.leave_out(WITH_BUS, &error),
        }
        found.push((n_processes, alone.pss_anon));
        if n_sleepers < size {
            break;
        }
    }
    if let [(n_few, few), (n_many, many)] = found[..] {
        let each = many.saturating_sub(few) / (n_many.saturating_sub(n_few).max(1) as u64);
        table.say("- so each further process takes", format!("{each} B"));
    }
    Ok(())
}

fn memory(bus: Option<&Bus>) -> Result<Memory> {
    let mut daemon = Daemon::start(INTERVAL, bus)?;
    interrupt::wait(SETTLING)?;
    daemon.memory()
}

fn rss(table: &mut Table, title: &str, memory: &Memory, aim: Option<Bytes>) {
    let rss = Bytes(memory.rss);
    match aim {
        Some(aim) => table.aim(title, rss.to_string(), aim.to_string(), rss <= aim),
        None => table.say(title, rss.to_string()),
    }
}

fn count() -> Result<usize> {
    let mut n_processes = 0;
    Scan::load()?.read(&mut |_| n_processes += 1)?;
    Ok(n_processes)
}
