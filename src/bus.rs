//! `org.memleakd.Memleakd1` on the system bus: the daemon's service and the client's side of it.
//!
//! The service answers from a [`Snapshot`] that the daemon renews each round; the loop never waits
//! for the bus. What is measured on demand is ordered by one call and fetched by others. Who wants
//! something of the loop waits for it, for two seconds at the most: see [`Question`].

mod alert_object;
mod audience;
mod caller;
mod capture;
mod client;
mod curves;
mod dictionary;
mod explained;
mod interface;
mod question;
mod reports;
mod service;
mod snapshot;

pub use client::Client;
pub(crate) use dictionary::{Dictionary, from_dictionary};
pub use explained::{Explained, ExplainedSource, missing, sentence};
pub use question::{Answer, Question, Reply, Request};
pub use service::Service;
pub use snapshot::{Measured, Process, Shared, Snapshot, Status};

use std::ops::RangeInclusive;

/// The name on the bus, and the interface's.
pub const NAME: &str = "org.memleakd.Memleakd1";
/// The object's path.
pub const PATH: &str = "/org/memleakd/Memleakd1";

/// What the paths of alerts begin with.
pub const ALERTS: &str = "/org/memleakd/Memleakd1/alert";

/// For how long a process may be captured, in seconds.
pub const CAPTURE_SECS: RangeInclusive<f64> = 1.0..=600.0;

/// Processes that may be listed at once.
pub const MAX_LISTED: usize = 100;
