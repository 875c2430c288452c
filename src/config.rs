//! The configuration: what can be set, its defaults, and how it is read.
//!
//! One struct, filled once: the files are merged as TOML tables over the built-in defaults
//! (`load`) and deserialized into [`Config`], so each key is written down in one place.

mod check;
mod fault;
mod glob;
mod key;
mod load;
mod rule;
mod search;
mod shape;
mod sink;
mod sustained;

pub use fault::Fault;
pub use glob::Glob;
pub use load::load_file;
pub use rule::{Critical, Fast, Match, Rule, RuleName, Rules, Severity, Subject};
pub use search::Search;
pub use sink::{Alertmanager, Dbus, Hook, Journal, Mail, MailReport, Metrics, Route, Tls};
pub use sustained::Sustained;

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Share, Span};

/// The effective configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Depth 1: the scan of every process.
    pub scan: Scan,
    /// Depth 2, user space: net heap of watched processes.
    pub heap: Heap,
    /// Depth 2, kernel space: net kernel memory of watched processes.
    pub kernel: Kernel,
    /// Depth 3: where the memory of those that leak was allocated.
    pub stacks: Stacks,
    /// What growth is a leak, by rule name.
    pub rule: Rules,
    /// How long alerts live and how often they speak.
    pub alert: Alert,
    /// Alerts as journal entries.
    pub journal: Journal,
    /// Alerts and queries on the system bus.
    pub dbus: Dbus,
    /// Alerts as mail.
    pub mail: Mail,
    /// Figures for Prometheus.
    pub metrics: Metrics,
    /// Alerts in Prometheus Alertmanager.
    pub alertmanager: Alertmanager,
    /// Units that are started for alerts.
    pub hook: Hook,
}

/// `[scan]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scan {
    /// Time between two readings of every process.
    pub interval: Span,
}

/// `[heap]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heap {
    /// Which processes are measured.
    pub watch: Watch,
    /// What measuring may cost, of a watched process's own CPU time.
    pub ceiling: Share,
    /// Where return probes may be.
    pub returns: Returns,
}

/// Where return probes may be. They are a little more than probes: they change where a function
/// returns to for the time of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Returns {
    /// Wherever this kernel's are harmless.
    #[default]
    Auto,
    /// Nowhere.
    Never,
}

/// `[kernel]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Which processes are measured.
    pub watch: Watch,
}

/// Which processes are measured at depth 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Watch {
    /// None.
    Off,
    /// Those whose pages grow.
    #[default]
    Suspects,
    /// Every process that a rule with this source matches.
    Matched,
}

/// `[stacks]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stacks {
    /// For how long allocations are looked at in one capture.
    pub time: Span,
    /// After how long a second capture tells a leak from what warms up; none if that is nothing.
    pub again: Span,
    /// One stack is copied for so many bytes allocated.
    pub sampling: Bytes,
}

/// `[alert]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alert {
    /// An alert is cleared after so long without growth.
    pub keep_firing: Span,
    /// A standing alert is said again after this time, then after twice as long, and so on.
    pub repeat: Span,
    /// What is to be told within so long is one message.
    pub group_wait: Span,
    /// At most so many messages an hour and sink; what is over is told together later.
    pub max_per_hour: u32,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            interval: Span::from_secs(5),
        }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self {
            watch: Watch::Suspects,
            ceiling: Share::percent(1.0),
            returns: Returns::Auto,
        }
    }
}

impl Default for Stacks {
    fn default() -> Self {
        Self {
            time: Span::from_secs(30),
            again: Span::from_mins(5),
            sampling: Bytes(64 << 10),
        }
    }
}

impl Default for Alert {
    fn default() -> Self {
        Self {
            keep_firing: Span::from_mins(15),
            repeat: Span::from_mins(24 * 60),
            group_wait: Span::from_secs(10),
            max_per_hour: 30,
        }
    }
}

impl Config {
    /// The configuration as a file that would produce it.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field of Config has a TOML form")
    }
}
