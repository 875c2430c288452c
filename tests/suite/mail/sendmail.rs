//! A program that takes mails in place of a server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::post::{FILE, LEFT, Post, SENT, leak, reminded};

/// A spool whose mails go to a program that writes down what it is called with, one call a line,
/// and what it reads; and then does this.
fn post(then: &str, timeout: &str) -> (Post, PathBuf) {
    let post = Post::plain(1);
    let program = post.write("sendmail", "");
    let directory = program.parent().expect("is in a directory").to_owned();
    let settings = format!("[mail]\nsendmail = {program:?}\ntimeout = {timeout:?}\n");
    post.write("memleakd.toml", &settings);
    let shown = directory.display();
    let script = format!(
        "#!/bin/sh\nprintf '<%s>' \"$@\" >>{shown}/calls\necho >>{shown}/calls\ncat >{shown}/message\n{then}\n"
    );
    post.write("sendmail", &script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("is ours");
    (post, directory)
}

#[test]
fn it_is_called_without_a_shell_and_gets_the_message_as_it_is() {
    let (post, directory) = post("exit 0", "20s");
    post.put(&leak(), 1);
    let spooled = fs::read_to_string(post.spool.path().join(FILE)).expect("is there");
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (SENT, 0), "{log}");
    assert!(log.contains(&format!("{FILE} is sent")), "{log}");
    assert_eq!(
        fs::read_to_string(directory.join("calls")).expect("was called"),
        "<-i><-f><memleakd@db1><--><night@example.org><ops@example.org>\n"
    );
    assert_eq!(
        fs::read_to_string(directory.join("message")).expect("was called"),
        spooled.replace("\r\n", "\n")
    );
}

#[test]
fn its_exit_status_says_whether_to_try_again() {
    for (then, left, expected) in [
        (
            "echo 'queue is full' >&2; exit 75",
            true,
            "exit status 75 (EX_TEMPFAIL): queue is full",
        ),
        ("exit 78", true, "exit status 78 (EX_CONFIG)"),
        ("exit 1", true, "exit status 1"),
        ("kill -9 $$", true, "ended by signal 9"),
        (
            "echo unknown >&2; exit 67",
            false,
            "exit status 67 (EX_NOUSER): unknown",
        ),
        ("exit 65", false, "exit status 65 (EX_DATAERR)"),
    ] {
        let (post, _) = post(then, "20s");
        post.put(&leak(), 1);
        let (status, log) = post.run(&[]);
        let expected_end = if left { (LEFT, 1, 0) } else { (SENT, 0, 1) };
        assert_eq!(
            (status, post.waiting().len(), post.rejected().len()),
            expected_end,
            "{then}: {log}"
        );
        assert!(log.contains(expected), "{log}");
    }
}

#[test]
fn one_recipient_that_is_refused_does_not_keep_it_from_the_others() {
    let (post, directory) = post("case \"$*\" in *night*) exit 67;; esac", "20s");
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!(
        (status, post.waiting().len(), post.rejected().len()),
        (SENT, 0, 0),
        "{log}"
    );
    assert!(
        log.contains("is not taken for everybody: night@example.org: exit status 67"),
        "{log}"
    );
    let calls = fs::read_to_string(directory.join("calls")).expect("was called");
    assert!(calls.ends_with("<--><ops@example.org>\n"), "{calls}");
}

#[test]
fn one_that_hangs_is_ended_with_all_that_it_has_started() {
    let (post, directory) = post("sleep 1000 & echo $! >>\"${0%/*}/children\"; wait", "1s");
    for sequence in 1..=5 {
        post.put(&reminded(), sequence);
    }
    let begin = Instant::now();
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (LEFT, 5), "{log}");
    assert!(log.contains("took longer than 1 s"), "{log}");
    // After three it is left alone.
    assert!(
        begin.elapsed() < Duration::from_millis(4500),
        "{:?}",
        begin.elapsed()
    );
    let children = fs::read_to_string(directory.join("children")).expect("were started");
    for child in children.lines() {
        let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}

#[test]
fn one_that_talks_is_read_and_one_that_leaves_something_behind_is_not_waited_for() {
    let talk = "yes | head -c 300000 >&2; sleep 15 </dev/null & exit 67";
    let (post, _) = post(talk, "20s");
    post.put(&reminded(), 1);
    let begin = Instant::now();
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.rejected().len()), (SENT, 1), "{log}");
    assert!(
        begin.elapsed() < Duration::from_secs(10) && log.len() < 2000,
        "{log}"
    );
}

#[test]
fn one_that_is_not_there_is_said_and_the_mail_waits() {
    let post = Post::plain(1);
    post.write(
        "memleakd.toml",
        "[mail]\nsendmail = \"/nonexistent/sendmail\"\n",
    );
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (LEFT, 1), "{log}");
    assert!(
        log.contains("/nonexistent/sendmail cannot be run: No such file or directory"),
        "{log}"
    );
}
