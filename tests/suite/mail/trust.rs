//! Who gets the mail and the password, and who does not.

use serde_json::json;

use super::post::{LEFT, Post, SENT, leak};
use super::server::{Certificate, Server};

#[test]
fn starttls_with_a_private_authority_and_a_password() {
    let certificate = Certificate::for_name("localhost");
    let server = Server::start_with(
        "starttls",
        &certificate,
        &["--user", "ops", "--password", "s3cret"],
    );
    let password = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(password.path(), "s3cret\n").expect("writes");
    let mut post = Post::new(&format!(
        "server = \"localhost\"\nport = {}\ntls = \"starttls\"\nca_file = {:?}\nusername = \"ops\"\npassword_file = {:?}",
        server.port,
        certificate.authority,
        password.path(),
    ));
    // A machine without any authorities of its own.
    post.set("SSL_CERT_FILE", "/nonexistent".as_ref());
    post.set("SSL_CERT_DIR", "/nonexistent".as_ref());
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!(status, SENT, "{log}");
    let message = server.next("message");
    assert_eq!(
        (&message["tls"], &message["user"]),
        (&json!(true), &json!("ops"))
    );
}

#[test]
fn tls_from_the_first_byte_and_a_password_from_the_service_manager() {
    let certificate = Certificate::for_name("localhost");
    let server = Server::start_with(
        "implicit",
        &certificate,
        &["--user", "ops", "--password", "s3cret"],
    );
    let mut post = Post::new(&format!(
        "server = \"localhost\"\nport = {}\ntls = \"tls\"\nca_file = {:?}\nusername = \"ops\"",
        server.port, certificate.authority,
    ));
    let credential = post.write("memleakd.smtp-password", "s3cret");
    post.set(
        "CREDENTIALS_DIRECTORY",
        credential.parent().expect("is in a directory"),
    );
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!(status, SENT, "{log}");
    assert_eq!(server.next("message")["user"], "ops");
}

#[test]
fn a_server_that_is_not_who_it_should_be_gets_nothing() {
    let other_name = Certificate::for_name("mail.example.net");
    let unknown_authority = Certificate::for_name("localhost");
    for (tls, certificate, authority) in [
        ("starttls", &other_name, &other_name),
        ("implicit", &other_name, &other_name),
        ("starttls", &unknown_authority, &other_name),
    ] {
        let server =
            Server::start_with(tls, certificate, &["--user", "ops", "--password", "s3cret"]);
        let mut post = Post::new(&format!(
            "server = \"localhost\"\nport = {}\ntls = {:?}\nca_file = {:?}\nusername = \"ops\"",
            server.port,
            if tls == "implicit" { "tls" } else { tls },
            authority.authority,
        ));
        let credential = post.write("memleakd.smtp-password", "s3cret");
        post.set(
            "CREDENTIALS_DIRECTORY",
            credential.parent().expect("is in a directory"),
        );
        post.put(&leak(), 1);
        let (status, log) = post.run(&[]);
        assert_eq!(
            (status, post.waiting().len(), post.rejected().len()),
            (LEFT, 1, 0),
            "{log}"
        );
        assert!(log.contains("certificate"), "{log}");
        let events = server.finish();
        assert!(
            events
                .iter()
                .all(|event| event["event"] == "hello" && event["tls"] == false),
            "{events:?}"
        );
    }
}

#[test]
fn a_server_without_starttls_gets_nothing() {
    let server = Server::start(&[]);
    let mut post = Post::new(&format!(
        "server = \"localhost\"\nport = {}\ntls = \"starttls\"\nusername = \"ops\"",
        server.port
    ));
    let credential = post.write("memleakd.smtp-password", "s3cret");
    post.set(
        "CREDENTIALS_DIRECTORY",
        credential.parent().expect("is in a directory"),
    );
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    assert_eq!((status, post.waiting().len()), (LEFT, 1), "{log}");
    assert!(log.contains("STARTTLS is not supported"), "{log}");
    let events = server.finish();
    let kinds: Vec<_> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["hello"]);
}

#[test]
fn a_wrong_password_keeps_the_mail_and_stays_secret() {
    let server = Server::start(&[
        "--user",
        "ops",
        "--auth-answer",
        "535 5.7.8 {password} is wrong",
    ]);
    let post = Post::new(&format!(
        "server = \"127.0.0.1\"\nport = {}\nusername = \"ops\"\npassword_file = \"/dev/null\"",
        server.port
    ));
    let (status, log) = post.run(&[]);
    assert_eq!(status, Some(1), "an empty password is a mistake: {log}");
    let password = post.write("password", "s3cret\n");
    let settings = format!(
        "server = \"127.0.0.1\"\nport = {}\nusername = \"ops\"\npassword_file = {password:?}",
        server.port
    );
    let mut post = Post::new(&settings);
    post.set("MEMLEAKD_LOG", "trace".as_ref());
    post.put(&leak(), 1);
    let (status, log) = post.run(&[]);
    server.next("auth");
    assert_eq!(
        (status, post.waiting().len(), post.rejected().len()),
        (LEFT, 1, 0),
        "{log}"
    );
    assert!(
        log.contains("535 5.7.8") && !log.contains("s3cret"),
        "{log}"
    );
}
