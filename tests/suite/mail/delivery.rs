//! What becomes of a message when the server does not simply take it.

use std::time::Duration;

use memleakd::alert::Alert;
use rustix::process::Signal;
use serde_json::json;

use super::post::{FILE, LEFT, Post, SENT, leak, reminded};
use super::server::Server;
use super::{header, messages};

#[test]
fn what_is_put_off_is_sent_later() {
    for (mode, arguments) in [
        (
            "--until-empty",
            ["--data-answer", "451 4.7.1 greylisted", "--times", "1"],
        ),
        (
            "--watch",
            ["--rcpt-answer", "*=451 4.7.1 greylisted", "--times", "2"],
        ),
    ] {
        let server = Server::start(&arguments);
        let post = Post::plain(server.port);
        post.put(&leak(), 1);
        let running = post.start(&[mode]);
        assert_eq!(
            header(&server.next("message"), "X-Memleakd-Change"),
            "raised"
        );
        if mode == "--watch" {
            post.await_empty();
            running.signal(Signal::TERM);
        }
        let (status, log) = running.finish();
        assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
        assert!(
            log.contains(&format!(
                "{FILE} is kept for later: night@example.org: 451 4.7.1 greylisted"
            )),
            "{log}"
        );
        assert_eq!(messages(&server.finish()).len(), 0, "it came twice");
    }
}

#[test]
fn what_is_refused_for_good_is_parked_with_the_servers_words() {
    for arguments in [
        ["--rcpt-answer", r"*=550 5.1.1 no \x1b[2Jsuch user"],
        ["--data-answer", r"550 5.1.1 no \x1b[2Jsuch user"],
    ] {
        let server = Server::start(&arguments);
        let post = Post::plain(server.port);
        post.put(&leak(), 1);
        let (status, log) = post.run(&["--until-empty"]);
        assert_eq!(
            (status, post.waiting(), post.rejected()),
            (SENT, vec![], vec![FILE.to_owned()]),
            "{log}"
        );
        let warning: Vec<_> = log.lines().collect();
        assert_eq!(warning.len(), 1, "{log}");
        assert!(
            warning[0].contains(FILE) && warning[0].contains(r"550 5.1.1 no \u{1b}[2Jsuch user"),
            "{log}"
        );
    }
}

#[test]
fn one_recipient_does_not_keep_it_from_the_others() {
    for (answer, mode) in [
        ("550 5.1.1 no such user", "--until-empty"),
        ("451 4.7.1 later", "--until-empty"),
    ] {
        let server = Server::start(&[
            "--rcpt-answer",
            &format!("ops@example.org={answer}"),
            "--times",
            "1",
        ]);
        let post = Post::plain(server.port);
        post.put(&leak(), 1);
        let (status, log) = post.run(&[mode]);
        assert_eq!(
            (status, post.waiting().len(), post.rejected().len()),
            (SENT, 0, 0),
            "{log}"
        );
        assert!(log.contains(&format!("ops@example.org: {answer}")), "{log}");
        let events = server.finish();
        let recipients: Vec<_> = messages(&events)
            .iter()
            .map(|message| message["recipients"].clone())
            .collect();
        match answer.starts_with('5') {
            true => assert_eq!(recipients, [json!(["night@example.org"])]),
            false => assert_eq!(
                recipients,
                [json!(["night@example.org"]), json!(["ops@example.org"])]
            ),
        }
    }
}

#[test]
fn without_a_server_the_mail_waits() {
    // The port of a server that is gone.
    let port = Server::start(&[]).port;
    let post = Post::plain(port);
    post.put(&leak(), 1);
    post.put(&reminded(), 2);
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (LEFT, 2), "{log}");
    assert!(
        log.contains(&format!("127.0.0.1:{port}: Connection refused"))
            && log.contains("2 messages are kept for later"),
        "{log}"
    );
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn a_server_that_goes_amid_a_message_gets_it_once_more() {
    let server = Server::start(&["--data-fault", "drop", "--times", "1"]);
    let post = Post::plain(server.port);
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!(
        (status, post.waiting()),
        (LEFT, vec![FILE.to_owned()]),
        "{log}"
    );
    server.next("drop");
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
    let events = server.finish();
    let messages = messages(&events);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        header(messages[0], "Message-ID"),
        format!("<{}@db1>", FILE.strip_suffix(".eml").expect("is a message"))
    );
}

#[test]
fn a_server_that_takes_a_message_and_goes_gets_the_same_once_more() {
    let server = Server::start(&["--data-fault", "drop-after", "--times", "1"]);
    let post = Post::plain(server.port);
    post.put(&reminded(), 7);
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (LEFT, 1), "{log}");
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
    let events = server.finish();
    let messages = messages(&events);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["raw"], messages[1]["raw"]);
}

