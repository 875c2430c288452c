//! One change of one alert as a finished message.

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, To};
use lettre::message::{Mailbox, Mailboxes, Message, SinglePart};

use super::body;
use super::facts::span;
use super::text::{clean, clean_for_header, shorten};
use crate::alert::{Alert, Change, Reason, State};
use crate::config;
use crate::config::Severity;
use crate::quantity::Rate;

/// What a subject has room for, in characters.
const MAX_SUBJECT: usize = 78;

/// Composes the mail that tells of one change, for everybody in `mail.to`.
///
/// `sequence` numbers the changes of an alert. The same change with the same number gives the
/// same Message-ID, so that a mail that was sent twice is seen once; all mails of one alert are
/// one thread. Times are told in the system's time zone. To nobody is an error: the caller looks
/// at `mail.to` first.
pub fn compose(alert: &Alert, mail: &config::Mail, sequence: u64) -> Result<Vec<u8>> {
    compose_in(&TimeZone::system(), alert, mail, sequence)
}

/// The name of a change among all changes of all alerts, fit to be a file name.
///
/// The change waits in the spool under this name, and its Message-ID begins with it.
pub fn name(alert: &Alert, sequence: u64) -> String {
    format!(
        "{}.{}.{sequence}.{}",
        root(&alert.id),
        alert.change,
        alert.time.as_millisecond()
    )
}

fn compose_in(
    zone: &TimeZone,
    alert: &Alert,
    mail: &config::Mail,
    sequence: u64,
) -> Result<Vec<u8>> {
    let domain = domain(&alert.host);
    let thread = format!("<{}@{domain}>", root(&alert.id));
    let to = mail
        .to
        .iter()
        .map(|address| Ok(Mailbox::from(address.parse::<Address>()?)))
        .collect::<Result<Mailboxes>>()
        .context("reading mail.to")?;
    let from = match mail.from.as_str() {
        "" => Address::new("memleakd", &domain),
        address => address.parse(),
    };
    let from = Mailbox::new(
        Some("memleakd".to_owned()),
        from.context("reading mail.from")?,
    );
    let id = shorten(&clean_for_header(&alert.id), 200);
    let text = body::text(alert, zone);
    let message = Message::builder()
        .from(from)
        .header(To::from(to))
        // Mail knows no time before 1970.
        .date(alert.time.max(Timestamp::UNIX_EPOCH).into())
        .subject(subject(alert))
        .message_id(Some(format!("<{}@{domain}>", name(alert, sequence))))
        .in_reply_to(thread.clone())
        .references(thread)
        .raw_header(field("Auto-Submitted", "auto-generated"))
        .raw_header(field("X-Auto-Response-Suppress", "All"))
        .raw_header(field(
            "List-Id",
            &format!("memleakd alerts <memleakd.{domain}>"),
        ))
        .raw_header(field("X-Memleakd-Id", &id))
        .raw_header(field("X-Memleakd-Severity", &alert.severity.to_string()))
        .raw_header(field("X-Memleakd-Change", &alert.change.to_string()))
        .singlepart(
            SinglePart::builder()
                .header(ContentType::TEXT_PLAIN)
                .body(text),
        )
        .context("composing a mail")?;
    Ok(message.formatted())
}

fn field(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// What all changes of an alert have in common: its identity where that fits into a Message-ID
/// and a file name, else what fits of it and a hash.
fn root(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=40).contains(&id.len()) && id.chars().all(is_plain) {
        return id.to_owned();
    }
    let id = if id.is_empty() { "-" } else { id };
    let readable: String = id
        .chars()
        .take(40)
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    // FNV-1a, because the standard library's hashes may differ from one release to the next.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{readable}.{hash:016x}")
}

/// The host's name as a mail domain; one that cannot be is `localhost`.
fn domain(host: &str) -> String {
    let domain: String = host
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let domain = domain.trim_matches(['-', '.']);
    match Address::new("memleakd", domain) {
        Ok(_) => domain.to_owned(),
        Err(_) => "localhost".to_owned(),
    }
}

