//! The process that resolves stacks, held against programs whose calls are known.
//!
//! The programs say their registers themselves, and the test reads their stacks out of their
//! memory: what the kernel's side does is tested with it.

mod hostile;
mod taken;
mod truth;
