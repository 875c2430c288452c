//! The mail server as the configuration has it. The password leaves only over the connection.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};

use super::connection::{Connection, explain, explain_auth};
use crate::file::read_small;
use crate::{config, secret};

/// The credential that holds the password where the configuration names no file.
const CREDENTIAL: &str = "memleakd.smtp-password";

/// How to reach and convince the mail server.
#[derive(Debug)]
pub struct Server {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    timeout: Duration,
}

impl Server {
    /// Reads the certificates and the password that `[mail]` names.
    ///
    /// `credentials` is the directory where the service manager puts the service's credentials.
    pub fn new(mail: &config::Mail, credentials: Option<&Path>) -> Result<Self> {
        // Brackets around an IPv6 address are for people; the resolver does not know them.
        let host = mail
            .server
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let (tls, usual_port) = match mail.tls {
            config::Tls::None => (Tls::None, SMTP_PORT),
            config::Tls::Starttls => (Tls::Required(trust(mail, &host)?), SUBMISSION_PORT),
            config::Tls::Tls => (Tls::Wrapper(trust(mail, &host)?), SUBMISSIONS_PORT),
        };
        let credentials = match mail.username.as_str() {
            "" => None,
            username => Some(Credentials::new(
                username.to_owned(),
                password(mail, credentials)?,
            )),
        };
        let port = if mail.port == 0 {
            usual_port
        } else {
            mail.port
        };
        Ok(Self {
            host,
            port,
            tls,
            credentials,
            timeout: mail.timeout.duration(),
        })
    }

    /// Name and port, as log lines show them.
    pub fn name(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Connects, protects the connection and authenticates; or says what was in the way.
    pub(super) fn connect(&self) -> Result<Connection, String> {
        let hello = ClientId::default();
        let explain = |error: Error| explain(&error, self.timeout);
        let at_once = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters),
            _ => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut smtp = SmtpConnection::connect(address, Some(self.timeout), &hello, at_once, None)
            .map_err(explain)?;
        if let Tls::Required(parameters) = &self.tls {
            smtp.starttls(parameters, &hello).map_err(explain)?;
        }
        if let Some(credentials) = &self.credentials {
            smtp.auth(DEFAULT_MECHANISMS, credentials)
                .map_err(|error| explain_auth(&error, self.timeout))?;
        }
        Ok(Connection::new(smtp, self.timeout))
    }
}

/// The system's certificate authorities, if there are any, and those of `mail.ca_file`.
fn trust(mail: &config::Mail, host: &str) -> Result<TlsParameters> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    let path = &mail.ca_file;
    if !path.as_os_str().is_empty() {
        let pem = read_small(path, 1 << 20)
            .with_context(|| format!("reading mail.ca_file {}", path.display()))?;
        let marker = b"-----BEGIN CERTIFICATE-----";
        ensure!(
            pem.windows(marker.len()).any(|window| window == marker),
            "mail.ca_file {} has no certificate in PEM form",
            path.display()
        );
        let certificate = Certificate::from_pem(&pem)
            .with_context(|| format!("reading mail.ca_file {}", path.display()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters
        .build()
        .context("preparing TLS with mail.ca_file")
}

fn password(mail: &config::Mail, credentials: Option<&Path>) -> Result<String> {
    let credential = credentials.map(|directory| directory.join(CREDENTIAL));
    let path = match credential {
        _ if !mail.password_file.as_os_str().is_empty() => mail.password_file.clone(),
        Some(path) => path,
        None => anyhow::bail!(
            "mail.username is set but no password: set mail.password_file or the credential {CREDENTIAL}"
        ),
    };
    secret::read(&path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mail() -> config::Mail {
        config::Mail {
            username: "ops".to_owned(),
            ..config::Mail::default()
        }
    }

    #[test]
    fn the_password_is_a_file_or_a_credential_without_its_newline() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("password");
        let credential = directory.path().join(CREDENTIAL);
        for (text, password) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("two\n\n", "two\n"),
            (" s \n", " s "),
        ] {
            fs::write(&file, text).expect("writes");
            fs::write(&credential, format!("other {text}")).expect("writes");
            let with_file = config::Mail {
                password_file: file.clone(),
                ..mail()
            };
            assert_eq!(
                super::password(&with_file, Some(directory.path())).expect("reads"),
                password
            );
            assert_eq!(
                super::password(&mail(), Some(directory.path())).expect("reads"),
                format!("other {password}")
            );
        }
    }

    #[test]
    fn what_is_wrong_is_one_sentence_without_the_password() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("file");
        let with_password = config::Mail {
            password_file: file.clone(),
            ..mail()
        };
        let with_ca = config::Mail {
            ca_file: file.clone(),
            tls: config::Tls::Tls,
            ..config::Mail::default()
        };
        for (mail, bytes, expected) in [
            (&mail(), &b""[..], "mail.username is set but no password"),
            (&with_password, b"\n", "is empty"),
            (&with_password, b"s3cret\xff", "is not UTF-8"),
            (&with_password, &[b'x'; 5000], "reading the password from"),
            (&with_ca, b"s3cret", "has no certificate in PEM form"),
            (
                &with_ca,
                b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n",
                "mail.ca_file",
            ),
        ] {
            fs::write(&file, bytes).expect("writes");
            let error = format!("{:#}", Server::new(mail, None).expect_err(expected));
            assert!(error.contains(expected), "{error}");
            assert!(
                !error.contains("s3cret") && !error.contains('\n'),
                "{error}"
            );
        }
        assert!(
            !format!(
                "{:?}",
                Credentials::new("ops".to_owned(), "s3cret".to_owned())
            )
            .contains("s3cret")
        );
    }

    #[test]
    fn the_usual_port_follows_the_protection() {
        for (server, tls, port, name) in [
            ("localhost", config::Tls::None, 0, "localhost:25"),
            (
                "mail.example.org",
                config::Tls::Starttls,
                0,
                "mail.example.org:587",
            ),
            (
                "mail.example.org",
                config::Tls::Tls,
                0,
                "mail.example.org:465",
            ),
            ("[::1]", config::Tls::None, 2525, "[::1]:2525"),
        ] {
            let mail = config::Mail {
                server: server.to_owned(),
                tls,
                port,
                ..config::Mail::default()
            };
            assert_eq!(Server::new(&mail, None).expect("is complete").name(), name);
        }
    }
}
