//! Letters as finished messages (RFC 5322).

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue, To};
use lettre::message::{
    Attachment, Body, Mailbox, Mailboxes, Message, MultiPart, MultiPartKind, SinglePart,
};

use super::body;
use super::digest::Digest;
use super::html;
use super::letter::Letter;
use super::page::Page;
use super::plot::Plot;
use super::text::{clean_for_header, shorten};
use super::thread::domain;
use crate::alert::Alert;
use crate::config::{self, MailReport};
use crate::report::{self, Report, is_id};

/// So many incidents a digest refers to; a mail program needs no more to find it.
const MAX_REFERENCES: usize = 20;

/// The largest page that is attached, in bytes: less than half of what a mail may have, as letters
/// stand for more of them in a mail.
const MAX_PAGE: usize = 256 << 10;

/// Composes the message of a letter.
///
/// `sequence` is the delivery's. The same letter with the same number gives the same message, to
/// the byte, so that a mail that was sent twice is seen once; all mails of one incident are one
/// thread. Times are told in the system's time zone.
pub fn compose(letter: &Letter<'_>, mail: &config::Mail, sequence: u64) -> Result<Vec<u8>> {
    compose_in(&TimeZone::system(), letter, mail, sequence)
}

/// What is different between the message of one alert and a digest.
struct Content {
    subject: String,
    in_reply_to: Option<String>,
    references: Option<String>,
    id: String,
    severity: String,
    change: String,
    text: String,
    html: String,
    /// The picture, and its Content-ID.
    picture: Option<(Plot, String)>,
    /// The name of a page, and the page.
    page: Option<(String, String)>,
}

fn compose_in(
    zone: &TimeZone,
    letter: &Letter<'_>,
    mail: &config::Mail,
    sequence: u64,
) -> Result<Vec<u8>> {
    let last = letter.stories[letter.stories.len() - 1].last();
    let domain = domain(&last.host);
    let to = letter
        .to
        .iter()
        .map(|address| Ok(Mailbox::from(address.parse::<Address>()?)))
        .collect::<Result<Mailboxes>>()
        .context("reading the addresses of [mail]")?;
    let from = match mail.from.as_str() {
        "" => Address::new("memleakd", &domain),
        address => address.parse(),
    };
    let from = Mailbox::new(
        Some("memleakd".to_owned()),
        from.context("reading mail.from")?,
    );
    let id = letter.id(sequence);
    let content = match &letter.stories[..] {
        [_] => of_one(letter, zone, &format!("curve.{id}@{domain}"), mail.report),
        _ => of_many(letter, zone),
    };
    let message_id = match &letter.stories[..] {
        [story] if story.is_root() => story.thread.root.clone(),
        _ => format!("<{id}@{domain}>"),
    };
    let mut builder = Message::builder()
        .from(from)
        .header(To::from(to))
        // Mail knows no time before 1970.
        .date(last.time.max(Timestamp::UNIX_EPOCH).into())
        .subject(content.subject)
        .message_id(Some(message_id));
    if let Some(root) = content.in_reply_to {
        builder = builder.in_reply_to(root);
    }
    if let Some(references) = content.references {
        builder = builder.references(references);
    }
    let list = format!("memleakd alerts <memleakd.{domain}>");
    let message = builder
        .raw_header(field("Auto-Submitted", "auto-generated"))
        .raw_header(field("X-Auto-Response-Suppress", "All"))
        .raw_header(field("List-Id", &list))
        .raw_header(field("X-Memleakd-Id", &content.id))
        .raw_header(field("X-Memleakd-Severity", &content.severity))
        .raw_header(field("X-Memleakd-Change", &content.change))
        .raw_header(field("X-Memleakd-Changes", &changes(letter)))
        .multipart(alternatives(
            content.text,
            content.html,
            content.picture,
            content.page,
            &id,
        ))
        .context("composing a mail")?;
    Ok(message.formatted())
}

/// Every change that a mail tells, for programs: `ID/CHANGE/TIME`, with commas between them.
fn changes(letter: &Letter<'_>) -> String {
    let changes = letter.stories.iter().flat_map(|story| &story.changes);
    let changes =
        changes.map(|alert| format!("{}/{}/{}", short_id(alert), alert.change, alert.time));
    changes.collect::<Vec<_>>().join(", ")
}

