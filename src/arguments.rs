//! What the programs take on their command lines, each in a file of its own.
//!
//! They are in the library so that tests can hold the manual pages and the completions of shells
//! against them.

pub mod memleakctl;
pub mod memleakd;
pub mod memleakd_alertmanager;
pub mod memleakd_mail;
pub mod memleakd_notify;
