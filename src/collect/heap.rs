//! Net allocations of the user heap, measured in a few processes at a time.
//!
//! `prober` is what the loop knows of the thread that does it, `worker` that thread's own side. A
//! `subject` is one measured process, `windows` says how long its probes are in, `tally` what that comes to. `captures` are
//! those that were asked for by hand. `probes` are the BPF programs, `cost` is what one hit of them
//! costs, `release` what the kernel has.
//!
//! Where a process allocates is seen by stacks: `pinpoint` is what is asked and answered, `capturing`
//! the sampling while probes are in, `sampling` how finely that is done, and `relay` the thread that
//! hands stacks on to who resolves them.

mod captures;
mod capturing;
mod cost;
mod life;
mod pinpoint;
mod prober;
mod probes;
mod reading;
mod relay;
mod release;
mod sampling;
mod subject;
mod tally;
mod totals;
mod windows;
mod worker;

pub use cost::{CALLS_ARGUMENT, answer_calls};
pub use pinpoint::{Pinpoint, Pinpointed};
pub use prober::{MAX_MEASURED, Prober};
pub use probes::OLD_KERNEL_DROP_IN;
pub use reading::{Capture, HeapReading};
pub use relay::{Listen, Listener};
pub use release::Release;
