//! What ties mails together: the Message-IDs and the subject of an incident, and file names.
//!
//! All of it follows from the alert, so that a mail that is written or sent twice is the same mail.

use lettre::Address;
use serde::{Deserialize, Serialize};

use super::text::{clean, clean_for_header, shorten};
use crate::alert::{Alert, Change};
use crate::sample::Source;

/// What a subject has room for, in characters, beside the `Re: ` of the later ones.
const MAX_SUBJECT: usize = 74;

/// What all mails of one incident have in common.
///
/// An incident is an alert from raised to cleared. The next one of the same leak is another, as is
/// one that is raised anew because the state directory was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Thread {
    /// The Message-ID of its first mail, in angle brackets.
    pub root: String,
    /// Its subject, without the `Re: ` of later mails.
    pub subject: String,
}

impl Thread {
    /// The thread that an alert's first mail begins.
    pub fn of(alert: &Alert) -> Self {
        Self {
            root: format!("<{}@{}>", incident(alert), domain(&alert.host)),
            subject: subject(alert),
        }
    }
}

/// What tells an incident from all others of this host, fit to be part of a file name.
pub(super) fn incident(alert: &Alert) -> String {
    format!("{}.{}", label(&alert.id), alert.raised.as_millisecond())
}

/// The name of a change among all changes of all incidents, fit to be a file name.
///
/// Numbers start again when the state directory is lost; the time does not.
pub(super) fn change_name(alert: &Alert, sequence: u64) -> String {
    let at = alert.time.as_millisecond();
    match alert.change {
        // The only one of its kind in an incident.
        Change::Raised => incident(alert),
        change => format!("{}.{change}.{sequence}.{at}", incident(alert)),
    }
}

/// The name of a digest: of what was said to whom, and when.
pub(super) fn digest_name(last: &Alert, to: &[String], sequence: u64) -> String {
    let at = last.time.as_millisecond();
    format!("digest.{sequence}.{at}.{:016x}", hash(&to.join("\n")))
}

/// An identity where it fits into a Message-ID and a file name, else what fits of it and a hash.
fn label(id: &str) -> String {
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
    format!("{readable}.{:016x}", hash(id))
}

/// FNV-1a, because the standard library's hashes may differ from one release to the next.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The host's name as a mail domain; one that cannot be is `localhost`.
pub(super) fn domain(host: &str) -> String {
    let domain: String = host
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() || c == '.' {
            true => c,
            false => '-',
        })
        .collect();
    let domain = domain.trim_matches(['-', '.']);
    match Address::new("memleakd", domain) {
        Ok(_) => domain.to_owned(),
        Err(_) => "localhost".to_owned(),
    }
}

/// `[memleakd] db1: postgres (postgresql.service) leaks memory`: nothing in it changes while the
/// incident lasts, as mail programs sort by it.
fn subject(alert: &Alert) -> String {
    let what = match alert.source {
        Source::Kernel => "leaks kernel memory",
        Source::Pages | Source::Heap => "leaks memory",
    };
    let start = "[memleakd] ";
    let place = alert.user_unit.as_ref().or(alert.unit.as_ref());
    let place = place.or(alert.container.as_ref());
    let place = place.map(|place| clean_for_header(place));
    let place = place.filter(|place| !place.is_empty());
    let (host, comm) = (clean_for_header(&alert.host), clean_for_header(&alert.comm));
    // Names give way to what has happened: the host's to half of the room where it needs more than
    // the others leave, and the place to what the others need.
    let room = MAX_SUBJECT.saturating_sub(start.len() + 3 + what.len());
    let n_chars = |text: &str| text.chars().count();
    let n_place = place.as_deref().map_or(0, |place| n_chars(place) + 3);
    let rest = room.saturating_sub(n_chars(&comm) + n_place);
    let host = shorten(&host, (room / 2).max(rest));
    let room = room - n_chars(&host);
    let who = match place {
        Some(place) => {
            let comm = shorten(&comm, 15);
            let room = room.saturating_sub(n_chars(&comm) + 3);
            format!("{comm} ({})", shorten(&place, room))
        }
        None => shorten(&comm, room),
    };
    clean(&format!("{start}{host}: {who} {what}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::mail::fixture::leak;

    #[test]
    fn the_subject_says_where_who_and_what() {
        let kernel = Alert {
            source: Source::Kernel,
            unit: None,
            ..leak()
        };
        let editor = Alert {
            user_unit: Some("editor.service".to_owned()),
            unit: Some("user@1000.service".to_owned()),
            ..leak()
        };
        let far = Alert {
            host: "a-very-long-name-of-a-host.in-a-rack.example.org".to_owned(),
            ..leak()
        };
        let long = Alert {
            unit: Some(format!("{}.service", "long-".repeat(20))),
            ..leak()
        };
        for (alert, expected) in [
            (
                leak(),
                "[memleakd] db1: postgres (postgresql.service) leaks memory",
            ),
            (kernel, "[memleakd] db1: postgres leaks kernel memory"),
            (
                editor,
                "[memleakd] db1: postgres (editor.service) leaks memory",
            ),
            (
                far,
                "[memleakd] a-very-long-…example.org: postgres (postgr…ervice) leaks memory",
            ),
            (
                long,
                "[memleakd] db1: postgres (long-long-long-lo…ng-long-.service) leaks memory",
            ),
        ] {
            let subject = subject(&alert);
            assert_eq!(subject, expected);
            assert!(subject.chars().count() <= MAX_SUBJECT);
        }
    }

    #[test]
    fn what_changes_in_an_incident_changes_neither_thread_nor_subject() {
        let later = Alert {
            change: Change::Cleared,
            time: Timestamp::MAX,
            pid: 4,
            bytes: 1,
            growth_bytes_per_sec: 0.0,
            severity: crate::config::Severity::Critical,
            ..leak()
        };
        assert_eq!(Thread::of(&leak()), Thread::of(&later));
        let next = Alert {
            raised: Timestamp::UNIX_EPOCH,
            ..leak()
        };
        assert_ne!(Thread::of(&leak()).root, Thread::of(&next).root);
    }

    #[test]
    fn the_same_change_has_the_same_name_and_no_other() {
        let with = |change| Alert { change, ..leak() };
        let id = |id: &str| Alert {
            id: id.to_owned(),
            ..leak()
        };
        let reminded = with(Change::Reminded);
        let later = Alert {
            time: Timestamp::UNIX_EPOCH,
            ..reminded.clone()
        };
        let people = ["a@x".to_owned(), "b@x".to_owned()];
        let names = [
            change_name(&leak(), 1),
            change_name(&reminded, 1),
            change_name(&reminded, 2),
            change_name(&later, 1),
            change_name(&with(Change::Cleared), 1),
            change_name(&id("5c0f3a91d27e:"), 1),
            change_name(&id(&"x/../".repeat(1000)), 1),
            digest_name(&leak(), &people, 1),
            digest_name(&leak(), &people[..1], 1),
            digest_name(&leak(), &people, 2),
            digest_name(&later, &people, 1),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
            assert!(name.len() <= 190 && !name.contains('/'), "{name}");
        }
        assert_eq!(change_name(&leak(), 1), change_name(&leak(), 9));
        // What makes a thread is there for years: in the mail boxes of those who got it.
        for (id, expected) in [
            ("5c0f3a91d27e", "5c0f3a91d27e"),
            (
                "default:postgresql.service",
                "default-postgresql-service.df44cc65b7d97973",
            ),
            ("", "-.af63a04c86018698"),
        ] {
            assert_eq!(label(id), expected);
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
}
