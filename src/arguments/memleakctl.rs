//! The command line of memleakctl.

mod examples;

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command as Line, Error, Parser, Subcommand, ValueHint};

use crate::client::{Format, capture_time, demo_rate, gates, keys, record_interval, silence_time};
use crate::config::Glob;
use crate::quantity::{Bytes, Rate, Span};
use crate::sink::TESTABLE;

const HELP: &str = "\
Examples:
  memleakctl alerts                          what leaks
  memleakctl report ID                       the code that allocates it
  memleakctl silence ID --for 2h             nothing more of that unit for 2 h
  memleakctl explain PID                     would it be said, and when?
  memleakctl test mail                       whether mail gets through
  memleakctl doctor                          what is wrong with memleakd itself
  memleakctl demo-leak                       a leak on purpose, to see all this

Each command has examples: memleakctl COMMAND --help.
Exit status: 0 done, 1 failed, 2 wrong arguments. More is in memleakctl(1).";

/// Shows what memleakd knows about processes that leak memory.
#[derive(Debug, Parser)]
#[command(name = "memleakctl", version, after_help = HELP)]
pub struct Arguments {
    /// What is asked.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked of memleakctl.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Figures of the daemon.
    #[command(after_help = examples::STATUS)]
    Status(Form),
    /// The fastest growing processes, on the whole screen.
    ///
    /// Where there is no terminal, one table is printed, as by --once.
    #[command(after_help = examples::TOP, after_long_help = examples_and_keys())]
    Top {
        /// The processes whose heap is measured: what they allocate and free.
        #[arg(long)]
        heap: bool,
        /// The processes whose kernel memory is measured.
        #[arg(long, conflicts_with = "heap")]
        kernel: bool,
        /// At most so many, up to 100: 20 in a table and 100 on the screen, unless it is said.
        #[arg(short = 'n', long, value_name = "COUNT")]
        count: Option<u32>,
        /// Print one table and exit.
        #[arg(long)]
        once: bool,
        /// How the answer is given.
        #[command(flatten)]
        form: Form,
    },
    /// The open alerts.
    #[command(after_help = examples::ALERTS)]
    Alerts {
        /// Print what happens to them, a line each, until interrupted.
        #[arg(short, long)]
        watch: bool,
        /// How the answer is given.
        #[command(flatten)]
        form: Form,
    },
    /// One open alert in full.
    #[command(after_help = examples::SHOW)]
    Show {
        /// Its id, as "memleakctl alerts" has it.
        id: String,
        /// How the answer is given.
        #[command(flatten)]
        form: Form,
    },
    /// Take note of an open alert, which ends its reminders.
    #[command(after_help = examples::ACK)]
    Ack {
        /// Its id, as "memleakctl alerts" has it.
        id: String,
    },
    /// Spare people some alerts for a time: no mail, no hook, no notification.
    ///
    /// Patterns must fit all; * is any text, ? any character. The journal has them all the same.
    #[command(after_help = examples::SILENCE)]
    Silence(Box<Silencing>),
    /// The silences that stand, the one that ends first in front.
    #[command(after_help = examples::SILENCES)]
    Silences(Form),
    /// Take a silence back.
    #[command(after_help = examples::UNSILENCE)]
    Unsilence {
        /// Its number, as "memleakctl silences" has it.
        id: String,
    },
    /// Send an alert that is marked as a test, and say whether it got through.
    #[command(after_help = examples::TEST)]
    Test {
        /// By which way.
        #[arg(value_parser = SinkName)]
        sink: String,
    },
    /// Have the configuration read again; one that is wrong is refused with the reason.
    #[command(after_help = examples::RELOAD)]
    Reload,
    /// Why a process is taken for one that leaks, or why not: each gate with its value.
    ///
    /// Users other than root may ask after their own processes.
    #[command(after_help = examples::EXPLAIN, after_long_help = examples_and_gates())]
    Explain {
        /// Its process id.
        pid: u32,
        /// The gates of every lane, and not just of the one that decides.
        #[arg(short, long)]
        all: bool,
        /// How the answer is given.
        #[command(flatten)]
        form: Form,
    },
    /// Measure what one process allocates and frees, for a time.
    ///
    /// Users other than root may measure their own processes.
    #[command(after_help = examples::CAPTURE)]
    Capture {
        /// Its process id.
        #[arg(long, value_name = "PID")]
        pid: u32,
        /// For how long, 1s to 10min.
        #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = capture_time)]
        time: Span,
        /// How the answer is given.
        #[command(flatten)]
        form: Form,
    },
    /// Write down what processes hold, for "memleakd replay" to try rules on.
    ///
    /// Needs neither memleakd nor root. Ends with Ctrl-C, when the time is over, or when all
    /// processes that are named have ended.
    #[command(after_help = examples::RECORD)]
    Record(Box<Recording>),
    /// All that is known of a leak: every place that allocates, with its stack.
    ///
    /// As a page for a browser it has the growth, a forecast and a flame graph as well. Users other
    /// than root may ask for reports of their own processes. A report that was saved with --format
    /// json is read without memleakd, also on another machine.
    #[command(after_help = examples::REPORT)]
    Report {
        /// The alert's id, as "memleakctl alerts" has it, a process id, or a saved report.
        #[arg(value_name = "ID|PID|FILE", value_hint = ValueHint::FilePath)]
        of: String,
        /// How it is given; text, or html into a file whose name ends so.
        #[arg(long, value_enum, value_name = "FORMAT")]
        format: Option<Format>,
        /// Write it to a file.
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
        /// Capture stacks of the process first, for 1s to 10min.
        #[arg(long, value_name = "TIME", value_parser = capture_time)]
        capture: Option<Span>,
        /// The same as --format json.
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
    /// Examine this machine: what is well with memleakd, what is not, and what to do about it.
    ///
    /// Looks at the kernel, the service, the bus, the journal and what sends alerts; changes and
    /// sends nothing. Root sees all of it. Exit status: 0 nothing is wrong, 1 something is.
    #[command(after_help = examples::DOCTOR)]
    Doctor(Form),
    /// Leak memory on purpose, in a process of its own, to see what memleakd makes of it.
    ///
    /// The process is called memleakd-demo. It ends with Ctrl-C, and with this command. The rule that
    /// is for it is quicker than others: /usr/lib/memleakd/memleakd.toml.d/50-demo-leak.toml.
    #[command(after_help = examples::DEMO_LEAK)]
    DemoLeak {
        /// How fast, 1KiB/min to 1GiB/min.
        #[arg(long, value_name = "RATE", default_value = "1MiB/min", value_parser = demo_rate)]
        rate: Rate,
        /// For how long; until interrupted if this is not given.
        #[arg(long = "for", value_name = "TIME")]
        time: Option<Span>,
        /// How much it leaks at the most; then it ends.
        #[arg(long, value_name = "SIZE", default_value = "1GiB")]
        most: Bytes,
    },
    /// What demo-leak starts.
    #[command(hide = true)]
    LeakOnPurpose {
        /// How fast.
        rate: Rate,
        /// How much at the most.
        most: Bytes,
        /// Whom it ends with.
        parent: u32,
    },
    /// Check the configuration, or a file alone, and print what would be in force.
    #[command(after_help = examples::CHECK)]
    Check {
        /// The file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// How the answer is given.
        #[command(flatten)]
        form: Form,
    },
}

/// The help of explain in full.
fn examples_and_gates() -> String {
    format!("{}\n\n{}", examples::EXPLAIN, gates())
}

fn examples_and_keys() -> String {
    format!("{}\n\n{}", examples::TOP, keys())
}

/// Names the sinks to help and to completions, and takes any name: memleakd has the last word, and
/// may know more of them.
#[derive(Debug, Clone, Copy)]
struct SinkName;

impl TypedValueParser for SinkName {
    type Value = String;

