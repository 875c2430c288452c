//! The program beside others of its kind, its ends, its settings and its spool.

use std::time::{Duration, Instant};

use memleakd::mail::{MAX_REJECTED, MAX_WAITING};
use rustix::process::Signal;

use super::post::{FILE, Post, SENT, leak, reminded};
use super::server::Server;
use super::{header, messages};

#[test]
fn two_programs_at_once_send_each_message_once() {
    let server = Server::start(&["--slowness", "0.05"]);
    let post = Post::plain(server.port);
    for sequence in 1..=10 {
        post.put(&reminded(), sequence);
    }
    for running in [post.start(&[]), post.start(&[])] {
        let (status, log) = running.finish();
        assert_eq!(status, SENT, "{log}");
    }
    let events = server.finish();
    let mut ids: Vec<_> = messages(&events)
        .iter()
        .map(|message| header(message, "Message-ID"))
        .collect();
    assert_eq!(ids.len(), 10);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
}

#[test]
fn the_watching_program_sends_what_comes() {
    let server = Server::start(&[]);
    let post = Post::plain(server.port);
    post.put(&leak(), 1);
    let running = post.start(&["--watch"]);
    server.next("message");
    // It waits now, and not for a clock: the next look without a reason is 15 minutes away.
    for sequence in 2..4 {
        post.put(&reminded(), sequence);
        assert_eq!(
            header(&server.next("message"), "X-Memleakd-Change"),
            "reminded"
        );
    }
    post.await_empty();
    running.signal(Signal::INT);
    let (status, log) = running.finish();
    assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_repeats_at_most_one() {
    const MESSAGES: usize = 20;
    const KILLS: u32 = 10;
    let server = Server::start(&["--slowness", "0.03"]);
    let post = Post::plain(server.port);
    for sequence in 1..=MESSAGES as u64 {
        post.put(&reminded(), sequence);
    }
    for kill in 0..KILLS {
        let running = post.start(&["--watch"]);
        // From before it has begun to amid the third message.
        std::thread::sleep(Duration::from_millis(u64::from(kill * 17 % 120)));
        running.kill();
    }
    let (status, log) = post.start(&["--until-empty"]).finish();
    assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
    let events = server.finish();
    let messages = messages(&events);
    let mut ids: Vec<_> = messages
        .iter()
        .map(|message| header(message, "Message-ID"))
        .collect();
    assert!(ids.len() <= MESSAGES + KILLS as usize, "{}", ids.len());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), MESSAGES);
}

#[test]
fn it_ends_within_a_second_whatever_it_is_doing() {
    for (arguments, busy) in [
        (&["--data-fault", "hang"][..], "hang"),
        (&["--data-answer", "451 later"], "mail"),
    ] {
        let server = Server::start(arguments);
        let post = Post::plain(server.port);
        post.put(&leak(), 1);
        let running = post.start(&["--until-empty"]);
        server.next(busy);
        let begin = Instant::now();
        running.signal(Signal::TERM);
        let (status, log) = running.finish();
        assert!(
            begin.elapsed() < Duration::from_secs(1),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!((status, post.waiting().len()), (SENT, 1), "{log}");
    }
}

#[test]
fn a_full_spool_says_so_and_still_takes_the_same_again() {
    let post = Post::plain(1);
    for index in 1..MAX_WAITING {
        std::fs::write(post.spool.path().join(format!("{index}.eml")), "x").expect("writes");
    }
    post.spool.put("last", b"x").expect("there is room for one");
    let error = post
        .spool
        .put("more", b"x")
        .expect_err("there is none for two");
    assert!(
        error
            .to_string()
            .contains("is full: 1000 messages are waiting"),
        "{error}"
    );
    post.spool.put("last", b"y").expect("it is there already");
    assert_eq!(post.waiting().len(), MAX_WAITING);
    assert_eq!(
        std::fs::read(post.spool.path().join("last.eml")).expect("reads"),
        b"y"
    );

    for message in post
        .spool
        .waiting()
        .expect("lists")
        .into_iter()
        .take(MAX_REJECTED + 5)
    {
        post.spool.park(&message).expect("parks");
    }
    assert_eq!(post.rejected().len(), MAX_REJECTED);
    post.spool.put("more", b"x").expect("there is room again");
}

#[test]
fn a_bad_configuration_is_one_sentence() {
    for (settings, sentence) in [
        (
            "server = \"mail.example.org\"\ntls = \"none\"",
            "memleakd.toml:3: mail.tls: \"none\" is for a server on this machine",
        ),
        ("tsl = \"none\"", "unknown key"),
        (
            "tls = \"tls\"\nca_file = \"/nonexistent\"",
            "reading mail.ca_file /nonexistent: No such file",
        ),
        ("username = \"ops\"", "mail.username is set but no password"),
        (
            "sendmail = \"sendmail -t\"",
            "mail.sendmail: sendmail -t is not the path of a program",
        ),
    ] {
        let (status, log) = Post::new(settings).run(&[]);
        assert_eq!((status, log.lines().count()), (Some(1), 1), "{log}");
        assert!(log.contains(sentence), "{log}");
    }
}

#[test]
fn the_service_manager_says_where_the_spool_is() {
    let server = Server::start(&[]);
    let mut post = Post::plain(server.port);
    let state = post
        .spool
        .path()
        .parent()
        .expect("is in a directory")
        .to_owned();
    post.set("STATE_DIRECTORY", &state);
    post.put(&leak(), 1);
    assert_eq!(post.run(&[]), (SENT, format!(" INFO {FILE} is sent\n")));
    server.next("message");
}

#[test]
fn a_filter_that_cannot_be_read_is_told_and_not_used() {
    let mut post = Post::plain(1);
    post.set("MEMLEAKD_LOG", "memleakd=loud".as_ref());
    let (status, log) = post.run(&[]);
    assert_eq!((status, log.lines().count()), (SENT, 1), "{log}");
    assert!(
        log.contains("MEMLEAKD_LOG=\"memleakd=loud\" is not a filter"),
        "{log}"
    );
}
