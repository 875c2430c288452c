//! What is said to whoever waits at a terminal.

use memleakd::client::Progress;
use memleakd::quantity::Span;

/// Says what is computed, as long as what it returns is there.
pub fn under_way(what: impl Into<String>) -> Progress {
    let what = what.into();
    Progress::begin(move |past| format!("{what}, for {}", Span::from_secs(past.as_secs())))
}
