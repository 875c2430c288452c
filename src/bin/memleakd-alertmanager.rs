//! Posts the alerts that the daemon keeps for it to Prometheus Alertmanager.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;
use memleakd::alertmanager::{Incidents, Reporter, Server, Until, labels, watch};
use memleakd::arguments::memleakd_alertmanager::Arguments;
use memleakd::config::{self, Search};
use memleakd::logging;
use memleakd::program::state_directory;
use memleakd::wait::Stop;

/// Something is left for later (EX_TEMPFAIL of sysexits.h).
const LEFT: u8 = 75;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start("memleakd-alertmanager");
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
    }?
    .alertmanager;
    let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let server = Server::new(&config, credentials.as_deref())?;
    if server.is_in_the_clear() {
        tracing::warn!(
            "the password crosses the network in the clear: alertmanager.url should begin with https"
        );
    }
    let labels = labels(&config.labels).context("alertmanager.labels")?;
    let incidents = Incidents::open(
        arguments
            .alerts
            .unwrap_or_else(|| state_directory().join("alertmanager")),
    )?;
    let mut reporter = Reporter::new(incidents, server, labels);
    if !arguments.watch && !arguments.until_empty {
        let round = reporter.round(Timestamp::now(), Instant::now(), || false)?;
        return Ok(match round.is_said {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(LEFT),
        });
    }
    let until = if arguments.watch {
        Until::Stopped
    } else {
        Until::Empty
    };
    let stop = Stop::on_signals().context("taking SIGTERM and SIGINT")?;
    watch(&mut reporter, until, &stop)?;
    Ok(ExitCode::SUCCESS)
}