fn of_one(letter: &Letter<'_>, zone: &TimeZone, picture_id: &str, with: MailReport) -> Content {
    let story = &letter.stories[0];
    let alert = story.last();
    let page = Page::of(alert, zone);
    let picture = Plot::of(alert).map(|plot| (plot, picture_id.to_owned()));
    let shown = picture.as_ref().map(|(plot, id)| (plot, id.as_str()));
    let Threading {
        prefix,
        in_reply_to,
    } = threading(story.is_root(), story.is_first, &story.thread.root);
    Content {
        subject: format!("{prefix}{}", story.thread.subject),
        references: in_reply_to.clone(),
        in_reply_to,
        id: short_id(alert),
        severity: alert.severity.to_string(),
        change: alert.change.to_string(),
        text: body::text(&page),
        html: html::html(&page, shown),
        picture,
        page: match with {
            MailReport::None => None,
            MailReport::Attach => attached(alert, zone),
        },
    }
}

/// The page of an alert, of what is in the alert itself: a mail that is composed again is the same.
fn attached(alert: &Alert, zone: &TimeZone) -> Option<(String, String)> {
    let mut report = Report {
        sites: alert.sites.clone(),
        ..Report::of(alert)
    };
    report.tell(alert, None);
    let page = report::page::page(&report, zone);
    let name = if is_id(&alert.id) { &alert.id } else { "alert" };
    (page.len() <= MAX_PAGE).then(|| (format!("memleakd-{name}.html"), page))
}

fn of_many(letter: &Letter<'_>, zone: &TimeZone) -> Content {
    let digest = Digest::of(&letter.stories, zone);
    let stories = letter.stories.iter();
    let roots = stories.clone().map(|story| story.thread.root.as_str());
    let roots: Vec<_> = roots.take(MAX_REFERENCES).collect();
    let ids = stories.clone().map(|story| short_id(story.last()));
    let ids: Vec<_> = ids.take(MAX_REFERENCES).collect();
    let severity = stories.map(|story| story.last().severity).max();
    Content {
        in_reply_to: None,
        references: Some(roots.join(" ")),
        id: ids.join(" "),
        severity: severity.map(|most| most.to_string()).unwrap_or_default(),
        change: "digest".to_owned(),
        text: digest.text(),
        html: digest.html(),
        subject: digest.subject,
        picture: None,
        page: None,
    }
}

/// How a mail is tied to the others of its incident.
struct Threading {
    prefix: &'static str,
    in_reply_to: Option<String>,
}

fn threading(is_root: bool, is_first: bool, root: &str) -> Threading {
    let in_reply_to = (!is_root).then(|| root.to_owned());
    let prefix = match is_root || is_first {
        true => "",
        false => "Re: ",
    };
    Threading {
        prefix,
        in_reply_to,
    }
}

fn short_id(alert: &Alert) -> String {
    shorten(&clean_for_header(&alert.id), 200)
}

/// The text, and the HTML with its picture.
///
/// What separates the parts follows from the message, so that it is the same when it is composed
/// again. No part can hold it, as "=" is always encoded in them.
fn alternatives(
    text: String,
    html: String,
    picture: Option<(Plot, String)>,
    page: Option<(String, String)>,
    id: &str,
) -> MultiPart {
    let Some((name, page)) = page else {
        return message(text, html, picture, id);
    };
    let all = MultiPart::builder()
        .kind(MultiPartKind::Mixed)
        .boundary(boundary("mixed", id));
    let page = Attachment::new(name).body(page, ContentType::TEXT_HTML);
    all.multipart(message(text, html, picture, id))
        .singlepart(page)
}

fn boundary(name: &str, id: &str) -> String {
    let id: String = id.chars().take(40).collect();
    format!("=_{name}_{id}")
}

fn message(text: String, html: String, picture: Option<(Plot, String)>, id: &str) -> MultiPart {
    let part = |text, kind| {
        SinglePart::builder()
            .header(kind)
            .body(quoted_printable(text))
    };
    let start = |kind, name| MultiPart::builder().kind(kind).boundary(boundary(name, id));
    let alternatives = start(MultiPartKind::Alternative, "alternatives")
        .singlepart(part(text, ContentType::TEXT_PLAIN));
    let html = part(html, ContentType::TEXT_HTML);
    let Some((plot, id)) = picture else {
        return alternatives.singlepart(html);
    };
    let png = ContentType::parse("image/png").expect("is a media type");
    let picture = Attachment::new_inline_with_name(id, "growth.png".to_owned()).body(plot.png, png);
    let related = start(MultiPartKind::Related, "related");
    alternatives.multipart(related.singlepart(html).singlepart(picture))
}

