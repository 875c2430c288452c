//! Tests on this machine's own kernel: the scan, and the daemon as a whole.
//!
//! They need root and BTF and are ignored without being asked for, so that a run without them
//! shows. Where they run they must pass; none skips itself. One at a time, as they watch the
//! whole machine: `cargo test --test kernel -- --ignored --test-threads=1`.

mod allocator;
mod attention;
mod bus;
mod capture;
mod curves;
mod demo_leak;
mod desktop;
mod doctor;
mod ends;
mod explain;
mod faults;
mod heap;
mod hook;
mod journal;
mod journald;
mod kernel_memory;
mod life;
mod mail;
mod manual;
mod monitoring;
mod packages;
mod privilege;
mod readme;
mod report;
mod scan;
mod script;
mod sinks;
mod sites;
mod soak;
mod stacks;
mod stage;
mod terminal;
mod top;
