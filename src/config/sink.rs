//! Where alerts go, as far as it can be set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Match, Severity};
use crate::quantity::Span;

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
    /// Who receives alerts that no route has. Nobody, and no routes: no mail.
    pub to: Vec<String>,
    /// The sender; empty is `memleakd@` and the host's name.
    pub from: String,
    /// The lowest severity that is mailed.
    pub min_severity: Severity,
    /// Who receives which alerts, by a name for each route.
    pub route: BTreeMap<String, Route>,
    /// The program that takes mails, as sendmail does; empty is a server by SMTP.
    pub sendmail: PathBuf,
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
    /// How long the server may take for one answer, or the program for one mail.
    pub timeout: Span,
    /// Whether a mail of one alert brings its report along.
    pub report: MailReport,
}

/// Whether mails bring reports along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailReport {
    /// They do not.
    None,
    /// As a page for a browser, in a file.
    Attach,
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

/// `[mail.route.NAME]`: who receives which alerts. One that several routes have goes to all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Who receives them.
    pub to: Vec<String>,
    /// From which severity on.
    pub min_severity: Severity,
    /// Of which processes.
    #[serde(rename = "match")]
    pub matching: Match,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// The file that is written, for node_exporter's textfile collector; empty is none.
    pub file: PathBuf,
    /// Of so many processes, the fastest growing, the growth is told.
    pub top: u32,
}

/// `[alertmanager]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alertmanager {
    /// Where Alertmanager is, such as `http://localhost:9093`; empty is nowhere.
    pub url: String,
    /// Further labels of every alert, each `name=value`.
    pub labels: Vec<String>,
    /// A file of additional certificate authorities in PEM form; empty is the system's only.
    pub ca_file: PathBuf,
    /// Who to authenticate as; empty is nobody.
    pub username: String,
    /// Where the password is, or without a user's name the bearer token; empty is the credential
    /// `memleakd.alertmanager-password` of the service.
    pub password_file: PathBuf,
    /// How long it may take for one answer.
    pub timeout: Span,
}

/// `[hook]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hook {
    /// The template of the unit that is started for each change, such as `page@.service`; empty is
    /// none.
    pub unit: String,
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
            route: BTreeMap::new(),
            sendmail: PathBuf::new(),
            server: "localhost".to_owned(),
            port: 0,
            tls: Tls::None,
            ca_file: PathBuf::new(),
            username: String::new(),
            password_file: PathBuf::new(),
            timeout: Span::from_secs(30),
            report: MailReport::None,
        }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            min_severity: Severity::Warning,
            matching: Match::default(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            top: 10,
        }
    }
}

impl Default for Alertmanager {
    fn default() -> Self {
        Self {
            url: String::new(),
            labels: Vec::new(),
            ca_file: PathBuf::new(),
            username: String::new(),
            password_file: PathBuf::new(),
            timeout: Span::from_secs(30),
        }
    }
}
