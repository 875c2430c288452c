use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ureq::http::{HeaderValue, StatusCode, Uri, header};
use ureq::{Agent, Error};

use super::Post;
use super::trust::{authorization, tls};
use crate::config;
use crate::sample::printable;
use crate::site::words::shorten;

/// Characters of what the server says that are told on.
const MAX_WORDS: usize = 300;

/// How to reach and convince Alertmanager. The password leaves only over the connection.
#[derive(Debug)]
pub struct Server {
    agent: Agent,
    name: String,
    url: Uri,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// What came of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Taken,
    /// Something in it is wrong, in the server's words: the same again will be refused again.
    Refused(String),
    /// Not now, and why.
    Later(String),
}

impl Server {
    /// Reads the certificates and the password that `[alertmanager]` names.
    ///
    /// `credentials` is the directory where the service manager puts the service's credentials.
    pub fn new(settings: &config::Alertmanager, credentials: Option<&Path>) -> Result<Self> {
        ensure!(
            !settings.url.is_empty(),
            "alertmanager.url is not set: nobody is to be told of alerts"
        );
        // Not shown, as there may be a login in it.
        let base: Uri = settings
            .url
            .parse()
            .context("alertmanager.url is not a URL")?;
        let authority = base.authority().context("alertmanager.url has no host")?;
        // It would be shown whenever the URL is.
        ensure!(
            !authority.as_str().contains('@'),
            "alertmanager.url has a login in it: set alertmanager.username and alertmanager.password_file instead"
        );
        ensure!(
            base.query().is_none(),
            "alertmanager.url has a question mark: it is the address below which api/v2/alerts is"
        );
        let name = authority.to_string();
        let url = format!("{}/api/v2/alerts", settings.url.trim_end_matches('/'));
        let timeout = settings.timeout.duration();
        let agent = Agent::config_builder()
            .tls_config(tls(settings)?)
            // Nobody else is to be told: no proxy of the environment, no other place of a server's.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            // One request a minute; a connection that is kept is one that may have gone.
            .max_idle_connections(0)
            .user_agent(concat!("memleakd/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            name,
            url: url.parse().context("alertmanager.url")?,
            authorization: authorization(settings, credentials)?,
            timeout,
        })
    }

    /// Name and port, as log lines show them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the password would be read by whoever listens on the way.
    pub fn is_in_the_clear(&self) -> bool {
        let host = self.url.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_local = match host.parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host == "localhost",
        };
        self.authorization.is_some() && self.url.scheme_str() == Some("http") && !is_local
    }

    /// Posts alerts, all at once.
    pub fn post(&self, posts: &[Post]) -> Verdict {
        let body = match serde_json::to_vec(posts) {
            Ok(body) => body,
            Err(error) => return Verdict::Refused(format!("it cannot be written: {error}")),
        };
        let mut request = self
            .agent
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let mut response = match request.send(&body[..]) {
            Ok(response) => response,
            Err(error) => return Verdict::Later(self.explain(&error)),
        };
        let status = response.status();
        if status.is_success() {
            return Verdict::Taken;
        }
        let mut words = Vec::new();
        // What it says is welcome and not needed.
        let reader = response.body_mut().as_reader();
        drop(reader.take(4096).read_to_end(&mut words));
        let words = told(status, &words);
        match status {
            // What is wrong with a request, and not with who sends it or with the server.
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => Verdict::Refused(words),
            _ => Verdict::Later(words),
        }
    }

    fn explain(&self, error: &Error) -> String {
        match error {
            Error::Timeout(_) => format!("no answer within {} s", self.timeout.as_secs_f64()),
            Error::HostNotFound => "the host is not known".to_owned(),
            Error::Io(error) => chain(error),
            Error::Rustls(error) => chain(error),
            error => shorten(&printable(error.to_string().as_bytes()), MAX_WORDS),
        }
    }
}

/// The server's answer in a line of the log: `400 Bad Request: …`.
fn told(status: StatusCode, body: &[u8]) -> String {
    let mut told = status.to_string();
    // Alertmanager answers with a text in JSON.
    let text = serde_json::from_slice::<String>(body)
        .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    let text: Vec<_> = text.split_whitespace().collect();
    if !text.is_empty() {
        let text = printable(text.join(" ").as_bytes());
        write!(told, ": {}", shorten(&text, MAX_WORDS)).expect("a String takes any text");
    }
    told
}

/// An error with its causes, as far as they say more.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    shorten(&printable(text.as_bytes()), MAX_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_one_harmless_line() {
        for (body, words) in [
            (&b""[..], "400 Bad Request"),
            (
                b"\"start time must be before end time\"\n",
                "400 Bad Request: start time must be before end time",
            ),
            (
                b"<html>\n<b>no</b>\n\x1b[2J</html>",
                r"400 Bad Request: <html> <b>no</b> \u{1b}[2J</html>",
            ),
        ] {
            assert_eq!(told(StatusCode::BAD_REQUEST, body), words);
        }
        let long = told(StatusCode::BAD_REQUEST, &[b'x'; 4096]);
        assert!(long.chars().count() <= MAX_WORDS + 20, "{long}");
    }

    #[test]
    fn an_address_that_is_none_is_one_sentence() {
        let open = |url: &str| {
            let settings = config::Alertmanager {
                url: url.to_owned(),
                ..config::Alertmanager::default()
            };
            Server::new(&settings, None).map(|server| (server.name.clone(), server.url.to_string()))
        };
        for (url, expected) in [
            (
                "http://localhost:9093",
                "http://localhost:9093/api/v2/alerts",
            ),
            ("http://[::1]:9093/", "http://[::1]:9093/api/v2/alerts"),
            (
                "https://example.org/alertmanager/",
                "https://example.org/alertmanager/api/v2/alerts",
            ),
        ] {
            assert_eq!(open(url).expect("opens").1, expected);
        }
        for (url, words) in [
            ("", "is not set"),
            ("http://ops:s3cret@example.org", "has a login in it"),
            ("http://example.org/?a=b", "has a question mark"),
            ("http://exa mple.org", "is not a URL"),
        ] {
            let error = format!("{:#}", open(url).expect_err("is none"));
            assert!(
                error.contains(words) && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
