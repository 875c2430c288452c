//! The desktop agent: shows alerts as notifications.

use std::process::ExitCode;

use clap::Parser;
use memleakd::{logging, notify};

/// Shows the alerts of memleakd as notifications of the desktop, as long as the session lasts.
///
/// Users other than root are told of their own processes. Of several sessions of one user one is
/// told; the next takes over when that ends.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    Arguments::parse();
    logging::start("memleakd-notify");
    match notify::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
