use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use glob::Pattern;
use jiff::Timestamp;
use tracing::{info, warn};
use zbus::proxy::CacheProperties;
use zbus::{Connection, ObjectPath, Variant, connection, fdo, proxy};

use super::TEST_PATH;
use super::follow::{Heard, follow};
use super::inbox::Inbox;
use crate::alert::Alert;
use crate::bus::{Dictionary, NAME, Status, from_dictionary};
use crate::report::Report;
use crate::sample::printable;
use crate::wait::Backoff;

/// How long memleakd may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More alerts than memleakd has.
const MAX_ALERTS: usize = 1000;
/// A pattern of a silence that memleakd takes has at most so many characters.
const MAX_PATTERN: usize = 256;
/// How long an alert is silenced, in seconds.
const SILENCE_SECS: u64 = 3600;

#[proxy(
    interface = "org.memleakd.Memleakd1",
    default_path = "/org/memleakd/Memleakd1"
)]
trait Memleakd1 {
    async fn list_alerts(&self) -> fdo::Result<Vec<Dictionary>>;
    async fn get_status(&self) -> fdo::Result<Dictionary>;
    async fn get_report(&self, id: &str) -> fdo::Result<Dictionary>;
    async fn get_curve(&self, pid: u32, start_time: u64) -> fdo::Result<Dictionary>;
    #[zbus(allow_interactive_auth)]
    async fn acknowledge(&self, id: &str) -> fdo::Result<()>;
    #[zbus(allow_interactive_auth)]
    async fn silence(
        &self,
        matcher: HashMap<&str, Variant<'_>>,
        secs: u64,
        comment: &str,
    ) -> fdo::Result<String>;
}

/// memleakd as it runs now: on this connection, under this unique name.
///
/// By that name it is called, so that no call starts one that somebody has stopped.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    connection: Connection,
    owner: String,
}

impl Daemon {
    /// The open alerts that the user may see. One that cannot be read is left out and said.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        let listed = zbus::block_on(async {
            let daemon = self.proxy().await?;
            let listed = daemon.list_alerts().await?;
            if listed.is_empty() {
                // Before its first round memleakd knows of none, and has no version yet.
                let status: Status = from_dictionary(daemon.get_status().await?)?;
                if status.version.is_empty() {
                    bail!("memleakd has only just started");
                }
            }
            Ok(listed)
        })
        .context("asking memleakd for its alerts")?;
        let read = |alert| {
            from_dictionary(alert)
                .inspect_err(|error| {
                    warn!("memleakd has an alert that cannot be read ({error}): is it of another version than this program?");
                })
                .ok()
        };
        Ok(listed
            .into_iter()
            .take(MAX_ALERTS)
            .filter_map(read)
            .collect())
    }

    /// The report of an alert as it stands: as much of it as the user may see.
    pub fn report(&self, alert: &Alert) -> Report {
        let (kept, curve) = zbus::block_on(async {
            let Ok(daemon) = self.proxy().await else {
                return (None, None);
            };
            let kept = daemon.get_report(&alert.id).await.ok();
            let curve = daemon.get_curve(alert.pid, alert.start_time).await.ok();
            (kept, curve)
        });
        let kept = kept.and_then(|report| from_dictionary::<Report>(report).ok());
        let kept = kept.filter(|report| report.is_of(alert));
        let mut report = kept.unwrap_or_else(|| Report {
            sites: alert.sites.clone(),
            ..Report::of(alert)
        });
        report.tell(alert, None);
        report.curve = curve.and_then(|curve| from_dictionary(curve).ok());
        report.time = report.curve.as_ref().map(|_| Timestamp::now());
        report
    }

    /// Takes note of an alert, for the person. Waits for as long as the person is asked for a
    /// password. Errors are sentences.
    pub fn acknowledge(&self, id: &str) -> Result<(), String> {
        self.ask(async |daemon| daemon.acknowledge(id).await)
    }

    /// Has nobody told of what an alert is about for an hour, in the same way.
    pub fn silence(&self, alert: &Alert) -> Result<(), String> {
        let (kind, pattern) = matcher(alert);
        self.ask(async |daemon| {
            let matcher = HashMap::from([(kind, Variant::from(pattern))]);
            let id = daemon
                .silence(matcher, SILENCE_SECS, "from the desktop")
                .await?;
            info!("silence {} was made", printable(id.as_bytes()));
            Ok(())
        })
    }

    fn ask(
        &self,
        call: impl AsyncFnOnce(&Memleakd1Proxy<'_>) -> fdo::Result<()>,
    ) -> Result<(), String> {
        zbus::block_on(async { call(&self.proxy().await?).await }).map_err(explain)
    }

    async fn proxy(&self) -> zbus::Result<Memleakd1Proxy<'_>> {
        Memleakd1Proxy::builder(&self.connection)
            .destination(self.owner.as_str())
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }
}

