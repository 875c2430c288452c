//! Where messages leave this program: over SMTP, or through a program that takes mails.

use std::path::Path;

use anyhow::Result;

use super::connection::{Connection, Verdict};
use super::envelope::Envelope;
use super::sendmail::Sendmail;
use super::server::Server;
use crate::config;

/// What `[mail]` says of it.
#[derive(Debug)]
pub enum Transport {
    /// A mail server.
    Server(Server),
    /// A program such as `/usr/sbin/sendmail`.
    Sendmail(Sendmail),
}

/// A transport that is open for messages.
pub(super) enum Carrier {
    Connection(Box<Connection>),
    Program { sendmail: Sendmail, is_usable: bool },
}

impl Transport {
    /// Reads what `[mail]` names: certificates and a password, unless a program is asked for.
    ///
    /// `credentials` is the directory where the service manager puts the service's credentials.
    pub fn new(mail: &config::Mail, credentials: Option<&Path>) -> Result<Self> {
        match mail.sendmail.as_os_str().is_empty() {
            true => Server::new(mail, credentials).map(Self::Server),
            false => Ok(Self::Sendmail(Sendmail::new(mail))),
        }
    }

    /// How log lines call it.
    pub fn name(&self) -> String {
        match self {
            Self::Server(server) => server.name(),
            Self::Sendmail(sendmail) => sendmail.name(),
        }
    }

    /// Gets ready to send, or says what was in the way.
    pub(super) fn open(&self) -> Result<Carrier, String> {
        match self {
            Self::Server(server) => Ok(Carrier::Connection(Box::new(server.connect()?))),
            Self::Sendmail(sendmail) => Ok(Carrier::Program {
                sendmail: sendmail.clone(),
                is_usable: true,
            }),
        }
    }
}

impl Carrier {
    /// Whether more can be sent.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Connection(connection) => connection.is_usable(),
            Self::Program { is_usable, .. } => *is_usable,
        }
    }

    /// Sends one message; the verdicts are in the order of the recipients.
    pub fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Vec<Verdict> {
        match self {
            Self::Connection(connection) => connection.send(envelope, message),
            Self::Program {
                sendmail,
                is_usable,
            } => {
                let verdicts = sendmail.send(envelope, message);
                // What cannot take one message now will hardly take the next.
                *is_usable = verdicts
                    .iter()
                    .any(|verdict| !matches!(verdict, Verdict::Later(_)));
                verdicts
            }
        }
    }

    /// Says good-bye.
    pub fn close(self) {
        if let Self::Connection(connection) = self {
            connection.close();
        }
    }
}
