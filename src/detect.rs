//! Tells a leak from a process that merely uses memory.
//!
//! A [`History`] of block minima ("floors") at several time scales is kept of every process; what
//! allocates and frees leaves its floors level, a leak raises them. [`assess()`] holds the floors
//! against a rule. Everything here is pure: time is an argument, nothing fails.

mod assess;
mod cause;
mod explain;
mod forecast;
mod gate;
mod history;
mod lane;
mod level;
mod patience;
#[cfg(test)]
mod reference;
mod statistics;
#[cfg(test)]
mod tests;
mod together;
mod window;

pub use assess::{Assessment, assess, notable_bytes, share};
pub use cause::{Beside, Cause};
pub use explain::{Explanation, Look, Verdict, explain, passed};
pub use forecast::Forecast;
pub use gate::{Bound, Check, Gate, Unit};
pub use history::{History, longest_window};
pub use lane::{Before, Growth, Lane};
pub use level::Level;
pub use patience::Patience;
pub use statistics::Slope;
pub use window::recent_slope;
