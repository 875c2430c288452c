//! The command line of memleakd.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};

const HELP: &str = "\
Examples:
  memleakd --check                           what is in force, or what is wrong
  memleakd --check --config ./new.toml       the same of a file alone
  memleakd --output json                     run, and print each change

Exit status: 0 ended as asked, 1 could not start or failed, 2 wrong arguments. More is in memleakd(8).";

const REPLAY: &str = "\
Examples:
  memleakd replay week.csv                   what would have been said?
  memleakd replay --config new.toml --output json week.csv";

/// Finds processes that leak memory and says so in the journal, on D-Bus and by mail.
#[derive(Debug, Parser)]
#[command(name = "memleakd", version, after_help = HELP)]
pub struct Arguments {
    /// Read this file alone, instead of /etc/memleakd/memleakd.toml and its drop-ins.
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Check the configuration, print what is in force, and exit.
    #[arg(long)]
    pub check: bool,
    /// Also write alerts to standard output.
    #[arg(long, value_name = "FORM", global = true)]
    pub output: Option<Output>,
    /// What is done instead of running the daemon.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What memleakd does besides running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a recorded history through the same rules, as fast as it goes.
    #[command(after_help = REPLAY)]
    Replay {
        /// CSV with the header time_secs,pid,comm,bytes (unit and limit_bytes may follow); - is standard input.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Make calls to be counted: how memleakd tries its probes on itself.
    #[command(hide = true)]
    SelfTestCalls,
    /// Tell which code stacks of a process are of: memleakd asks itself.
    #[command(hide = true)]
    ResolveStacks {
        /// The process.
        pid: u32,
    },
}

/// The form of alerts on standard output.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Output {
    /// One JSON object a line.
    Json,
    /// Sentences and figures.
    Text,
}
