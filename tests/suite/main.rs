//! Tests of the programs as users run them.

mod config;
mod mail;
mod replay;
mod report;
mod stacks;