    fn parse_ref(
        &self,
        line: &Line,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, Error> {
        StringValueParser::new().parse_ref(line, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(TESTABLE.into_iter().map(PossibleValue::new)))
    }
}

/// What a silence spares people, and for how long.
#[derive(Debug, Args)]
pub struct Silencing {
    /// An open alert: silences its unit, or its executable where it is in none.
    #[arg(required_unless_present_any = ["unit", "exe", "comm", "user", "rule"])]
    pub id: Option<String>,
    /// For how long, such as 1h or 7d.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = silence_time)]
    pub time: Span,
    /// Why, for others to read.
    #[arg(short, long, default_value = "")]
    pub comment: String,
    /// The unit or user unit.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    pub unit: Option<Glob>,
    /// The path of the executable.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new, value_hint = ValueHint::FilePath)]
    pub exe: Option<Glob>,
    /// The name of the process.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    pub comm: Option<Glob>,
    /// The user, by name or number.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new, value_hint = ValueHint::Username)]
    pub user: Option<Glob>,
    /// The rule.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    pub rule: Option<Glob>,
}

/// What is recorded, and where that goes.
#[derive(Debug, Args)]
pub struct Recording {
    /// Write it to a file, and not to standard output.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// For how long; until interrupted if it is not said.
    #[arg(long = "for", value_name = "TIME")]
    pub time: Option<Span>,
    /// How often, 100ms to 1h.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = record_interval)]
    pub interval: Span,
    /// This process; may be given several times.
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// What is in such a unit or user unit.
    #[arg(long, value_name = "PATTERN", value_parser = Glob::new)]
    pub unit: Option<Glob>,
}

/// How answers are given.
#[derive(Debug, Args)]
pub struct Form {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
