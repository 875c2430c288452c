//! Tests on whole systems that are booted for them: the package as Debian installs it, its units
//! under systemd, and what surrounds them: journald, polkitd, a user's session, a mail server.
//!
//! `make vm-test` sets up what they need and runs them. They need root, and are ignored without
//! being asked for, so that a run without them shows; none skips itself. Each runs on every machine
//! that `MEMLEAKD_MACHINES` names.

mod access;
mod bare;
mod demo;
mod desktop;
mod handed_on;
mod install;
mod leak;
mod limits;
mod machine;
mod mail;
mod many;
mod old_kernel;
mod reload;
mod restart;
mod rpm;
mod stage;
mod upgrade;
