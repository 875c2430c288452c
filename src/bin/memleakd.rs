//! The daemon, and the replay of recorded histories.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use memleakd::collect::answer_calls;
use memleakd::daemon::{self, Options};
use memleakd::sink::{Console, Form};
use memleakd::{logging, program, replay, stacks};

/// Finds processes that leak memory and says so in the journal, on D-Bus and by mail.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Read this file alone, instead of /etc/memleakd/memleakd.toml and its drop-ins.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Check the configuration, print what is in force, and exit.
    #[arg(long)]
    check: bool,
    /// Also write alerts to standard output.
    #[arg(long, value_name = "FORM", global = true)]
    output: Option<Output>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a recorded history through the same rules, as fast as it goes.
    Replay {
        /// CSV with the header time_secs,pid,comm,bytes (unit and limit_bytes may follow); - is standard input.
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

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// One JSON object a line.
    Json,
    /// Sentences and figures.
    Text,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        config: arguments.config,
        output: arguments.output.map(|output| match output {
            Output::Json => Form::Json,
            Output::Text => Form::Text,
        }),
    };
    let result = match arguments.command {
        Some(Command::Replay { file }) => replay(&file, &options),
        Some(Command::SelfTestCalls) => answer_calls().context("making calls"),
        Some(Command::ResolveStacks { pid }) => stacks::resolve(pid).context("resolving stacks"),
        None if arguments.check => check(&options),
        None => {
            logging::start("memleakd");
            daemon::run(&options)
        }
    };
    program::end("memleakd", result)
}

fn check(options: &Options) -> Result<()> {
    let config = daemon::configuration(options)?;
    io::stdout()
        .write_all(config.to_toml().as_bytes())
        .context("writing the configuration")
}

fn replay(path: &Path, options: &Options) -> Result<()> {
    let config = daemon::configuration(options)?;
    let (source, name): (Box<dyn Read>, String) = if path == Path::new("-") {
        (Box::new(io::stdin().lock()), "standard input".to_owned())
    } else {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("opening {name}"))?;
        (Box::new(file), name)
    };
    let mut console = Console::new(io::stdout().lock(), options.output.unwrap_or(Form::Text));
    replay::replay(source, &config, |alert| console.write(&alert)).with_context(|| name)
}
