//! Alerts as mail, in two programs that share nothing but a directory.
//!
//! The daemon has no network: it makes [`letters()`] of the changes of alerts, [`compose()`]s a
//! finished message (RFC 5322) of each and [`put`](Spool::put)s it into the [`Spool`].
//! `memleakd-mail` has nothing but the network and the spool: its [`Courier`] reads sender and
//! recipients from each message and hands it to the [`Transport`]. A message leaves the spool when
//! it was taken there; until then it waits, and what is refused for good is parked where a person
//! can look at it.

mod body;
mod compose;
mod connection;
mod courier;
mod digest;
mod envelope;
mod facts;
#[cfg(test)]
pub(crate) mod fixture;
mod html;
mod letter;
mod page;
mod plot;
mod progress;
mod route;
mod sendmail;
mod server;
mod spool;
mod text;
mod thread;
mod told;
mod transport;
mod watch;

pub use compose::compose;
pub use courier::{Courier, Round};
pub use letter::{Letter, letters};
pub(crate) use page::{Step, Tone, steps};
pub use route::has_recipients;
pub use spool::{Lock, MAX_MESSAGE_BYTES, MAX_REJECTED, MAX_WAITING, Spool, Waiting};
pub use told::Told;
pub use transport::Transport;
pub use watch::{Until, watch};
