//! What an entry says: the fields of an alert, and what journald and journalctl know what to do with.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::alert::{Alert, Change, Reason};
use crate::collect::Host;
use crate::config::Severity;
use crate::site::words::{IN_ALERT, lines};

/// Of whom an entry is, besides of the daemon: it shows under the offender's unit, too. journald
/// honours this from uid 0 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    /// The process lives: journald looks up its unit, its user and its executable.
    Process,
    /// It does not, or its number is another's by now: what is known of its unit has to do.
    Unit,
}

impl Object {
    /// As it is now; a change may have waited.
    pub(super) fn of(alert: &Alert, host: &Host) -> Self {
        let lives = host
            .start_time_ticks(alert.pid)
            .is_ok_and(|started| started == alert.start_time);
        match lives && !alert.reason.is_some_and(Reason::is_end) {
            true => Self::Process,
            false => Self::Unit,
        }
    }
}

/// The identity of a kind of change: fixed for ever, see `journalctl MESSAGE_ID=…`.
///
/// Each has an entry in `packaging/usr/lib/systemd/catalog/memleakd.catalog`.
pub fn message_id(change: Change) -> &'static str {
    match change {
        Change::Raised => "8cfacbc0f4424276a4fc02126ce7ac04",
        Change::Escalated => "f3967603f06c4163a150711427390b75",
        Change::Reminded => "b437face36a24c88990f2891ee42be6a",
        Change::Updated => "dcaa0b7d25414895a38a9045e243941f",
        Change::Cleared => "9f7f8863ed644029b2e79263f90fcea7",
    }
}

/// The entry of a change: every field of the alert as `MEMLEAKD_*` but for its curve, which nobody
/// reads in digits.
pub(super) fn entry(alert: &Alert, sequence: u64, object: Object) -> Result<Vec<u8>> {
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
        // With the id and the time, what tells an entry that was sent twice.
        ("MEMLEAKD_SEQUENCE", &sequence.to_string()),
    ] {
        put(&mut entry, name, value);
    }
    match object {
        Object::Process => put(&mut entry, "OBJECT_PID", &alert.pid.to_string()),
        Object::Unit => {
            let known = [
                ("OBJECT_SYSTEMD_UNIT", &alert.unit),
                ("OBJECT_SYSTEMD_USER_UNIT", &alert.user_unit),
            ];
            for (name, unit) in known {
                unit.iter().for_each(|unit| put(&mut entry, name, unit));
            }
            put(&mut entry, "OBJECT_UID", &alert.uid.to_string());
        }
    }
    put(&mut entry, "MEMLEAKD_STACKS", &stacks(alert));
    let Value::Object(fields) =
        serde_json::to_value(alert).context("writing an alert as fields")?
    else {
        return Ok(entry);
    };
    for (name, value) in &fields {
        let text = match value {
            _ if ["message", "curve"].contains(&name.as_str()) => continue,
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

/// The sites in words. There is always something, as the catalog shows it.
fn stacks(alert: &Alert) -> String {
    match (&alert.sites[..], &alert.sites_missing) {
        ([], Some(why)) => format!("not known: {why}"),
        ([], None) => "not known".to_owned(),
        (sites, _) => lines(sites, IN_ALERT).join("\n"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;
    use crate::alert::{Point, Reason};
    use crate::site::{Frame, Site};

    /// The field of an entry as the protocol writes it.
    fn field(name: &str, value: &str) -> Vec<u8> {
        let mut field = Vec::new();
        put(&mut field, name, value);
        field
    }

    fn has(entry: &[u8], field: &[u8]) -> bool {
        entry.windows(field.len()).any(|window| window == field)
    }

    #[test]
    fn values_of_several_lines_have_their_length() {
        assert_eq!(field("A", "b"), b"A=b\n");
        assert_eq!(field("A", "b\nc"), b"A\n\x03\0\0\0\0\0\0\0b\nc\n");
    }

    #[test]
    fn an_entry_is_of_the_process_that_lives_or_of_its_unit() {
        let alive = Alert {
            pid: std::process::id(),
            start_time: Host::new("/")
                .start_time_ticks(std::process::id())
                .expect("this process"),
            ..alert()
        };
        let ended = Some(Reason::Exited);
        for (alert, object) in [
            (alive.clone(), Object::Process),
            (
                Alert {
                    reason: ended,
                    ..alive.clone()
                },
                Object::Unit,
            ),
            // Its number has another process now.
            (
                Alert {
                    start_time: alive.start_time + 1,
                    ..alive
                },
                Object::Unit,
            ),
        ] {
            assert_eq!(Object::of(&alert, &Host::new("/")), object, "{alert:?}");
            let entry = entry(&alert, 7, object).expect("an entry");
            let of_process = field("OBJECT_PID", &alert.pid.to_string());
            let of_unit = field("OBJECT_SYSTEMD_UNIT", "postgresql.service");
            assert_eq!(has(&entry, &of_process), object == Object::Process);
            assert_eq!(has(&entry, &of_unit), object == Object::Unit);
            assert!(has(&entry, b"MEMLEAKD_SEQUENCE=7\n"));
        }
    }

    #[test]
    fn sites_are_told_in_words_as_well_and_the_curve_is_not() {
        let frame = Frame {
            function: Some("parse_row".to_owned()),
            ..Frame::default()
        };
        let alert = Alert {
            sites: vec![Site {
                bytes: 2 << 20,
                count: 3,
                frames: vec![frame],
                ..Site::default()
            }],
            curve: vec![Point {
                secs_ago: 1.0,
                bytes: 1,
            }],
            ..alert()
        };
        let entry = entry(&alert, 1, Object::Unit).expect("an entry");
        let stacks = "2 MiB in 3 blocks, allocated by\n  parse_row";
        assert!(has(&entry, &field("MEMLEAKD_STACKS", stacks)));
        assert!(has(&entry, b"\nMEMLEAKD_SITES=[{"));
        assert!(!has(&entry, b"MEMLEAKD_CURVE"));
        let alert = Alert {
            sites: Vec::new(),
            sites_missing: Some("its stacks are not wanted".to_owned()),
            ..alert
        };
        let entry = self::entry(&alert, 1, Object::Unit).expect("an entry");
        let stacks = "not known: its stacks are not wanted";
        assert!(has(&entry, &field("MEMLEAKD_STACKS", stacks)));
    }
}
