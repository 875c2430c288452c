//! The desktop agent: shows alerts as notifications.

use std::process::ExitCode;

use clap::Parser;
use memleakd::arguments::memleakd_notify::Arguments;
use memleakd::{logging, notify};

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
