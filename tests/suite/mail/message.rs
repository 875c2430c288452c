//! What arrives is what was meant.

use memleakd::alert::{Alert, Change, Reason};
use memleakd::config::Severity;
use serde_json::json;

use super::post::{FILE, Post, SENT, leak};
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
        ("To", "ops@example.org, night@example.org"),
        ("Date", "Sun, 22 Nov 2026 02:01:07 +0000"),
        (
            "Subject",
            "[memleakd] WARNING db1: postgres (812) grows 12 MiB/min",
        ),
        ("Message-ID", "<5c0f3a91d27e.raised.1.1795312867000@db1>"),
        ("In-Reply-To", "<5c0f3a91d27e@db1>"),
        ("References", "<5c0f3a91d27e@db1>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("List-Id", "memleakd alerts <memleakd.db1>"),
        ("X-Memleakd-Id", "5c0f3a91d27e"),
        ("X-Memleakd-Severity", "warning"),
        ("X-Memleakd-Change", "raised"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=\"utf-8\""),
        ("Content-Transfer-Encoding", "7bit"),
    ];
    assert_eq!(
        message["headers"],
        json!(expected.map(|(name, value)| [name, value]))
    );
    assert_eq!(message["defects"], json!([]));
    let text = message["text"].as_str().expect("is text");
    assert!(
        text.starts_with(
            "postgres (pid 812, postgresql.service) leaks memory: it grows by\n12 MiB/min (at least 10 MiB/min), has gained"
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
        "[memleakd] CLEARED db1: postgres (812) has ended"
    );
    assert!(
        message["text"]
            .as_str()
            .expect("is text")
            .contains("Nothing needs doing")
    );
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
        let expected = "From To Date Subject Message-ID In-Reply-To References Auto-Submitted \
             X-Auto-Response-Suppress List-Id X-Memleakd-Id X-Memleakd-Severity X-Memleakd-Change \
             MIME-Version Content-Type Content-Transfer-Encoding";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!(message["defects"], json!([]), "{message}");
        assert_eq!(
            message["recipients"],
            json!(["night@example.org", "ops@example.org"])
        );
        let subject = header(message, "Subject");
        assert!(
            subject.starts_with("[memleakd] CRITICAL ")
                && subject.contains(" (812) grows 12 MiB/min"),
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
        let raw = message["raw"].as_str().expect("is text");
        assert!(
            raw.is_ascii() && raw.lines().all(|line| line.len() <= 998),
            "{raw}"
        );
    }
}
