//! Tests of the programs as users run them.

mod catalog;
mod completions;
mod config;
mod demo_leak;
mod doctor;
mod exit;
mod mail;
mod manual;
mod monitoring;
mod packaging;
mod page;
mod progress;
mod record;
mod replay;
mod report;
mod stacks;
