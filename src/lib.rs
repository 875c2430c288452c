//! memleakd finds processes that leak memory and says so where the administrator already looks.
//!
//! The data goes one way: [`collect`] takes samples of every process from the kernel (or a
//! recording), [`watch`] remembers a little of each and asks [`detect`] what its growth means,
//! [`alert`] decides what to say of a leak and when, [`sink`] and [`bus`] say it. [`daemon`] is the
//! loop around them, [`replay`] the same without a machine.
//!
//! Start with [`sample`], which is the vocabulary, then [`watch`]. ARCHITECTURE.md has the picture
//! and the invariants.

pub mod sample;

pub mod net;

pub mod site;

pub mod quantity;

pub mod config;
pub mod curve;

pub mod collect;

pub mod detect;

pub mod stacks;

pub mod plan;

pub mod past;

pub mod watch;

pub mod alert;

pub mod report;

pub mod sink;

pub mod bus;

pub mod daemon;

pub mod replay;

pub mod mail;

pub mod alertmanager;

pub mod metrics;

pub mod client;

pub mod notify;

pub mod arguments;

pub mod logging;

pub mod program;

pub mod wait;

mod file;

mod html;

mod secret;
