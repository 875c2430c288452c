//! Sends the mails that the daemon has put into its spool.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use memleakd::arguments::memleakd_mail::Arguments;
use memleakd::config::{self, Search};
use memleakd::logging;
use memleakd::mail::{Courier, Spool, Transport, Until, watch};
use memleakd::program::state_directory;
use memleakd::wait::Stop;

/// Something is left for later (EX_TEMPFAIL of sysexits.h).
const LEFT: u8 = 75;

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
