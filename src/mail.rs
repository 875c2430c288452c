//! Alerts as mail, in two programs that share nothing but a directory.
//!
//! The daemon has no network: it [`compose()`]s a finished message (RFC 5322) for each change of an
//! alert and [`put`](Spool::put)s it into the [`Spool`]. `memleakd-mail` has nothing but the
//! network and the spool: its [`Courier`] reads sender and recipients from each message and
//! hands it to the [`Server`]. A message leaves the spool when a server has taken it; until then
//! it waits, and what is refused for good is parked where a person can look at it.

mod backoff;
mod body;
mod compose;
mod connection;
mod courier;
mod envelope;
mod facts;
#[cfg(test)]
mod fixture;
mod server;
mod spool;
mod stop;
mod text;
mod watch;

pub use backoff::Backoff;
pub use compose::{compose, name};
pub use courier::{Courier, Round};
pub use server::Server;
pub use spool::{Lock, MAX_MESSAGE_BYTES, MAX_REJECTED, MAX_WAITING, Spool, Waiting};
pub use stop::Stop;
pub use watch::{Until, watch};

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a file that should be small, and refuses one that is not.
fn read_small(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        ));
    }
    Ok(bytes)
}
