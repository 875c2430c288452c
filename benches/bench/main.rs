//! What memleakd costs: measures it on this machine and prints one table.
//!
//! `cargo bench` measures everything, `cargo bench -- scan replay` only what is named. The
//! figures of the daemon and of the scan need what the daemon needs: root, and a kernel with BTF.

mod accuracy;
mod bus;
mod churn;
mod cost;
mod daemon;
mod detector;
mod host;
mod interrupt;
mod kernel;
mod machine;
mod measure;
mod memory;
mod pairs;
mod probing;
mod replay;
mod running;
mod scan;
mod sleepers;
mod slowdown;
mod stacks;
mod table;
mod workload;
mod yardstick;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use machine::Machine;
use table::Table;

/// Measures what memleakd costs on this machine and prints one table.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything if nothing is named.
    figures: Vec<Figure>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// Time to read every process, against reading /proc.
    Scan,
    /// The daemon's share of a CPU (more than a minute).
    Cost,
    /// The daemon's memory.
    Memory,
    /// Time of a look at one process's history.
    Detector,
    /// Speed of a replay.
    Replay,
    /// Cost of a malloc and free while it is measured, against other tools.
    Pairs,
    /// Error of net allocations, by allocator.
    Accuracy,
    /// What real programs lose while they are suspected (minutes).
    Slowdown,
    /// Cost of an event of kernel memory.
    Kernel,
    /// Cost and memory of a capture of stacks (minutes).
    Stacks,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let figures = match arguments.figures.is_empty() {
        true => Figure::value_variants(),
        false => &arguments.figures[..],
    };
    match measure(figures) {
        Ok((table, outcome)) => {
            print!("{table}");
            outcome
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Figures that cannot be had on this machine are no failure, one that could not be completed is.
fn measure(figures: &[Figure]) -> Result<(Table, ExitCode)> {
    interrupt::listen()?;
    let machine = Machine::look()?;
    let no_bpf = memleakd::collect::Scan::load().err();
    let mut table = Table::new(machine.to_string());
    let mut outcome = ExitCode::SUCCESS;
    for figure in Figure::value_variants()
        .iter()
        .filter(|figure| figures.contains(figure))
    {
        if let Some(error) = no_bpf.as_ref().filter(|_| figure.needs_bpf()) {
            table.leave_out(figure.title(), error);
            continue;
        }
        eprintln!("measuring: {} ...", figure.title());
        if let Err(error) = figure.measure(&machine, &mut table) {
            interrupt::check()?;
            table.leave_out(figure.title(), &error);
            outcome = ExitCode::FAILURE;
        }
    }
    Ok((table, outcome))
}

impl Figure {
    fn needs_bpf(self) -> bool {
        !matches!(self, Self::Detector | Self::Replay)
    }

    fn title(self) -> &'static str {
        match self {
            Self::Scan => "time of a scan",
            Self::Cost => "CPU share of the daemon",
            Self::Memory => "memory of the daemon",
            Self::Detector => "time and memory of the detector",
            Self::Replay => "speed of a replay",
            Self::Pairs => "cost of measured malloc and free",
            Self::Accuracy => "error of net allocations",
            Self::Slowdown => "slow-down of real programs",
            Self::Kernel => "cost of an event of kernel memory",
            Self::Stacks => "cost of a capture of stacks",
        }
    }

    fn measure(self, machine: &Machine, table: &mut Table) -> Result<()> {
        match self {
            Self::Scan => scan::measure(machine, table),
            Self::Cost => cost::measure(machine, table),
            Self::Memory => memory::measure(machine, table),
            Self::Detector => detector::measure(table),
            Self::Replay => replay::measure(table),
            Self::Pairs => pairs::measure(table),
            Self::Accuracy => accuracy::measure(table),
            Self::Slowdown => slowdown::measure(table),
            Self::Kernel => kernel::measure(table),
            Self::Stacks => stacks::measure(table),
        }
    }
}
