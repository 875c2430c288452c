//! What arrives is what was meant.

use memleakd::alert::{Alert, Change, Point, Reason};
use memleakd::config::Severity;
use memleakd::site::{Frame, Site};
use serde_json::json;

use super::post::{FILE, Post, SENT, leak, reminded};
use super::server::Server;
use super::{header, messages};

#[test]
fn an_alert_arrives_as_it_was_meant() {
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    post.put(&leak(), 1);
    assert_eq!(post.waiting(), [FILE]);
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting()), (SENT, vec![]), "{log}");
    assert!(log.contains(&format!("{FILE} is sent")), "{log}");

    let message = server.next("message");
    assert_eq!(message["sender"], "memleakd@db1");
    assert_eq!(
        message["recipients"],
        json!(["night@example.org", "ops@example.org"])
    );
    let expected = [
        ("From", "memleakd <memleakd@db1>"),
        ("To", "night@example.org, ops@example.org"),
        ("Date", "Sun, 22 Nov 2026 02:01:07 +0000"),
        (
            "Subject",
            "[memleakd] db1: postgres (postgresql.service) leaks memory",
        ),
        ("Message-ID", "<5c0f3a91d27e.1795312867000@db1>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("List-Id", "memleakd alerts <memleakd.db1>"),
        ("X-Memleakd-Id", "5c0f3a91d27e"),
        ("X-Memleakd-Severity", "warning"),
        ("X-Memleakd-Change", "raised"),
        (
            "X-Memleakd-Changes",
            "5c0f3a91d27e/raised/2026-11-22T02:01:07Z",
        ),
        ("MIME-Version", "1.0"),
        (
            "Content-Type",
            "multipart/alternative; boundary=\"=_alternatives_5c0f3a91d27e.1795312867000\"",
        ),
    ];
    assert_eq!(
        message["headers"],
        json!(expected.map(|(name, value)| [name, value]))
    );
    assert_eq!(
        message["parts"],
        json!(["multipart/alternative", "text/plain", "text/html"])
    );
    assert_eq!(message["defects"], json!([]));
    let text = message["text"].as_str().expect("is text");
    assert!(
        text.starts_with(
            "WARNING: postgres (pid 812, postgresql.service) leaks memory: it grows by\n12 MiB/min (at least 10 MiB/min), has gained"
        ),
        "{text}"
    );
    assert!(
        text.contains("\n  memleakctl show 5c0f3a91d27e\n"),
        "{text}"
    );
}

#[test]
fn a_cleared_alert_says_that_nothing_needs_doing() {
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    post.put(
        &Alert {
            change: Change::Cleared,
            reason: Some(Reason::Exited),
            ..leak()
        },
        3,
    );
    assert_eq!(post.run(&[]).0, SENT);
    let message = server.next("message");
    assert_eq!(
        header(&message, "Subject"),
        "Re: [memleakd] db1: postgres (postgresql.service) leaks memory"
    );
    for text in [&message["text"], &message["html"]["text"]] {
        let text = text.as_str().expect("is text");
        assert!(
            text.starts_with("CLEARED: ") && text.contains("Nothing needs doing"),
            "{text}"
        );
    }
}

