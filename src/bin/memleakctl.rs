//! The client: asks the daemon over D-Bus.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;
use memleakd::alert::Matcher;
use memleakd::arguments::memleakctl::{Arguments, Command, Recording, Silencing};
use memleakd::bus::Client;
use memleakd::client::{
    self, DemoLeak, Format, Listed, Marks, Progress, Renewal, Silenced, Wanted, columns,
};
use memleakd::daemon::{self, Options};
use memleakd::program;
use memleakd::quantity::Span;

fn main() -> ExitCode {
    let is_well = run(Arguments::parse().command, &mut io::stdout().lock());
    program::verdict("memleakctl", is_well)
}

/// Does what is asked. Whether all is well, for the one that looks into that.
fn run(command: Command, output: &mut impl Write) -> Result<bool> {
    let done = match command {
        Command::Doctor(form) => return client::doctor(output, form.json),
        Command::Status(form) => {
            let status = Client::connect()?.status()?;
            if form.json {
                client::json(output, &status)
            } else {
                client::status(output, &status)
            }
        }
        Command::Top {
            heap,
            kernel,
            count,
            once,
            form,
        } => {
            let listed = match (heap, kernel) {
                (true, _) => Listed::Heap,
                (_, true) => Listed::Kernel,
                _ => Listed::Pages,
            };
            let renewal = match (form.json, once) {
                (true, _) => Renewal::Json,
                (_, true) => Renewal::Once,
                _ => Renewal::Always,
            };
            client::top(output, &Client::connect()?, listed, count, renewal)
        }
        Command::Capture { pid, time, form } => {
            client::capture(output, &Client::connect()?, pid, time, form.json)
        }
        Command::Alerts { watch: true, form } => {
            client::follow(output, &Client::connect()?, form.json)
        }
        Command::Alerts { watch: false, form } => {
            let client = Client::connect()?;
            let alerts = client.alerts()?;
            if form.json {
                client::json(output, &alerts)
            } else {
                client::alerts(output, &alerts, &client.status()?, columns())
            }
        }
        Command::Ack { id } => Client::connect()?.acknowledge(&id),
        Command::Silence(silencing) => {
            let Silencing {
                id: like,
                time,
                comment,
                unit,
                exe,
                comm,
                user,
                rule,
            } = *silencing;
            let matcher = Matcher {
                unit,
                exe,
                comm,
                user,
                rule,
            };
            let silenced = Silenced { like, matcher };
            client::silence(output, &Client::connect()?, silenced, time, &comment)
        }
        Command::Silences(form) => {
            let silences = Client::connect()?.silences()?;
            if form.json {
                client::json(output, &silences)
            } else {
                client::silences(output, &silences, Timestamp::now(), columns())
            }
        }
        Command::Unsilence { id } => Client::connect()?.unsilence(&id),
        Command::Test { sink } => {
            let said = {
                let named = sink.clone();
                let _progress = Progress::begin(move |past| {
                    let past = Span::from_secs(past.as_secs());
                    format!("waiting for {named} for {past} (a minute at the most)")
                });
                Client::connect()?.test(&sink)?
            };
            writeln!(output, "{sink}: {said}").context("writing")
        }
        Command::Reload => client::reload(),
        Command::Show { id, form } => {
            let alert = Client::connect()?.alert(&id)?;
            if form.json {
                client::json(output, &alert)
            } else {
                client::alert(output, &alert)
            }
        }
        Command::Explain { pid, all, form } => {
            let explained = Client::connect()?.explain(pid)?;
            if form.json {
                client::json(output, &explained)
            } else {
                client::explain(output, &explained, all, Marks::of_terminal(), columns())
            }
        }
        Command::Record(recording) => {
            let Recording {
                output,
                time,
                interval,
                pids,
                unit,
            } = *recording;
            let wanted = Wanted {
                pids,
                unit,
                interval,
                time,
            };
            client::record(output.as_deref(), &wanted)
        }
        Command::Report {
            of,
            format,
            output: file,
            capture,
            json,
        } => {
            let format = if json { Some(Format::Json) } else { format };
            client::report(output, &of, format, file.as_deref(), capture)
        }
        Command::DemoLeak { rate, time, most } => {
            client::demo_leak(output, DemoLeak { rate, time, most })
        }
        Command::LeakOnPurpose { rate, most, parent } => {
            client::leak_on_purpose(rate, most, parent)
        }
        Command::Check { file, form } => {
            let config = daemon::configuration(&Options {
                config: file,
                output: None,
            })?;
            if form.json {
                client::json(output, &config)
            } else {
                output
                    .write_all(config.to_toml().as_bytes())
                    .context("writing")
            }
        }
    };
    done.map(|()| true)
}
