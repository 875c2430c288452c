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
mod sustained;

pub use fault::Fault;
pub use glob::Glob;
pub use load::load_file;
pub use rule::{Critical, Fast, Match, Rule, RuleName, Rules, Severity, Subject};
pub use search::Search;
pub use sustained::Sustained;

use std::path::PathBuf;

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
    /// At most so many messages an hour; what is over is held back, counted and told later.
    pub max_per_hour: u32,
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// Whether alerts go to the journal.
    pub enabled: bool,
    /// Where journald listens for its native protocol.
    pub socket: PathBuf,
}

/// `[dbus]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dbus {
    /// Whether `org.memleakd.Memleakd1` is offered on the system bus.
    pub enabled: bool,
}

/// `[mail]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// Who receives alerts. Nobody: no mail.
    pub to: Vec<String>,
    /// The sender; empty is `memleakd@` and the host's name.
    pub from: String,
    /// The lowest severity that is mailed.
    pub min_severity: Severity,
    /// The SMTP server's name or address.
    pub server: String,
    /// Its port; 0 is the usual one: 25 without TLS, 587 with STARTTLS, 465 with TLS.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// A file of additional certificate authorities in PEM form; empty is the system's only.
    pub ca_file: PathBuf,
    /// Who to authenticate as; empty is nobody.
    pub username: String,
    /// Where the password is; empty is the credential `memleakd.smtp-password` of the service.
    pub password_file: PathBuf,
    /// How long the server may take for one answer.
    pub timeout: Span,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Not at all: only for a server on this machine.
    None,
    /// Plain at first, then TLS or nothing (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
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
            max_per_hour: 30,
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            enabled: true,
            socket: PathBuf::from("/run/systemd/journal/socket"),
        }
    }
}

impl Default for Dbus {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            from: String::new(),
            min_severity: Severity::Warning,
            server: "localhost".to_owned(),
            port: 0,
            tls: Tls::None,
            ca_file: PathBuf::new(),
            username: String::new(),
            password_file: PathBuf::new(),
            timeout: Span::from_secs(30),
        }
    }
}

impl Config {
    /// The configuration as a file that would produce it.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every field of Config has a TOML form")
    }
}
