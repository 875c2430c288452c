//! The proving ground: how many leaks are found, how soon, and how often health is taken for one.
//!
//! Cases with a known truth go through the very code that the daemon runs, by way of a replay, and
//! beside it through other rules. `make eval` runs everything, `cargo bench --bench eval -- hosts`
//! only what is named.

mod baselines;
mod case;
mod detector;
mod families;
mod hosts;
mod live;
mod recorded;
mod score;
mod synthetic;
mod under_way;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand};

use families::Part;

/// Evaluates memleakd's detection; everything if nothing is named.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// Recorded hosts: false alerts a day, and leaks put into them.
    Hosts {
        /// Where recordings (CSV, or packed by xz) are.
        #[arg(default_value = "../shared/traces")]
        directory: PathBuf,
    },
    /// The synthetic families that detection was tuned on.
    Tuned {
        /// Cases of each family.
        #[arg(default_value_t = N_SEEDS)]
        seeds: u64,
    },
    /// The synthetic families that detection was not tuned on.
    HeldOut {
        /// Cases of each family.
        #[arg(default_value_t = N_SEEDS)]
        seeds: u64,
    },
    /// Real programs on this machine, through the real daemon, as root.
    Live,
    /// Shows families: an overview, or one case as a table for memleakd replay.
    Families {
        /// A family's name and a seed.
        names: Vec<String>,
    },
}

const N_SEEDS: u64 = 20;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eval: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    baselines::check()?;
    match &arguments.what {
        Some(what) => report(what),
        None => {
            let directory = PathBuf::from("../shared/traces");
            let seeds = N_SEEDS;
            let all = [
                What::Hosts { directory },
                What::Tuned { seeds },
                What::HeldOut { seeds },
                What::Live,
            ];
            all.iter().try_for_each(report)
        }
    }
}

fn report(what: &What) -> Result<()> {
    match what {
        What::Hosts { directory } => {
            println!("Recorded hosts (resident memory); detection was tuned on the longer one");
            hosts::report(directory)
        }
        What::Tuned { seeds } => {
            println!("\nSynthetic families that detection was tuned on");
            synthetic::report(Part::Tuned, *seeds)
        }
        What::HeldOut { seeds } => {
            println!("\nSynthetic families that it was not tuned on");
            synthetic::report(Part::HeldOut, *seeds)
        }
        What::Live => {
            println!("\nReal programs, on a clock 12.5 times as fast");
            print!("{}", live::table(&live::run(live::TIME)?));
            Ok(())
        }
        What::Families { names } => {
            print!("{}", families::look(names).map_err(|error| anyhow!(error))?);
            Ok(())
        }
    }
}
