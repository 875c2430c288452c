//! The desktop agent, `memleakd-notify`: alerts as bubbles on a person's screen.
//!
//! It stands between two buses. On the system bus it follows memleakd, whose signals tell it no
//! more than that it is time to ask: what it knows is the list of alerts, and of that memleakd gives
//! each user what the user may see. On the session bus it speaks to whatever shows notifications.
//!
//! [`reconcile()`] holds what is on the screen ([`Shown`]) against the list and says what is to be
//! done, without doing it. Everything else is the edge: [`run()`] waits, asks, shows, and remembers
//! in a file what has been shown, so that nothing is repeated at the next login.

mod agent;
mod daemon;
mod follow;
mod inbox;
mod lock;
mod memory;
mod pages;
mod reconcile;
mod server;
mod shown;
mod words;

pub use agent::run;
pub use reconcile::{Bubble, Call, Step, Subject, reconcile};
pub use shown::{Face, Group, Incident, Known, Place, Shown};

/// The path of an alert that there is not: `AlertRaised` of it is memleakd's own test of the way to
/// the screen. A bubble that says so is shown, and nobody is asked for details.
pub const TEST_PATH: &str = "/org/memleakd/Memleakd1/alert/test";
