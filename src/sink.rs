//! Where alerts go. Each sink has a thread and a bounded queue of its own, so that one that
//! fails or hangs delays no other and no round of the daemon.

mod alertmanager;
mod console;
mod hook;
mod journal;
mod mail;
mod outlet;

pub use alertmanager::{Alertmanager, Standing};
pub use console::{Console, Form};
pub use hook::Hook;
pub use journal::{Journal, message_id};
pub use mail::Mail;
pub use outlet::{Delivery, Outlet, Report, TEST_SEQUENCE};

use anyhow::Result;

/// What can be asked to send a test alert. The desktop is told by the bus.
pub const TESTABLE: [&str; 6] = ["journal", "dbus", "desktop", "mail", "alertmanager", "hook"];

/// A way to tell people of an alert.
pub trait Sink: Send {
    /// Sends one change. What fails is tried again later, so a sink that can tells a repetition
    /// by `delivery.sequence`.
    fn send(&mut self, delivery: &Delivery) -> Result<()>;

    /// Called at start and now and then while there is nothing to send, for what has to be kept up.
    /// A sink that has nothing of the kind says nothing, which is no sign of health.
    fn tend(&mut self) -> Option<Result<()>> {
        None
    }
}
