//! `org.memleakd.Memleakd1` on the system bus: the daemon's service and the client's side of it.
//!
//! The service answers from a [`Snapshot`] that the daemon renews each round; no call from the
//! bus ever waits for the daemon's loop, nor the loop for the bus.

mod client;
mod dictionary;
mod service;
mod snapshot;

pub use client::Client;
pub use service::Service;
pub use snapshot::{Process, Shared, Snapshot, Status};

/// The name on the bus, and the interface's.
pub const NAME: &str = "org.memleakd.Memleakd1";
/// The object's path.
pub const PATH: &str = "/org/memleakd/Memleakd1";
