//! The daemon, and the replay of recorded histories.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use clap::Parser;
use memleakd::arguments::memleakd::{Arguments, Command, Output};
use memleakd::client::Progress;
use memleakd::collect::answer_calls;
use memleakd::daemon::{self, Options};
use memleakd::quantity::{Bytes, Span};
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
    let (source, name, bytes): (Box<dyn Read>, String, u64) = if path == Path::new("-") {
        let name = "standard input".to_owned();
        (Box::new(io::stdin().lock()), name, 0)
    } else {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("opening {name}"))?;
        // What is no regular file has no size, and does not say how far it is.
        let bytes = file.metadata().map_or(0, |of| of.len());
        (Box::new(file), name, bytes)
    };
    let n_read = Arc::new(AtomicU64::new(0));
    let source = Counted {
        source,
        n_read: Arc::clone(&n_read),
    };
    let progress = Progress::begin(move |past| {
        let past = Span::from_secs(past.as_secs());
        let read = n_read.load(Ordering::Relaxed);
        match bytes {
            0 => format!("replaying for {past}, {} read", Bytes(read)),
            _ => format!(
                "replaying for {past}, {}% read",
                read.min(bytes) * 100 / bytes
            ),
        }
    });
    let mut console = Console::new(io::stdout().lock(), options.output.unwrap_or(Form::Text));
    replay::replay(source, &config, |alert| {
        progress.aside(|| console.write(&alert))
    })
    .with_context(|| name)
}

/// A source that tells how much of it was read.
struct Counted {
    source: Box<dyn Read>,
    n_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.source.read(buffer)?;
        self.n_read.fetch_add(n_read as u64, Ordering::Relaxed);
        Ok(n_read)
    }
}