#[test]
fn whoever_has_it_does_not_get_it_again_because_another_has_to_wait() {
    for (n_greylisted, parked) in [("3", false), ("-1", true)] {
        let server = Server::start(&[
            "--rcpt-answer",
            "ops@example.org=451 4.7.1 greylisted",
            "--times",
            n_greylisted,
        ]);
        let post = Post::plain(server.port);
        post.put(&leak(), 1);
        // Each is a program of its own, which knows what the one before has written.
        for _ in 0..3 {
            let (status, log) = post.run(&[]);
            assert_eq!((status, post.waiting().len()), (LEFT, 1), "{log}");
        }
        if parked {
            post.age(FILE, Duration::from_secs(25 * 3600));
        }
        let (status, log) = post.run(&[]);
        assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
        assert_eq!(post.rejected().len(), usize::from(parked));
        assert_eq!(
            log.contains("ERROR") && log.contains("is not sent to everybody and put into"),
            parked,
            "{log}"
        );
        let rest = std::fs::read_dir(post.spool.path()).expect("is there");
        let rest: Vec<_> = rest
            .map(|file| file.expect("is read").file_name())
            .filter(|name| name != ".lock" && name != "rejected")
            .collect();
        assert_eq!(rest, Vec::<std::ffi::OsString>::new());
        let events = server.finish();
        let recipients: Vec<_> = messages(&events)
            .iter()
            .map(|message| message["recipients"].clone())
            .collect();
        let night = json!(["night@example.org"]);
        match parked {
            true => assert_eq!(recipients, [night]),
            false => assert_eq!(recipients, [night, json!(["ops@example.org"])]),
        }
    }
}

#[test]
fn only_a_number_from_500_on_is_for_good() {
    for (option, answer, parked) in [
        ("--mail-answer", "421 4.3.2 going down", false),
        ("--mail-answer", "451 4.3.0 later", false),
        ("--mail-answer", "452 4.3.1 no room", false),
        ("--mail-answer", "550 5.7.1 not from you", true),
        ("--rcpt-answer", "*=450 4.2.1 busy", false),
        ("--rcpt-answer", "*=552 5.2.2 full", true),
        ("--data-answer", "452 4.3.1 no room", false),
        ("--data-answer", "554 5.7.1 spam", true),
    ] {
        let server = Server::start(&[option, answer]);
        let post = Post::plain(server.port);
        post.put(&leak(), 1);
        let (status, log) = post.run(&[]);
        let expected = match parked {
            true => (SENT, 0, 1),
            false => (LEFT, 1, 0),
        };
        assert_eq!(
            (status, post.waiting().len(), post.rejected().len()),
            expected,
            "{answer}: {log}"
        );
        let words = answer.trim_start_matches("*=");
        assert!(log.contains(words), "{log}");
        assert_eq!(log.contains("ERROR"), parked, "{log}");
    }
}

#[test]
fn a_slow_server_is_waited_for() {
    let server = Server::start(&["--slowness", "2"]);
    let post = Post::plain(server.port);
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
    assert_eq!(messages(&server.finish()).len(), 1);
}

#[test]
fn a_message_on_which_the_server_breaks_does_not_hold_up_the_others() {
    let server = Server::start(&["--data-fault", "drop", "--only", "db13"]);
    let post = Post::plain(server.port);
    post.put(
        &Alert {
            host: "db13".to_owned(),
            ..leak()
        },
        1,
    );
    for sequence in 2..5 {
        post.put(&reminded(), sequence);
    }
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (LEFT, 1), "{log}");
    let events = server.finish();
    assert_eq!(messages(&events).len(), 3);
    assert_eq!(
        events
            .iter()
            .filter(|event| event["event"] == "hello")
            .count(),
        2,
        "one connection is enough for three"
    );
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let server = Server::start(&["--data-fault", "hang"]);
    let post = Post::new(&format!(
        "server = \"127.0.0.1\"\nport = {}\ntimeout = \"1s\"",
        server.port
    ));
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (LEFT, 1), "{log}");
    assert!(log.contains("no answer within 1 s"), "{log}");
}

#[test]
fn what_is_no_mail_and_what_is_too_old_is_parked() {
    let later = Server::start(&["--data-answer", "451 4.3.0 later"]);
    let gone = Server::start(&[]).port;
    for (port, why) in [
        (later.port, "451 4.3.0 later"),
        (gone, "Connection refused"),
    ] {
        let post = Post::plain(port);
        post.put(&leak(), 1);
        post.put(&reminded(), 2);
        post.age(FILE, Duration::from_secs(25 * 3600));
        let (status, log) = post.run(&[]);
        assert_eq!(
            (status, post.waiting().len(), post.rejected()),
            (LEFT, 1, vec![FILE.to_owned()]),
            "{log}"
        );
        assert!(
            log.contains(&format!("{FILE} is not sent")) && log.contains(why),
            "{log}"
        );
    }
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    post.spool
        .put("nobody", b"From: memleakd@db1\r\nSubject: x\r\n\r\nx\r\n")
        .expect("puts");
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!(
        (status, post.rejected()),
        (SENT, vec!["nobody.eml".to_owned()]),
        "{log}"
    );
    assert!(
        log.contains("nobody.eml is not sent") && log.contains("it has no To field"),
        "{log}"
    );
    assert_eq!(messages(&server.finish()).len(), 1);
}
