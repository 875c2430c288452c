//! Who gets the alerts and the password, and who does not.

use memleakd::alert::Change;
use memleakd::config::Severity::Warning;

use super::desk::{Desk, LEFT, TAKEN, change};
use super::server::Server;
use crate::mail::server::Certificate;

#[test]
fn tls_with_a_private_authority() {
    let certificate = Certificate::for_name("localhost");
    let other_name = Certificate::for_name("alerts.example.net");
    let unknown = Certificate::for_name("localhost");
    for (certificate, authority, words) in [
        (&certificate, &certificate.authority, None),
        (
            &other_name,
            &other_name.authority,
            Some("certificate not valid for name"),
        ),
        (
            &certificate,
            &unknown.authority,
            Some("invalid peer certificate"),
        ),
    ] {
        let server = Server::start_with(certificate, &[]);
        let mut desk = Desk::new(&format!(
            "url = \"https://localhost:{}\"\nca_file = {authority:?}\npassword_file = \"/dev/null\"",
            server.port
        ));
        let token = desk.write("token", "s3cret");
        desk.write(
            "memleakd.toml",
            &format!(
                "[alertmanager]\nurl = \"https://localhost:{}\"\nca_file = {authority:?}\npassword_file = {token:?}\n",
                server.port
            ),
        );
        // A machine without any authorities of its own.
        desk.set("SSL_CERT_FILE", "/nonexistent".as_ref());
        desk.set("SSL_CERT_DIR", "/nonexistent".as_ref());
        desk.put(change(Change::Cleared, Warning));
        let (status, log) = desk.run(&[]);
        let requests = server.seen();
        match words {
            None => {
                assert_eq!(status, TAKEN, "{log}");
                assert_eq!(requests[0]["authorization"], "Bearer s3cret");
            }
            Some(words) => {
                assert_eq!((status, requests.len()), (LEFT, 0), "{log}");
                assert!(log.contains(words), "{log}");
            }
        }
    }
}

#[test]
fn the_password_is_in_no_log() {
    let server = Server::start(&["--answer", "=401 no", "--times", "1"]);
    for (login, header) in [
        ("username = \"ops\"", "Basic b3BzOnMzY3JldA=="),
        ("", "Bearer s3cret"),
    ] {
        let mut desk = Desk::to(&server.url());
        let credential = desk.write("credentials/memleakd.alertmanager-password", "s3cret\n");
        desk.write(
            "memleakd.toml",
            &format!("[alertmanager]\nurl = {:?}\n{login}\n", server.url()),
        );
        desk.set(
            "CREDENTIALS_DIRECTORY",
            credential.parent().expect("a directory"),
        );
        desk.set("MEMLEAKD_LOG", "trace".as_ref());
        desk.put(change(Change::Cleared, Warning));
        let (_, log) = desk.run(&[]);
        let request = server.next().expect("a request");
        assert_eq!(request["authorization"], header);
        assert!(
            !log.contains("s3cret") && !log.contains("b3BzOnMzY3JldA") && !log.is_empty(),
            "{log}"
        );
    }
}

#[test]
fn a_server_that_is_elsewhere_than_it_should_be_gets_nothing() {
    // Neither a proxy of the environment nor where a server points to.
    let server = Server::start(&["--answer", "=301 elsewhere"]);
    let proxy = Server::start(&[]);
    let mut desk = Desk::to(&server.url());
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        desk.set(variable, proxy.url().as_ref());
    }
    desk.put(change(Change::Cleared, Warning));
    let (status, log) = desk.run(&[]);
    assert_eq!(status, LEFT, "{log}");
    assert!(log.contains("301 Moved Permanently: elsewhere"), "{log}");
    assert_eq!((server.seen().len(), proxy.seen().len()), (1, 0));
}

#[test]
fn a_bad_configuration_is_one_sentence() {
    for (settings, sentence) in [
        ("", "alertmanager.url is not set"),
        (
            "url = \"http://a:s3cret@b\"",
            "alertmanager.url has a login in it",
        ),
        (
            "url = \"http://b\"\nusername = \"ops\"",
            "alertmanager.username is set but no password",
        ),
        (
            "url = \"https://b\"\nca_file = \"/nonexistent\"",
            "reading alertmanager.ca_file /nonexistent: No such file",
        ),
        (
            "url = \"https://b\"\nca_file = \"/etc/hostname\"",
            "alertmanager.ca_file /etc/hostname has no certificate",
        ),
        (
            "url = \"https://b\"\npassword_file = \"/dev/null\"",
            "the password in /dev/null is empty",
        ),
    ] {
        let (status, log) = Desk::new(settings).run(&[]);
        assert_eq!((status, log.lines().count()), (Some(1), 1), "{log}");
        assert!(log.contains(sentence) && !log.contains("s3cret"), "{log}");
    }
}
