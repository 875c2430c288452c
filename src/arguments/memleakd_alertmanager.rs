//! The command line of memleakd-alertmanager.

use std::path::PathBuf;

use clap::{Parser, ValueHint};

/// Posts the alerts of memleakd to Prometheus Alertmanager.
///
/// Without --watch or --until-empty all alerts are posted once; the exit status is 0 if they were
/// taken, 75 if some are left for later. An alert that fires ends in Alertmanager five minutes
/// after it was posted last.
#[derive(Debug, Parser)]
#[command(name = "memleakd-alertmanager", version)]
pub struct Arguments {
    /// Reads this configuration file and no other.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The alerts [default: $STATE_DIRECTORY/alertmanager or /var/lib/memleakd/alertmanager]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub alerts: Option<PathBuf>,
    /// Stays and posts what comes.
    #[arg(long, conflicts_with = "until_empty")]
    pub watch: bool,
    /// Stays until no alert is left.
    #[arg(long)]
    pub until_empty: bool,
}
