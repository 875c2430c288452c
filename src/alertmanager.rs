//! Alerts in Prometheus Alertmanager, in two programs that share nothing but a directory.
//!
//! The daemon has no network: its sink keeps one file for each [`Incident`] in the directory of
//! [`Incidents`], which always says how the alert stands. `memleakd-alertmanager` has nothing but
//! the network and that directory: its [`Reporter`] posts what the files say to the [`Server`].
//!
//! An alert ends in Alertmanager at a time that goes with it. That of one that fires is
//! [`LEASE`] ahead and is put off with every post, one each [`REFRESH`]; nothing is put off unless the
//! daemon holds the directory. So an alert ends by itself wherever the chain breaks: the host, the
//! daemon, the program, the network, the state. And as each post says all that there is to say, a
//! program that was killed or an Alertmanager that has forgotten everything is as good as new
//! after the next.
//!
//! An alert's labels are its identity in Alertmanager. Those of an incident are pinned in its file
//! when it is first written, but for the severity: when that changes, the alert of the old one is
//! ended, in the same post that brings that of the new one.

mod incident;
mod incidents;
mod label;
mod post;
mod reporter;
mod server;
mod standing;
mod trust;
mod watch;

pub use incident::Incident;
pub use incidents::{Hold, Incidents, MAX_INCIDENTS};
pub use label::{NAME, Reserved, labels};
pub use post::{LEASE, Post};
pub use reporter::{REFRESH, Reporter, Round};
pub use server::{Server, Verdict};
pub use watch::{Until, watch};
