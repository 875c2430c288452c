//! One conversation with a mail server.
//!
//! What a server answers is hostile text: it leaves here harmless and short.

use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter};

use super::envelope::Envelope;
use super::text::shorten;
use crate::sample::printable;

/// So much of an answer is passed on, in characters.
const MAX_ANSWER: usize = 300;

/// An open conversation, ready for messages.
pub(super) struct Connection {
    smtp: SmtpConnection,
    state: State,
    timeout: Duration,
}

/// What can be said next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// A transaction was begun and not ended.
    Begun,
    Lost,
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server is responsible for it now.
    Taken,
    /// The server will never take it, and says this.
    Refused(String),
    /// It may work later; why not now.
    Later(String),
}

impl Connection {
    /// From one that has said hello and is protected as it should be.
    pub fn new(smtp: SmtpConnection, timeout: Duration) -> Self {
        Self {
            smtp,
            state: State::Ready,
            timeout,
        }
    }

    /// Whether more can be sent.
    pub fn is_usable(&self) -> bool {
        self.state != State::Lost
    }

    /// Sends one message; the verdicts are in the order of the recipients.
    ///
    /// A recipient that is refused does not keep it from the others.
    pub fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Vec<Verdict> {
        let to = &envelope.to;
        if to.is_empty() {
            return Vec::new();
        }
        if let Err(verdict) = self.begin(envelope, message.is_ascii()) {
            return vec![verdict; to.len()];
        }
        let mut verdicts: Vec<_> = to
            .iter()
            .map(
                |address| match self.command(Rcpt::new(address.clone(), vec![])) {
                    Ok(()) => Verdict::Taken,
                    Err(verdict) => verdict,
                },
            )
            .collect();
        if !verdicts.contains(&Verdict::Taken) {
            return verdicts;
        }
        match self.command(Data).and_then(|()| self.content(message)) {
            Ok(()) => self.state = State::Ready,
            Err(verdict) => {
                let taken = verdicts
                    .iter_mut()
                    .filter(|verdict| **verdict == Verdict::Taken);
                taken.for_each(|taken| taken.clone_from(&verdict));
            }
        }
        verdicts
    }

    /// Says good-bye. A server that does not answer it has the messages all the same.
    pub fn close(mut self) {
        if self.is_usable() {
            self.smtp.quit().ok();
        }
    }

    fn begin(&mut self, envelope: &Envelope, is_ascii: bool) -> Result<(), Verdict> {
        // What answers to a message must not decide on the next one: this one is only put off.
        if self.state == State::Begun
            && let Err(Verdict::Refused(why) | Verdict::Later(why)) = self.command(Rset)
        {
            self.state = State::Lost;
            return Err(Verdict::Later(why));
        }
        let mut parameters = Vec::new();
        if !envelope.is_ascii() {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !is_ascii {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.state = State::Begun;
        self.command(Mail::new(Some(envelope.from.clone()), parameters))
    }

    fn command(&mut self, command: impl fmt::Display) -> Result<(), Verdict> {
        if self.state == State::Lost {
            return Err(Verdict::Later("the connection is lost".to_owned()));
        }
        let answer = self.smtp.command(command);
        answer.map(drop).map_err(|error| self.verdict(&error))
    }

    fn content(&mut self, message: &[u8]) -> Result<(), Verdict> {
        let answer = self.smtp.message(message);
        answer.map(drop).map_err(|error| self.verdict(&error))
    }

    fn verdict(&mut self, error: &Error) -> Verdict {
        let why = explain(error, self.timeout);
        if error.is_permanent() {
            return Verdict::Refused(why);
        }
        // Without a code there was no answer, or one that makes no sense. After 421 the server
        // hangs up (RFC 5321, section 3.8).
        if error.status().is_none_or(|code| u16::from(code) == 421) {
            self.state = State::Lost;
        }
        Verdict::Later(why)
    }
}

/// What went wrong, in the server's words where it said any.
pub(super) fn explain(error: &Error, timeout: Duration) -> String {
    let source = error.source();
    let waited = source
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    let said = match (error.status(), source) {
        _ if waited => format!("no answer within {} s", timeout.as_secs()),
        (Some(code), Some(text)) => format!("{code} {text}"),
        (Some(code), None) => code.to_string(),
        (None, Some(source)) => source.to_string(),
        (None, None) => error.to_string(),
    };
    shorten(&printable(said.as_bytes()), MAX_ANSWER)
}

/// Some servers repeat the line that they did not like, which may be the password. So of an
/// answer to AUTH only the numbers are passed on, such as `535 5.7.8`.
pub(super) fn explain_auth(error: &Error, timeout: Duration) -> String {
    let Some(code) = error.status() else {
        return format!("authentication failed: {}", explain(error, timeout));
    };
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    let detail = text.split_whitespace().next().unwrap_or_default();
    let is_detail = detail.split('.').count() == 3
        && detail.len() <= 9
        && detail.chars().all(|c| c.is_ascii_digit() || c == '.');
    let detail = if is_detail {
        format!(" {detail}")
    } else {
        String::new()
    };
    format!("the server does not accept mail.username and its password: {code}{detail}")
}
