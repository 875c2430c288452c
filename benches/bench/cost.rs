//! What share of a CPU the daemon takes.

use std::time::Duration;

use anyhow::Result;
use memleakd::collect::Scan;

use crate::bus::Bus;
use crate::daemon::Daemon;
use crate::interrupt;
use crate::machine::Machine;
use crate::measure::{cpu_secs, median};
use crate::sleepers::Sleepers;
use crate::table::{Table, grouped};

/// Processes that are added to those that are there.
const N_PROCESSES: usize = 1000;
/// The daemon's default.
const INTERVAL: &str = "5s";
const INTERVAL_SECS: f64 = 5.0;
const WITH_BUS: &str = "- share of the whole daemon with D-Bus";
/// Half an interval later than a round, so that what is measured begins and ends between two.
const SETTLING: Duration = Duration::from_millis(12_500);
const MEASURED: Duration = Duration::from_secs(60);
/// Scans that are timed alone.
const N_READINGS: usize = 21;
/// Between two of them, as what is in the CPU's caches differs then, and the daemon pauses too.
const PAUSE: Duration = Duration::from_millis(500);
/// What is aimed at, in per cent of one CPU.
const SCAN_AIM: f64 = 0.02;
const DAEMON_AIM: f64 = 0.1;

/// The scan alone, then the daemon without and with a bus.
pub fn measure(machine: &Machine, table: &mut Table) -> Result<()> {
    let mut sleepers = Sleepers::new()?;
    let is_whole = sleepers.grow_to(N_PROCESSES, machine, table)? == N_PROCESSES;
    let aimed = |aim: f64| is_whole.then_some(aim);

    let mut scan = Scan::load()?;
    let mut n_processes = 0;
    let mut scan_secs = Vec::new();
    for _ in 0..N_READINGS {
        interrupt::wait(PAUSE)?;
        n_processes = 0;
        let (secs, read) = cpu_secs(|| scan.read(&mut |_| n_processes += 1));
        read?;
        scan_secs.push(secs);
    }
    let scan_secs = median(scan_secs);
    let title = format!("scan of {} processes, after a pause", grouped(n_processes));
    table.say(title, format!("{:.0} us", scan_secs * 1e6));
    share(
        table,
        &format!("- share of a CPU, every {INTERVAL}"),
        scan_secs / INTERVAL_SECS,
        aimed(SCAN_AIM),
    );

    let bus = Bus::start();
    let mut daemons = vec![(
        "- share of the whole daemon",
        Daemon::start(INTERVAL, None)?,
    )];
    match &bus {
        Ok(bus) => {
            // A little apart, so that neither finds the caches as the other has warmed them.
            interrupt::wait(Duration::from_secs(1))?;
            daemons.push((WITH_BUS, Daemon::start(INTERVAL, Some(bus))?));
        }
        Err(error) => table.leave_out(WITH_BUS, error),
    }
    interrupt::wait(SETTLING)?;
    let before_secs = cpu_secs_of(&mut daemons)?;
    interrupt::wait(MEASURED)?;
    let after_secs = cpu_secs_of(&mut daemons)?;
    for (index, (title, _)) in daemons.iter().enumerate() {
        let spent_secs = after_secs[index] - before_secs[index];
        share(
            table,
            title,
            spent_secs / MEASURED.as_secs_f64(),
            aimed(DAEMON_AIM),
        );
    }
    Ok(())
}

fn cpu_secs_of(daemons: &mut [(&str, Daemon)]) -> Result<Vec<f64>> {
    daemons
        .iter_mut()
        .map(|(_, daemon)| daemon.cpu_secs())
        .collect()
}

fn share(table: &mut Table, title: &str, share: f64, aim: Option<f64>) {
    let per_cent = share * 100.0;
    let measured = format!("{per_cent:.4} %");
    match aim {
        Some(aim) => table.aim(title, measured, format!("{aim} %"), per_cent <= aim),
        None => table.say(title, measured),
    }
}