/// `[memleakd] WARNING db1: postgres (812) grows 12 MiB/min`.
fn subject(alert: &Alert) -> String {
    let rate = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec);
    let (word, what) = match (alert.change, alert.reason) {
        (Change::Cleared, Some(Reason::Exited)) => ("CLEARED", "has ended".to_owned()),
        (Change::Cleared, Some(Reason::Restarted)) => ("CLEARED", "was restarted".to_owned()),
        (Change::Cleared, Some(Reason::OomKilled)) => {
            ("CLEARED", "was killed as memory ran out".to_owned())
        }
        (Change::Cleared, Some(Reason::RuleChanged)) => {
            ("CLEARED", "is no longer watched".to_owned())
        }
        (Change::Cleared, _) => ("CLEARED", "stopped growing".to_owned()),
        _ if alert.state == State::Stale => {
            (word(alert.severity), "is not seen any more".to_owned())
        }
        (Change::Reminded, _) => (word(alert.severity), format!("still grows {rate}")),
        _ => (word(alert.severity), format!("grows {rate}")),
    };
    let start = format!("[memleakd] {word} ");
    let end = format!(" ({}) {what}", alert.pid);
    let host = clean_for_header(&alert.host);
    let comm = clean_for_header(&alert.comm);
    // Names give way to what was measured, the longer one first.
    let room = MAX_SUBJECT.saturating_sub(start.chars().count() + 2 + end.chars().count());
    let (n_host, n_comm) = (host.chars().count(), comm.chars().count());
    let host = shorten(&host, (room / 2).max(room.saturating_sub(n_comm)));
    let comm = shorten(&comm, (room - room / 2).max(room.saturating_sub(n_host)));
    let subject = clean(&format!("{start}{host}: {comm}{end}"));
    let left = alert
        .exhausts_in_secs
        .filter(|_| alert.severity == Severity::Critical && alert.change != Change::Cleared)
        .filter(|_| alert.state != State::Stale);
    let left = left.map(|secs| format!(", {} left", span(secs as f64)));
    match left {
        Some(left) if subject.chars().count() + left.chars().count() <= MAX_SUBJECT => {
            subject + &left
        }
        _ => subject,
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::leak;
    use proptest::prelude::*;

    fn mail() -> config::Mail {
        config::Mail {
            to: vec!["ops@example.org".to_owned()],
            ..config::Mail::default()
        }
    }

    #[test]
    fn the_subject_says_how_bad_where_who_and_what() {
        let critical = Alert {
            severity: Severity::Critical,
            change: Change::Escalated,
            ..leak()
        };
        let cleared = Alert {
            change: Change::Cleared,
            severity: Severity::Critical,
            ..leak()
        };
        for (alert, expected) in [
            (
                leak(),
                "[memleakd] WARNING db1: postgres (812) grows 12 MiB/min",
            ),
            (
                Alert {
                    change: Change::Reminded,
                    ..leak()
                },
                "[memleakd] WARNING db1: postgres (812) still grows 12 MiB/min",
            ),
            (
                critical.clone(),
                "[memleakd] CRITICAL db1: postgres (812) grows 12 MiB/min, 1 h 10 min left",
            ),
            (
                Alert {
                    host: "db1.rack7.example.org".to_owned(),
                    ..critical
                },
                "[memleakd] CRITICAL db1.rack7.example.org: postgres (812) grows 12 MiB/min",
            ),
            (
                Alert {
                    host: "a-very-long-name-of-a-host.in-a-rack.example.org".to_owned(),
                    ..leak()
                },
                "[memleakd] WARNING a-very-long-n….example.org: postgres (812) grows 12 MiB/min",
            ),
            (
                cleared.clone(),
                "[memleakd] CLEARED db1: postgres (812) stopped growing",
            ),
            (
                Alert {
                    reason: Some(Reason::Exited),
                    ..cleared.clone()
                },
                "[memleakd] CLEARED db1: postgres (812) has ended",
            ),
            (
                Alert {
                    reason: Some(Reason::OomKilled),
                    ..cleared.clone()
                },
                "[memleakd] CLEARED db1: postgres (812) was killed as memory ran out",
            ),
            (
                Alert {
                    change: Change::Updated,
                    state: State::Stale,
                    severity: Severity::Critical,
                    ..leak()
                },
                "[memleakd] CRITICAL db1: postgres (812) is not seen any more",
            ),
            (
                Alert {
                    reason: Some(Reason::RuleChanged),
                    ..cleared
                },
                "[memleakd] CLEARED db1: postgres (812) is no longer watched",
            ),
        ] {
            assert_eq!(subject(&alert), expected);
        }
    }

    #[test]
    fn the_same_change_has_the_same_name_and_no_other() {
        let composed = compose_in(&TimeZone::UTC, &leak(), &mail(), 1).expect("composes");
        assert_eq!(
            compose_in(&TimeZone::UTC, &leak(), &mail(), 1).expect("composes"),
            composed
        );
        let names = [
            name(&leak(), 1),
            name(&leak(), 2),
            name(
                &Alert {
                    change: Change::Cleared,
                    ..leak()
                },
                1,
            ),
            name(
                &Alert {
                    time: Timestamp::UNIX_EPOCH,
                    ..leak()
                },
                1,
            ),
            name(
                &Alert {
                    id: "5c0f3a91d27e:".to_owned(),
                    ..leak()
                },
                1,
            ),
            name(
                &Alert {
                    id: "x/../".repeat(1000),
                    ..leak()
                },
                1,
            ),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
            assert!(name.len() <= 200 && !name.contains('/'), "{name}");
        }
        // What makes a thread is there for years: in the mail boxes of those who got it.
        for (id, expected) in [
            ("5c0f3a91d27e", "5c0f3a91d27e"),
            (
                "default:postgresql.service",
                "default-postgresql-service.df44cc65b7d97973",
            ),
            ("", "-.af63a04c86018698"),
        ] {
            assert_eq!(root(id), expected);
        }
    }

    #[test]
    fn any_host_gives_a_domain() {
        for (host, expected) in [
            ("db1", "db1"),
            ("db1.example.org", "db1.example.org"),
            ("my_host", "my-host"),
            ("größe", "gr--e"),
            ("-x.", "x"),
            ("x>\r\nBcc: y@z", "x---Bcc--y-z"),
            ("a..b", "localhost"),
            ("", "localhost"),
            ("(none)", "none"),
        ] {
            assert_eq!(domain(host), expected, "{host:?}");
        }
        assert_eq!(domain(&"x".repeat(70)), "localhost");
    }

    #[test]
    fn to_nobody_is_an_error() {
        assert!(compose(&leak(), &config::Mail::default(), 1).is_err());
    }

    proptest! {
        #[test]
        fn names_break_no_header(name in "(\\PC|[\r\n\t=?<>@,:;\u{1b}\u{7f}\u{202e}]){0,300}", mixed in any::<bool>()) {
            let host = if mixed { name.clone() } else { "db1".to_owned() };
            let alert = Alert { comm: name.clone(), id: name.clone(), message: name, host, ..leak() };
            let message = compose_in(&TimeZone::UTC, &alert, &mail(), 1).expect("composes");
            let message = String::from_utf8(message).expect("is ASCII");
            prop_assert!(message.is_ascii());
            prop_assert!(!message.replace("\r\n", "").contains(|c: char| c.is_control()));
            let (header, _) = message.split_once("\r\n\r\n").expect("has a body");
            let fields = header.split("\r\n").filter(|line| !line.starts_with(' '));
            let names: Vec<_> = fields.map(|field| field.split_once(": ").map(|(name, _)| name)).collect();
            prop_assert_eq!(names.len(), 16);
            prop_assert!(names.iter().all(Option::is_some), "{:?}", names);
            prop_assert!(message.lines().all(|line| line.len() <= 998));
        }
    }
}
