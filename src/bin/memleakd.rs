//! The daemon, and the replay of recorded histories.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use memleakd::arguments::memleakd::{Arguments, Command, Output};
use memleakd::collect::answer_calls;
use memleakd::daemon::{self, Options};
use memleakd::sink::{Console, Form};
use memleakd::{logging, program, replay, stacks};

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