/// Follows memleakd on the system bus, for good: what comes goes into the inbox. A bus that is not
/// there, or goes away, is tried again.
pub(super) fn watch(inbox: &Inbox) -> ! {
    let mut backoff = Backoff::default();
    let mut told = String::new();
    loop {
        let connected = zbus::block_on(
            connection::Builder::system()
                .method_timeout(TIMEOUT)
                .build(),
        );
        let ended = connected.and_then(|connection| {
            follow(&connection, NAME, |heard| match heard {
                Heard::Owner(owner) => {
                    backoff.reset();
                    told.clear();
                    inbox.put_daemon(owner.map(|owner| Daemon {
                        connection: connection.clone(),
                        owner: owner.to_owned(),
                    }));
                }
                Heard::Signal(signal) if is_test(signal) => inbox.test(),
                Heard::Signal(_) => inbox.hint(),
            })
        });
        inbox.put_daemon(None);
        let why = match ended {
            Ok(()) => "the system bus has closed the connection".to_owned(),
            Err(error) => format!("there is no system bus to hear of memleakd on ({error})"),
        };
        // Said once, as it may be so for hours.
        if told != why {
            warn!("{why}, trying again");
            told = why;
        }
        thread::sleep(backoff.next(0.0));
    }
}

/// Whether a signal is the one by which memleakd tests the way to the screen.
fn is_test(signal: &zbus::Message) -> bool {
    let header = signal.header();
    let is_raised = header
        .member()
        .is_some_and(|member| member.as_str() == "AlertRaised");
    let body = signal.body();
    let path = body.deserialize::<(ObjectPath<'_>, &str)>();
    is_raised && path.is_ok_and(|(path, _)| path.as_str() == TEST_PATH)
}

/// What silences an alert and what is like it: the kind of pattern, and the pattern. A user's unit
/// comes first, as it lies within a system unit that is all of the user's.
fn matcher(alert: &Alert) -> (&'static str, String) {
    let unit = alert.user_unit.as_ref().or(alert.unit.as_ref());
    let exe = alert.exe.as_ref();
    let candidates = [("Unit", unit), ("Exe", exe)];
    let mut fitting = candidates.into_iter().filter_map(|(kind, text)| {
        // The text is somebody's choice: none of its characters is to mean another one.
        let pattern = Pattern::escape(text?);
        let fits = !pattern.is_empty() && pattern.chars().count() <= MAX_PATTERN;
        fits.then_some((kind, pattern))
    });
    let first = fitting.next();
    first.unwrap_or_else(|| ("Comm", Pattern::escape(&alert.comm)))
}

/// Why memleakd did not do what the person wants.
fn explain(error: fdo::Error) -> String {
    let of_daemon = |message: &str| printable(message.as_bytes());
    match &error {
        fdo::Error::AccessDenied(_)
        | fdo::Error::AuthFailed(_)
        | fdo::Error::InteractiveAuthorizationRequired(_) => {
            "You are not allowed to do this, or did not confirm it.".to_owned()
        }
        fdo::Error::UnknownObject(_) => "The alert is over.".to_owned(),
        fdo::Error::ServiceUnknown(_)
        | fdo::Error::NameHasNoOwner(_)
        | fdo::Error::NoReply(_)
        | fdo::Error::Disconnected(_) => "memleakd has ended, or does not answer.".to_owned(),
        fdo::Error::UnknownMethod(_) => {
            "memleakd is of another version than this program: log out and in again.".to_owned()
        }
        fdo::Error::Failed(message)
        | fdo::Error::InvalidArgs(message)
        | fdo::Error::LimitsExceeded(message) => of_daemon(message),
        error => of_daemon(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;
    use crate::bus::PATH;

    #[test]
    fn a_silence_is_of_the_nearest_unit_else_of_the_executable() {
        let text = |text: &str| Some(text.to_owned());
        for (user_unit, unit, exe, comm, expected) in [
            (
                text("app.service"),
                text("user@1.service"),
                text("/bin/a"),
                "a",
                ("Unit", "app.service"),
            ),
            (
                None,
                text("db.service"),
                text("/bin/a"),
                "a",
                ("Unit", "db.service"),
            ),
            (None, None, text("/bin/a"), "a", ("Exe", "/bin/a")),
            (None, None, text("/tmp/*"), "a", ("Exe", "/tmp/[*]")),
            (None, text(""), None, "a[b]", ("Comm", "a[[]b[]]")),
            (None, None, Some("x".repeat(257)), "a?", ("Comm", "a[?]")),
        ] {
            let alert = Alert {
                user_unit,
                unit,
                exe,
                comm: comm.to_owned(),
                ..alert()
            };
            let (kind, pattern) = matcher(&alert);
            assert_eq!((kind, pattern.as_str()), expected);
        }
    }

    #[test]
    fn only_that_one_signal_is_a_test() {
        let signal = |member: &str, path: &str| {
            let path = ObjectPath::try_from(path).expect("a path");
            zbus::Message::signal(PATH, NAME, member)
                .build(&(path, "warning"))
                .expect("a signal")
        };
        assert!(is_test(&signal("AlertRaised", TEST_PATH)));
        assert!(!is_test(&signal("AlertCleared", TEST_PATH)));
        assert!(!is_test(&signal("AlertRaised", &format!("{TEST_PATH}s"))));
        let of_texts = zbus::Message::signal(PATH, NAME, "AlertRaised");
        let of_texts = of_texts.build(&(TEST_PATH, "warning")).expect("a signal");
        assert!(!is_test(&of_texts));
    }
}