fn quoted_printable(text: String) -> Body {
    let encoding = ContentTransferEncoding::QuotedPrintable;
    Body::new_with_encoding(text, encoding).expect("any text can be quoted-printable")
}

fn field(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Point;
    use crate::mail::fixture::leak;
    use crate::mail::{Told, letters};
    use proptest::prelude::*;

    fn mail() -> config::Mail {
        config::Mail {
            to: vec!["ops@example.org".to_owned()],
            ..config::Mail::default()
        }
    }

    fn composed(changes: &[Alert]) -> String {
        let letters = letters(changes, &mail(), &Told::default());
        assert_eq!(letters.len(), 1);
        let message = compose_in(&TimeZone::UTC, &letters[0], &mail(), 1).expect("composes");
        String::from_utf8(message).expect("is ASCII")
    }

    #[test]
    fn the_same_letter_is_the_same_message() {
        let curve = [(60.0, 1), (0.0, 2)]
            .map(|(secs_ago, bytes)| Point { secs_ago, bytes })
            .to_vec();
        let drawn = Alert { curve, ..leak() };
        let other = Alert {
            id: "0123456789ab".to_owned(),
            ..leak()
        };
        for changes in [vec![drawn.clone()], vec![drawn, other]] {
            assert_eq!(composed(&changes), composed(&changes));
        }
    }

    #[test]
    fn a_page_is_attached_if_that_is_wished_and_the_same_again() {
        let curve = [(60.0, 1), (0.0, 2)]
            .map(|(secs_ago, bytes)| Point { secs_ago, bytes })
            .to_vec();
        let drawn = Alert { curve, ..leak() };
        let with = |report, changes: &[Alert]| {
            let mail = config::Mail { report, ..mail() };
            let letters = letters(changes, &mail, &Told::default());
            let message = compose_in(&TimeZone::UTC, &letters[0], &mail, 1).expect("composes");
            String::from_utf8(message).expect("is ASCII")
        };
        let attach = |changes: &[Alert]| with(MailReport::Attach, changes);
        let one = attach(std::slice::from_ref(&drawn));
        for expected in [
            "multipart/mixed",
            "Content-Disposition: attachment; filename=\"memleakd-5c0f3a91d27e.html\"",
            "growth.png",
        ] {
            assert!(one.contains(expected), "{expected}: {one}");
        }
        assert_eq!(one, attach(std::slice::from_ref(&drawn)));
        assert!(one.len() < 128 << 10 && one.lines().all(|line| line.len() <= 998));
        let other = Alert {
            id: "0123456789ab".to_owned(),
            ..leak()
        };
        for without in [
            with(MailReport::None, std::slice::from_ref(&drawn)),
            attach(&[drawn, other]),
        ] {
            assert!(!without.contains("attachment"), "{without}");
        }
    }

    #[test]
    fn a_digest_refers_to_so_many_and_no_more() {
        let alerts: Vec<_> = (0..200)
            .map(|number| Alert {
                id: format!("{number:012x}"),
                ..leak()
            })
            .collect();
        let message = composed(&alerts);
        let (header, _) = message.split_once("\r\n\r\n").expect("has a body");
        let header = header.replace("\r\n ", " ");
        let references = header
            .lines()
            .find_map(|line| line.strip_prefix("References: "))
            .expect("has references");
        assert_eq!(references.split_whitespace().count(), MAX_REFERENCES);
        assert!(message.lines().all(|line| line.len() <= 998));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn names_break_no_header(name in "(\\PC|[\r\n\t=?<>@,:;\u{1b}\u{7f}\u{202e}]){0,300}", mixed in any::<bool>(), digest in any::<bool>()) {
            let host = if mixed { name.clone() } else { "db1".to_owned() };
            let alert = Alert { comm: name.clone(), unit: Some(name.clone()), id: name.clone(), message: name, host, ..leak() };
            let mut changes = vec![alert];
            changes.extend(digest.then(leak));
            let message = composed(&changes);
            prop_assert!(message.is_ascii());
            prop_assert!(!message.replace("\r\n", "").contains(|c: char| c.is_control()));
            let (header, _) = message.split_once("\r\n\r\n").expect("has a body");
            let fields = header.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
            let names: Vec<_> = fields.map(|field| field.split_once(": ").map(|(name, _)| name)).collect();
            prop_assert_eq!(names.len(), if digest { 15 } else { 14 }, "{:?}", names);
            prop_assert!(names.iter().all(Option::is_some), "{:?}", names);
            prop_assert!(message.lines().all(|line| line.len() <= 998));
        }
    }
}
