//! Alerts: what is said about a leak, when, and how often.
//!
//! [`Alert`] is the message that every sink receives; [`Book`] decides which to send. Neither
//! does I/O or reads a clock.

mod book;
mod budget;
mod member;
pub mod message;
mod outbox;
mod silence;
mod unknown;

pub use crate::detect::{Cause, Check, Gate};
pub use book::Book;
pub use outbox::{Outbox, Packing};
pub use silence::{Matcher, Silence, Silences};
pub use unknown::TEST_ID;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::collect::{HostMemory, LimitKind};
use crate::config::Severity;
use crate::sample::Source;
pub use crate::sample::{MAX_POINTS, Point};
use crate::site::Site;

/// One change of one alert, complete in itself.
///
/// Field names are public: they are the keys of the JSON, upper case with the prefix
/// `MEMLEAKD_` the journal's fields, and in CamelCase the names on D-Bus. Names of processes,
/// files and units have been made harmless (see [`crate::sample::printable`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What happened.
    pub change: Change,
    /// How the alert stands now.
    #[serde(default)]
    pub state: State,
    /// The same for all changes of what leaks: made from the rule and the unit or executable.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// When the alert was raised: with the id, what tells one incident from the next.
    #[serde(default)]
    pub raised: Timestamp,
    /// In a replay: the time in seconds as the recording counts it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time_secs: Option<f64>,
    /// The host's name.
    pub host: String,
    /// The rule that fired.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// Why it was cleared; only in `cleared`.
    pub reason: Option<Reason>,
    /// Since when somebody has taken note of it, which ends its reminders.
    #[serde(default)]
    pub acknowledged: Option<Timestamp>,
    /// Who that was, as a user's name or number.
    #[serde(default)]
    pub acknowledged_by: Option<String>,
    /// Until when nobody is told of it, as somebody wishes.
    #[serde(default)]
    pub silenced_until: Option<Timestamp>,
    /// The critical alert of the same unit, by its id, besides which nobody is told of this one.
    #[serde(default)]
    pub inhibited_by: Option<String>,
    /// The process that leaks, or the fastest of several.
    pub pid: u32,
    /// When it started, in clock ticks since boot, as field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// Its name.
    pub comm: String,
    /// Its executable.
    pub exe: Option<String>,
    /// Its system unit.
    pub unit: Option<String>,
    /// Its unit in the user's own service manager.
    pub user_unit: Option<String>,
    /// Its effective user.
    pub uid: u32,
    /// The name of that user on this host.
    #[serde(default)]
    pub user: Option<String>,
    /// Its path in the cgroup hierarchy; empty if unknown.
    #[serde(default)]
    pub cgroup: String,
    /// Its container.
    pub container: Option<String>,
    /// How many processes leak under this alert.
    pub processes: usize,
    /// How many processes of the same program are like it in age and size or grow alike, itself
    /// included, at most 200; 0 if there is nothing to compare.
    #[serde(default)]
    pub peers: usize,
    /// How many of them grow alike. One is a process that grows alone among others like it.
    #[serde(default)]
    pub peers_growing: usize,
    /// What was measured.
    pub source: Source,
    /// What kind of growth it is.
    pub cause: Cause,
    /// What the process holds now, in bytes.
    pub bytes: u64,
    /// How fast its net heap grows, beside its pages, in bytes a second; nothing if not measured.
    #[serde(default)]
    pub heap_bytes_per_sec: Option<f64>,
    /// What it allocates with, and how that is measured.
    #[serde(default)]
    pub heap_method: Option<String>,
    /// What it has gained since `since`, in bytes.
    pub growth_bytes: u64,
    /// The estimated rate, in bytes a second.
    pub growth_bytes_per_sec: f64,
    /// The lower bound of the rate, in bytes a second: this fired, by itself or together with those
    /// of its peers that grow alike.
    pub growth_bytes_per_sec_low: f64,
    /// Since when it has been growing, as far as is remembered.
    pub since: Timestamp,
    /// Since when nothing has been seen of it; also in the change that says that this is over.
    #[serde(default)]
    pub unseen_since: Option<Timestamp>,
    /// The nearest limit, in bytes.
    pub limit_bytes: Option<u64>,
    /// Which limit that is.
    pub limit_kind: Option<LimitKind>,
    /// Time until it is reached at the estimated rate, in seconds.
    pub exhausts_in_secs: Option<u64>,
    /// The same at the soonest.
    #[serde(default)]
    pub exhausts_in_secs_low: Option<u64>,
    /// The same at the latest; nothing if it may never be reached.
    #[serde(default)]
    pub exhausts_in_secs_high: Option<u64>,
    /// The memory that the host has left, swap not counted, in bytes.
    #[serde(default)]
    pub host_available_bytes: Option<u64>,
    /// All memory that the host has, in bytes.
    #[serde(default)]
    pub host_total_bytes: Option<u64>,
    /// The part of the last minute in which some task waited for memory, in percent: `some avg60`
    /// of `/proc/pressure/memory`.
    #[serde(default)]
    pub host_pressure_percent: Option<f64>,
    /// How large it was, the oldest first: at most [`MAX_POINTS`] points.
    #[serde(default)]
    pub curve: Vec<Point>,
    /// When it is said again, if it still stands and nothing else happens.
    pub next_reminder: Option<Timestamp>,
    /// Where the leaked memory was allocated.
    pub sites: Vec<Site>,
    /// Why that is not known, if it was to be and is not.
    #[serde(default)]
    pub sites_missing: Option<String>,
    /// What each gate found and asked when it was last found leaking: why it is taken for a leak.
    #[serde(default)]
    pub gates: Vec<Check>,
    /// What could not be seen, a phrase each.
    pub loss: Vec<String>,
    /// One sentence for a tired person.
    pub message: String,
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// A leak was found.
    Raised,
    /// It became critical.
    Escalated,
    /// It still stands.
    Reminded,
    /// More is known.
    Updated,
    /// It is over.
    Cleared,
}

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It leaks, or did so less than `alert.keep_firing` ago.
    #[default]
    Firing,
    /// Nothing has been seen of it for `alert.keep_firing`: nobody knows.
    Stale,
    /// It is over.
    Cleared,
}

/// A change, and who is to have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// What is said.
    pub alert: Alert,
    /// To whom.
    pub reach: Reach,
}

/// Who is to have a change. Records, which are the journal, the bus and the like, have all that
/// happens. People are spared what somebody has silenced, and what goes without saying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everybody.
    All,
    /// Records only.
    Records,
    /// People only: records have it already.
    People,
}

/// What the alerts of a round happen in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surroundings<'a> {
    /// The host's name.
    pub host: &'a str,
    /// Its memory, if that is known.
    pub memory: Option<HostMemory>,
}

/// Why an alert was cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It has not grown for `alert.keep_firing`.
    StoppedGrowing,
    /// The process has ended.
    Exited,
    /// The process has ended, and its unit runs another one in its place.
    Restarted,
    /// The kernel has killed the process, as memory ran out.
    OomKilled,
    /// The rule is gone or ignores the process now.
    RuleChanged,
}

impl Reason {
    /// Whether there is no process any more.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Exited | Self::Restarted | Self::OomKilled)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raised => "raised",
            Self::Escalated => "escalated",
            Self::Reminded => "reminded",
            Self::Updated => "updated",
            Self::Cleared => "cleared",
        })
    }
}
