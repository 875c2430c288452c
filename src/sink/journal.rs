//! Alerts as journal entries, by journald's native protocol.
//!
//! Protocol: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. tracing-journald carries the daemon's
//! log lines, but not these: its fields are fixed at compile time and it drops errors.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Delivery, Sink};
use crate::alert::{Alert, Change, Reason};
use crate::config::Severity;

/// The journal.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Sends to the socket at `path`, which may come and go.
    pub fn new(path: PathBuf) -> Result<Self> {
        let socket = UnixDatagram::unbound().context("making a socket for the journal")?;
        // A journal that does not read must not hold up the thread: what does not fit is tried again.
        socket
            .set_nonblocking(true)
            .context("making the journal's socket non-blocking")?;
        Ok(Self { socket, path })
    }
}

impl Sink for Journal {
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        for change in &delivery.changes {
            let entry = entry(change)?;
            self.socket.send_to(&entry, &self.path).with_context(|| {
                format!("sending an alert to the journal at {}", self.path.display())
            })?;
        }
        Ok(())
    }
}

/// The identity of a kind of change: fixed for ever, see `journalctl MESSAGE_ID=…`.
pub fn message_id(change: Change) -> &'static str {
    match change {
        Change::Raised => "8cfacbc0f4424276a4fc02126ce7ac04",
        Change::Escalated => "f3967603f06c4163a150711427390b75",
        Change::Reminded => "b437face36a24c88990f2891ee42be6a",
        Change::Updated => "dcaa0b7d25414895a38a9045e243941f",
        Change::Cleared => "9f7f8863ed644029b2e79263f90fcea7",
    }
}

/// The entry of a change: every field of the alert as `MEMLEAKD_*`, and what journald and
/// journalctl know what to do with.
fn entry(alert: &Alert) -> Result<Vec<u8>> {
    let priority = match (alert.change, alert.severity) {
        (Change::Cleared, _) => "5",
        (_, Severity::Warning) => "4",
        (_, Severity::Critical) => "2",
    };
    let mut entry = Vec::new();
    for (name, value) in [
        ("MESSAGE", alert.message.as_str()),
        ("PRIORITY", priority),
        ("MESSAGE_ID", message_id(alert.change)),
        ("SYSLOG_IDENTIFIER", "memleakd"),
        ("DOCUMENTATION", "man:memleakd(8)"),
    ] {
        put(&mut entry, name, value);
    }
    // By these the entry shows under the offender's unit, too. Only honoured from uid 0.
    if alert.reason.is_some_and(Reason::is_end) {
        // A process that has ended has left nothing that journald could look up.
        for (name, unit) in [
            ("OBJECT_SYSTEMD_UNIT", &alert.unit),
            ("OBJECT_SYSTEMD_USER_UNIT", &alert.user_unit),
        ] {
            unit.iter().for_each(|unit| put(&mut entry, name, unit));
        }
    } else {
        put(&mut entry, "OBJECT_PID", &alert.pid.to_string());
    }
    let Value::Object(fields) =
        serde_json::to_value(alert).context("writing an alert as fields")?
    else {
        return Ok(entry);
    };
    for (name, value) in fields.iter().filter(|(name, _)| *name != "message") {
        let text = match value {
            Value::Null => continue,
            Value::Array(items) if items.is_empty() => continue,
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        put(
            &mut entry,
            &format!("MEMLEAKD_{}", name.to_uppercase()),
            &text,
        );
    }
    Ok(entry)
}

/// One field. A value with line breaks is given with its length.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}
