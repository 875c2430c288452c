//! The daemon, asked now and then what it thinks of the process that leaks.

use std::time::Duration;

use anyhow::Result;

use super::{DemoLeak, words};
use crate::bus::{Client, Explained};

/// How often the daemon is asked: it looks at processes every few seconds.
const EVERY: Duration = Duration::from_secs(2);
/// The daemon knows a process after its next scan.
const KNOWN: Duration = Duration::from_secs(12);

/// What the daemon says of the process, as far as that has been told.
pub(super) struct Asked {
    pid: u32,
    client: Option<Client>,
    /// When it was asked last, from the beginning of the leak.
    last: Option<Duration>,
    is_known: bool,
    alert: Option<String>,
}

/// What is new.
pub(super) struct News {
    /// How it stands, in a phrase.
    pub standing: Option<String>,
    what: What,
}

enum What {
    Nothing,
    /// Nobody answers, and why.
    Unknown(String),
    /// The first that it says.
    Expected(Box<Explained>),
    /// An alert is open.
    Alert(String),
}

impl Asked {
    /// Asks after a process.
    pub fn new(pid: u32) -> Self {
        Self {
            pid,
            client: None,
            last: None,
            is_known: false,
            alert: None,
        }
    }

    /// Asks now and then. What fails is tried again, and told once if it goes on.
    pub fn ask(&mut self, past: Duration) -> Option<News> {
        if self.last.is_some_and(|last| past < last + EVERY) {
            return None;
        }
        self.last = Some(past);
        let explained = match self.explained() {
            Ok(explained) => explained,
            Err(error) => {
                self.client = None;
                let is_told = self.is_known || past < KNOWN;
                self.is_known |= !is_told;
                let what = match is_told {
                    true => What::Nothing,
                    false => What::Unknown(format!("{error:#}")),
                };
                let standing = None;
                return Some(News { standing, what });
            }
        };
        let standing = Some(words::standing(&explained));
        let alert = explained.alerts.first().cloned();
        let what = match alert {
            Some(id) if self.alert.as_ref() != Some(&id) => {
                self.alert = Some(id.clone());
                What::Alert(id)
            }
            _ if !self.is_known => What::Expected(Box::new(explained)),
            _ => What::Nothing,
        };
        self.is_known = true;
        Some(News { standing, what })
    }

    fn explained(&mut self) -> Result<Explained> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::connect()?,
        };
        let explained = client.explain(self.pid)?;
        self.client = Some(client);
        Ok(explained)
    }
}

impl News {
    /// What is printed of it.
    pub fn text(&self, leak: &DemoLeak, past: Duration) -> Option<String> {
        match &self.what {
            What::Nothing => None,
            What::Unknown(why) => Some(format!("nobody has noticed it yet: {why}\n")),
            What::Expected(explained) => Some(words::expected(leak, explained) + "\n"),
            What::Alert(id) => Some(words::raised(id, past)),
        }
    }
}