#[test]
fn all_mails_of_an_incident_are_one_thread_and_the_next_incident_another() {
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    let critical = Alert {
        change: Change::Escalated,
        severity: Severity::Critical,
        bytes: 2 << 30,
        pid: 99,
        ..leak()
    };
    let next = Alert {
        raised: "2026-12-01T00:00:00Z".parse().expect("is a time"),
        ..leak()
    };
    for (sequence, alert) in [leak(), critical, reminded(), next].iter().enumerate() {
        post.put(alert, sequence as u64);
    }
    assert_eq!(post.run(&[]).0, SENT);
    let events = server.finish();
    let messages = messages(&events);
    let root = "<5c0f3a91d27e.1795312867000@db1>";
    let subject = "[memleakd] db1: postgres (postgresql.service) leaks memory";
    let mut ids = Vec::new();
    for (message, change, is_later, expected) in [
        (messages[0], "raised", false, subject.to_owned()),
        (messages[1], "escalated", true, format!("Re: {subject}")),
        (messages[2], "reminded", true, format!("Re: {subject}")),
        (messages[3], "raised", false, subject.to_owned()),
    ] {
        assert_eq!(header(message, "X-Memleakd-Change"), change);
        ids.push(header(message, "Message-ID"));
        if is_later {
            for name in ["In-Reply-To", "References"] {
                assert_eq!(header(message, name), root);
            }
        }
        // Without what is told to the first ones: here each is written by a program that knows
        // of no other.
        let subject = header(message, "Subject");
        assert_eq!(
            subject.trim_start_matches("Re: "),
            expected.trim_start_matches("Re: ")
        );
    }
    assert_eq!(ids[0], root);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_curve_arrives_as_a_picture_in_the_page() {
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    let point = |(secs_ago, bytes)| Point { secs_ago, bytes };
    let curve = [(600.0, 1134559232), (300.0, 1196425216), (0.0, 1258291200)].map(point);
    let curve = curve.to_vec();
    let near = Alert {
        curve,
        limit_bytes: Some(1363148800),
        ..leak()
    };
    post.put(&near, 1);
    assert_eq!(post.run(&[]).0, SENT);
    let message = server.next("message");
    assert_eq!(
        message["parts"],
        json!([
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/png"
        ])
    );
    let id = "curve.5c0f3a91d27e.1795312867000@db1";
    assert_eq!(
        message["pictures"],
        json!([{"id": format!("<{id}>"), "size": [960, 280]}])
    );
    let page = &message["html"];
    assert_eq!(page["pictures"], json!([format!("cid:{id}")]));
    assert_eq!(page["faults"], json!([]));
    assert_eq!(message["defects"], json!([]));
    let text = page["text"].as_str().expect("is text");
    assert!(
        text.starts_with("WARNING: postgres (pid 812, postgresql.service) leaks memory")
            && text.contains("Size: 1.1 GiB to 1.2 GiB in 10 min, limit 1.3 GiB"),
        "{text}"
    );
}

#[test]
fn what_comes_together_is_one_digest() {
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    let alerts: Vec<_> = (0..200)
        .map(|number| Alert {
            id: format!("{number:012x}"),
            pid: 1000 + number,
            severity: match number {
                150 => Severity::Critical,
                _ => Severity::Warning,
            },
            ..leak()
        })
        .collect();
    post.put_all(&alerts, 1);
    assert_eq!(post.waiting().len(), 1);
    assert_eq!(post.run(&[]).0, SENT);
    let message = server.next("message");
    assert_eq!(message["defects"], json!([]));
    assert_eq!(
        header(&message, "Subject"),
        "[memleakd] db1: 200 leaks, 1 of them critical"
    );
    assert_eq!(header(&message, "X-Memleakd-Change"), "digest");
    assert_eq!(header(&message, "X-Memleakd-Severity"), "critical");
    let references = header(&message, "References");
    assert_eq!(references.split_whitespace().count(), 20);
    assert!(references.starts_with("<000000000000.1795312867000@db1> <000000000001."));
    assert_eq!(message["html"]["faults"], json!([]));
    for text in [&message["text"], &message["html"]["text"]] {
        let text = text.as_str().expect("is text");
        let critical = text.find("postgres (1150)").expect("is told");
        let warning = text.find("postgres (1000)").expect("is told");
        assert!(text.starts_with("CRITICAL: 200 leaks") && critical < warning);
        assert!(text.contains("And 170 more") && text.contains("memleakctl alerts"));
    }
}

#[test]
fn hostile_names_stay_where_they_belong() {
    let long = "x".repeat(4096);
    let hostile = [
        "a\nb",
        "\u{1b}[2J\u{7}",
        "x\r\nBcc: x@y",
        "x\r\n\r\nBcc: x@y\r\n.\r\n",
        "gpj.\u{202e}exe",
        "=?utf-8?q?=0D=0ABcc:_x=40y?=",
        "größe 😀",
        "<a@b>, c@d",
        "'; reboot; '",
        "</td></table><script>alert(1)</script><img src=\"//x.example/y\">",
        "--=_alternatives_",
        "<!--",
        " ",
        "",
        &long,
    ];
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    for (sequence, name) in hostile.iter().enumerate() {
        let name = (*name).to_owned();
        let alert = Alert {
            id: format!("default:{name}"),
            comm: name.clone(),
            exe: Some(name.clone()),
            unit: Some(name.clone()),
            host: if sequence % 2 == 0 {
                "db1".to_owned()
            } else {
                name.clone()
            },
            message: format!("{name} leaks."),
            sites: vec![Site {
                bytes: 1 << 20,
                count: 1,
                frames: vec![Frame {
                    function: Some(name.clone()),
                    file: Some(name.clone()),
                    ..Frame::default()
                }],
                ..Site::default()
            }],
            severity: Severity::Critical,
            ..leak()
        };
        post.put(&alert, sequence as u64);
    }
    let (status, log) = post.run(&[]);
    assert_eq!(status, SENT, "{log}");
    let events = server.finish();
    let messages = messages(&events);
    assert_eq!(messages.len(), hostile.len());
    for message in messages {
        let names: Vec<_> = message["headers"]
            .as_array()
            .expect("is a list")
            .iter()
            .map(|header| &header[0])
            .collect();
        let expected = "From To Date Subject Message-ID Auto-Submitted X-Auto-Response-Suppress \
             List-Id X-Memleakd-Id X-Memleakd-Severity X-Memleakd-Change X-Memleakd-Changes \
             MIME-Version Content-Type";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!(message["defects"], json!([]), "{message}");
        assert_eq!(
            message["recipients"],
            json!(["night@example.org", "ops@example.org"])
        );
        let subject = header(message, "Subject");
        assert!(
            subject.starts_with("[memleakd] ") && subject.ends_with(" leaks memory"),
            "{subject}"
        );
        assert!(subject.chars().count() <= 78, "{subject}");
        for text in [
            subject,
            header(message, "X-Memleakd-Id"),
            header(message, "Message-ID"),
        ] {
            assert!(
                !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
                "{text:?}"
            );
        }
        let text = message["text"].as_str().expect("is text");
        assert!(
            !text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')),
            "{text:?}"
        );
        // What a name is made of is text of the page and nothing else.
        let page = &message["html"];
        assert_eq!(
            (&page["faults"], &page["pictures"]),
            (&json!([]), &json!([]))
        );
        let tags = "body br div head html meta span style table td title tr";
        assert_eq!(page["tags"], json!(tags.split(' ').collect::<Vec<_>>()));
        let raw = message["raw"].as_str().expect("is text");
        assert!(
            raw.is_ascii() && raw.lines().all(|line| line.len() <= 998),
            "{raw}"
        );
    }
}
