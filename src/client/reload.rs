//! Has the daemon read its configuration again.

use std::env;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::bus::Client;
use crate::daemon::{self, Options};

/// Asks the daemon for it, and waits until it has done so. As `ExecReload=` of the unit, which knows
/// the daemon's process, it also works where the daemon is on no bus.
pub fn reload() -> Result<()> {
    let Some(pid) = main_pid() else {
        return Client::connect()?.reload();
    };
    // Whoever is called by a name that nobody has is started by the bus, which would wait for us.
    if let Some(client) = Client::connect().ok().filter(Client::finds_daemon) {
        return client.reload();
    }
    // Whatever is wrong with it is told here, as the daemon can tell the log only.
    if let Err(fault) = daemon::configuration(&Options::default()) {
        bail!("{fault}; the old configuration stays in force");
    }
    kill_process(pid, Signal::HUP).context("sending SIGHUP to memleakd")
}

/// The daemon's process, if a service manager names it.
fn main_pid() -> Option<Pid> {
    Pid::from_raw(env::var("MAINPID").ok()?.parse().ok()?)
}
