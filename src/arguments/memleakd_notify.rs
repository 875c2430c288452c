//! The command line of memleakd-notify.

use clap::Parser;

/// Shows the alerts of memleakd as notifications of the desktop, as long as the session lasts.
///
/// Users other than root are told of their own processes. Of several sessions of one user one is
/// told; the next takes over when that ends.
#[derive(Debug, Parser)]
#[command(name = "memleakd-notify", version)]
pub struct Arguments {}
