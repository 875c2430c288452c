//! From copied stacks to allocation sites with names.
//!
//! A stack is copied in the kernel and resolved here, in a process of its own: it reads ELF files
//! of others, maps files that somebody may cut short, and needs memory that goes back with it.
//! `resolver` is the daemon's side of that process, [`wire`] what the two say to each other,
//! `resolve` what the process does: `modules` knows what code is where, `unwind` walks stacks by
//! the tables in it, `rank` adds up what stays at each, `names` has words for addresses, `answer`
//! is what comes back. [`name_again`] names later what had no name.

mod answer;
mod attempt;
mod confine;
mod debug_files;
mod elf;
mod later;
mod modules;
mod names;
mod perf_map;
mod rank;
mod resolve;
mod resolver;
mod unwind;
pub mod wire;

pub use later::name_again;
pub use resolve::{RESOLVE_ARGUMENT, resolve};
pub use resolver::Resolver;
