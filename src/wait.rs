//! How a program stays with a directory: what comes into it, how long to wait after a failure,
//! and when to end. It knows nothing of what is in the directory.

mod arrivals;
mod backoff;
mod stop;

pub use arrivals::Arrivals;
pub use backoff::{Backoff, random};
pub use stop::Stop;
