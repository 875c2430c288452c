//! Sends the mails that the daemon has put into its spool.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use memleakd::config::{self, Search};
use memleakd::logging;
use memleakd::mail::{Courier, Spool, Transport, Until, watch};
use memleakd::program::state_directory;
use memleakd::wait::Stop;

/// Something is left for later (EX_TEMPFAIL of sysexits.h).
const LEFT: u8 = 75;

const HELP: &str = "\
What a server refuses with a number from 500 on is put into rejected/ of the spool at once, and
whatever else could not be sent for 24 hours; both are said in the journal as errors. Until then
mails are tried again, after 5 seconds at first and 15 minutes at last.

With mail.sendmail a program takes the mails instead of a server. It is called without a shell, as
  PROGRAM -i -f FROM -- RECIPIENT…
with the mail on its standard input, and may take as long as mail.timeout. By its exit status
(sysexits.h) a mail is taken (0), refused for good (65, 67, 68), or tried again (all others). In
memleakd-mail.service it runs as a user of no rights who may write nowhere but into the spool, and
setuid and setgid programs get no rights: msmtp and its like work there, the sendmail of Postfix,
Exim and OpenSMTPD does not. These take mails at localhost, which is what is done by default.";

/// Sends the mails that memleakd has put into its spool.
///
/// Without --watch or --until-empty each waiting mail is tried once; the exit status is 0 if
/// none is left, 75 if some are left for later.
#[derive(Debug, Parser)]
#[command(version, after_long_help = HELP)]
struct Arguments {
    /// Reads this configuration file and no other.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The spool [default: $STATE_DIRECTORY/spool or /var/lib/memleakd/spool]
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Stays and sends what comes.
    #[arg(long, conflicts_with = "until_empty")]
    watch: bool,
    /// Stays until nothing is left.
    #[arg(long)]
    until_empty: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start("memleakd-mail");
    run(arguments).unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let config = match &arguments.config {
        Some(path) => config::load_file(path),
        None => Search {
            root: PathBuf::from("/"),
        }
        .load(),
    }?;
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let transport = Transport::new(&config.mail, credentials.as_deref())?;
    let spool = Spool::open(
        arguments
            .spool
            .unwrap_or_else(|| state_directory().join("spool")),
    )?;
    let mut courier = Courier::new(spool, transport);
    if !arguments.watch && !arguments.until_empty {
        courier.round(|| false)?;
        let left = !courier.spool().waiting()?.is_empty();
        return Ok(if left {
            ExitCode::from(LEFT)
        } else {
            ExitCode::SUCCESS
        });
    }
    let until = if arguments.watch {
        Until::Stopped
    } else {
        Until::Empty
    };
    let stop = Stop::on_signals().context("taking SIGTERM and SIGINT")?;
    watch(&mut courier, until, &stop)?;
    Ok(ExitCode::SUCCESS)
}
