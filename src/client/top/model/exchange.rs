//! What goes out of the model and comes into it: orders, and answers to them.

use crate::alert::{Alert, Matcher};
use crate::bus::{Explained, Status};
use crate::client::top::Listed;
use crate::client::top::entry::Entry;
use crate::collect::Capture;
use crate::quantity::Span;

/// A process is measured for so long when that is asked for by a key.
pub(in crate::client::top) const CAPTURE_TIME: Span = Span::from_secs(30);
/// What is to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::client::top) enum Order {
    /// End.
    Quit,
    /// Stop, as the shell's job.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Ask for a view now.
    Renew(Listed),
    /// Ask why a process is taken for one that leaks, or is not.
    Explain(u32),
    /// Take note of an alert.
    Acknowledge {
        /// Which.
        id: String,
        /// What it is about, for the answer.
        who: String,
    },
    /// Silence alerts.
    Silence {
        /// Which.
        matcher: Box<Matcher>,
        /// For how long.
        time: Span,
    },
    /// Measure a process for [`CAPTURE_TIME`].
    Capture(u32),
}

/// What has come from outside.
#[derive(Debug)]
pub(in crate::client::top) enum Answer {
    /// What the daemon knows now.
    Renewed(Box<Renewed>),
    /// The daemon does not run.
    Absent,
    /// The daemon could not be asked, for a reason.
    Failed(String),
    /// Why a process is taken for one that leaks, or is not.
    Explained(u32, Result<Box<Explained>, String>),
    /// What a capture has found.
    Captured(u32, Result<Box<Capture>, String>),
    /// Something else was done, as a sentence says, or was not.
    Done(Result<String, String>),
}

/// What is asked for again and again.
#[derive(Debug)]
pub(in crate::client::top) struct Renewed {
    /// Figures of the daemon.
    pub status: Status,
    /// The open alerts.
    pub alerts: Vec<Alert>,
    /// Which view was asked for.
    pub listed: Listed,
    /// Its processes.
    pub entries: Vec<Entry>,
}
