//! Tells a leak from a process that merely uses memory.
//!
//! A [`History`] of block minima ("floors") at several time scales is kept of every process; what
//! allocates and frees leaves its floors level, a leak raises them. [`assess()`] holds the floors
//! against a rule. Everything here is pure: time is an argument, nothing fails.

mod assess;
mod cause;
mod history;
mod statistics;
mod window;

pub use assess::{Assessment, Growth, Lane, assess, notable_bytes};
pub use cause::{Beside, Cause};
pub use history::{History, longest_window};
pub use statistics::Slope;
pub use window::{Gate, recent_slope};
