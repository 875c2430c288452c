//! Net allocations of the user heap, measured in a few processes at a time.
//!
//! `prober` is what the loop knows of the thread that does it, `worker` that thread's own side. A
//! `subject` is one measured process, `windows` says how long its probes are in, `tally` what that comes to. `captures` are
//! those that were asked for by hand. `probes` are the BPF programs, `cost` is what one hit of them
//! costs, `release` what the kernel has.

mod captures;
mod cost;
mod prober;
mod probes;
mod reading;
mod release;
mod subject;
mod tally;
mod totals;
mod windows;
mod worker;

pub use cost::{CALLS_ARGUMENT, answer_calls};
pub use prober::{MAX_MEASURED, Prober};
pub use reading::{Capture, HeapReading};
