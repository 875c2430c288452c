//! `org.memleakd.Memleakd1` on the system bus: the daemon's service and the client's side of it.
//!
//! The service answers from a [`Snapshot`] that the daemon renews each round; no call from the
//! bus ever waits for the daemon's loop, nor the loop for the bus. What is measured on demand is
//! ordered by one call and fetched by others.

mod audience;
mod capture;
mod client;
mod dictionary;
mod service;
mod snapshot;

pub use client::Client;
pub use service::Service;
pub use snapshot::{Measured, Process, Shared, Snapshot, Status};

use std::ops::RangeInclusive;

/// The name on the bus, and the interface's.
pub const NAME: &str = "org.memleakd.Memleakd1";
/// The object's path.
pub const PATH: &str = "/org/memleakd/Memleakd1";

/// For how long a process may be captured, in seconds.
pub const CAPTURE_SECS: RangeInclusive<f64> = 1.0..=600.0;
