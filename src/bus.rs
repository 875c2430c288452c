//! `org.memleakd.Memleakd1` on the system bus: the daemon's service and the client's side of it.
//!
//! The service answers from a [`Snapshot`] that the daemon renews each round; the loop never waits
//! for the bus. What is measured on demand is ordered by one call and fetched by others. Only who
//! asks after one process waits for the loop, for two seconds at the most: see [`Question`].

mod audience;
mod capture;
mod client;
mod dictionary;
mod explained;
mod question;
mod reports;
mod service;
mod snapshot;

pub use client::Client;
pub use explained::{Explained, ExplainedSource};
pub use question::{Answer, Question};
pub use service::Service;
pub use snapshot::{Measured, Process, Shared, Snapshot, Status};

use std::ops::RangeInclusive;

/// The name on the bus, and the interface's.
pub const NAME: &str = "org.memleakd.Memleakd1";
/// The object's path.
pub const PATH: &str = "/org/memleakd/Memleakd1";

/// For how long a process may be captured, in seconds.
pub const CAPTURE_SECS: RangeInclusive<f64> = 1.0..=600.0;
