//! The client: asks the daemon over D-Bus.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use memleakd::alert::Matcher;
use memleakd::bus::Client;
use memleakd::client::{
    self, Format, Listed, Marks, Renewal, Silenced, capture_time, columns, silence_time,
};
use memleakd::config::Glob;
use memleakd::daemon::{self, Options};
use memleakd::program;
use memleakd::quantity::Span;

/// Shows what memleakd knows about processes that leak memory.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 done, 1 failed, 2 wrong arguments."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Figures of the daemon.
    Status(Form),
    /// The fastest growing processes, renewed until interrupted.
    Top {
        /// The processes whose heap is measured: what they allocate and free.
        #[arg(long)]
        heap: bool,
        /// The processes whose kernel memory is measured.
        #[arg(long, conflicts_with = "heap")]
        kernel: bool,
        /// At most so many, up to 100.
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
        count: u32,
        /// Print one table and exit.
        #[arg(long)]
        once: bool,
        #[command(flatten)]
        form: Form,
    },
    /// The open alerts.
    Alerts {
        /// Print what happens to them, a line each, until interrupted.
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        form: Form,
    },
    /// One open alert in full.
    Show {
        /// Its id, as "memleakctl alerts" has it.
        id: String,
        #[command(flatten)]
        form: Form,
    },
    /// Take note of an open alert, which ends its reminders.
    Ack {
        /// Its id, as "memleakctl alerts" has it.
        id: String,
    },
    /// Spare people some alerts for a time: no mail, no hook, no notification.
    ///
    /// Patterns must fit all; * is any text, ? any character. The journal has them all the same.
    Silence(Box<Silencing>),
    /// The silences that stand, the one that ends first in front.
    Silences(Form),
    /// Take a silence back.
    Unsilence {
        /// Its number, as "memleakctl silences" has it.
        id: String,
    },
    /// Send an alert that is marked as a test, and say whether it got through.
    Test {
        /// By which way: journal, dbus, desktop, mail, alertmanager or hook.
        sink: String,
    },
    /// Have the configuration read again; one that is wrong is refused with the reason.
    Reload,
    /// Why a process is taken for one that leaks, or why not: each gate with its value.
    ///
    /// Users other than root may ask after their own processes.
    #[command(after_long_help = client::gates())]
    Explain {
        /// Its process id.
        pid: u32,
        /// The gates of every lane, and not just of the one that decides.
        #[arg(short, long)]
        all: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Measure what one process allocates and frees, for a time.
    ///
    /// Users other than root may measure their own processes.
    Capture {
        /// Its process id.
        #[arg(long, value_name = "PID")]
        pid: u32,
        /// For how long, 1s to 10min.
        #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = capture_time)]
        time: Span,
        #[command(flatten)]
        form: Form,
    },
    /// Where the memory of an alert was allocated: every place, with its stack.
    ///
    /// Users other than root may ask for reports of their own processes. A report that was saved with
    /// --format json is read without memleakd, also on another machine.
    Report {
        /// The alert's id, as "memleakctl alerts" has it, or a saved report.
        #[arg(value_name = "ID|FILE")]
        of: String,
        /// How it is given.
        #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
        format: Format,
        /// Write it to a file.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The same as --format json.
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
    /// Check the configuration, or a file alone, and print what would be in force.
    Check {
        /// The file.
        file: Option<PathBuf>,
        #[command(flatten)]
        form: Form,
    },
}

#[derive(Args)]
struct Silencing {
    /// An open alert: silences its unit, or its executable where it is in none.
    #[arg(required_unless_present_any = ["unit", "exe", "comm", "user", "rule"])]
    id: Option<String>,
    /// For how long, such as 1h or 7d.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = silence_time)]
    time: Span,
    /// Why, for others to read.
    #[arg(short, long, default_value = "")]
    comment: String,
    /// The unit or user unit.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    unit: Option<Glob>,
    /// The path of the executable.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    exe: Option<Glob>,
    /// The name of the process.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    comm: Option<Glob>,
    /// The user, by name or number.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    user: Option<Glob>,
    /// The rule.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    rule: Option<Glob>,
}

#[derive(Args)]
struct Form {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let result = run(Arguments::parse().command, &mut io::stdout().lock());
    program::end("memleakctl", result)
}

fn run(command: Command, output: &mut impl Write) -> Result<()> {
    match command {
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
            let said = Client::connect()?.test(&sink)?;
            writeln!(output, "{sink}: {said}").context("writing")
        }
        Command::Reload => Client::connect()?.reload(),
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
        Command::Report {
            of,
            format,
            output: file,
            json,
        } => {
            let format = if json { Format::Json } else { format };
            client::report(output, &of, format, file.as_deref())
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
    }
}
