use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use zbus::{Connection, ObjectPath, connection, fdo, proxy};

use super::dictionary::{Dictionary, from_dictionary, to_dictionary};
use super::{Explained, Measured, NAME, Process, Status};
use crate::alert::{Alert, Matcher, Silence};
use crate::collect::Capture;
use crate::curve::Curve;
use crate::quantity::Span;
use crate::report::Report;

/// How long the daemon may take to answer: it waits for people who look for a password, and for
/// tests on their way.
const TIMEOUT: Duration = Duration::from_secs(120);

#[proxy(
    interface = "org.memleakd.Memleakd1",
    default_service = "org.memleakd.Memleakd1",
    default_path = "/org/memleakd/Memleakd1"
)]
trait Memleakd1 {
    async fn list_alerts(&self) -> fdo::Result<Vec<Dictionary>>;
    #[zbus(allow_interactive_auth)]
    async fn get_alert(&self, id: &str) -> fdo::Result<Dictionary>;
    async fn get_processes(&self, count: u32) -> fdo::Result<Vec<Dictionary>>;
    async fn get_measured(&self, source: &str, count: u32) -> fdo::Result<Vec<Dictionary>>;
    #[zbus(allow_interactive_auth)]
    async fn capture(&self, pid: u32, secs: f64) -> fdo::Result<u64>;
    async fn get_capture(&self, id: u64) -> fdo::Result<Dictionary>;
    #[zbus(allow_interactive_auth)]
    async fn explain(&self, pid: u32) -> fdo::Result<Dictionary>;
    #[zbus(allow_interactive_auth)]
    async fn get_curve(&self, pid: u32, start_time: u64) -> fdo::Result<Dictionary>;
    #[zbus(allow_interactive_auth)]
    async fn get_report(&self, id: &str) -> fdo::Result<Dictionary>;
    #[zbus(allow_interactive_auth)]
    async fn acknowledge(&self, id: &str) -> fdo::Result<()>;
    #[zbus(allow_interactive_auth)]
    async fn silence(&self, matcher: Dictionary, secs: u64, comment: &str) -> fdo::Result<String>;
    #[zbus(allow_interactive_auth)]
    async fn unsilence(&self, id: &str) -> fdo::Result<()>;
    #[zbus(allow_interactive_auth)]
    async fn list_silences(&self) -> fdo::Result<Vec<Dictionary>>;
    #[zbus(allow_interactive_auth)]
    async fn reload(&self) -> fdo::Result<()>;
    #[zbus(allow_interactive_auth)]
    async fn test_sink(&self, sink: &str) -> fdo::Result<String>;

    #[zbus(signal)]
    fn alert_raised(&self, alert: ObjectPath<'_>, severity: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    fn alert_changed(&self, alert: ObjectPath<'_>, severity: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    fn alert_cleared(&self, alert: ObjectPath<'_>, severity: &str) -> zbus::Result<()>;
    async fn get_status(&self) -> fdo::Result<Dictionary>;
}

/// The client's side of the bus. Errors are sentences for the person at the terminal.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects to the system bus.
    pub fn connect() -> Result<Self> {
        Self::connect_within(TIMEOUT)
    }

    /// Connects to the system bus, where every answer may take so long.
    pub fn connect_within(timeout: Duration) -> Result<Self> {
        let connection = zbus::block_on(
            connection::Builder::system()
                .method_timeout(timeout)
                .build(),
        )
        .map_err(|error| {
            anyhow!("there is no system bus to ask memleakd on ({error}): is dbus running?")
        })?;
        Ok(Self { connection })
    }

    /// Connects to another bus than the system's, by its address.
    pub fn connect_to(address: &str) -> Result<Self> {
        let builder = connection::Builder::address(address).method_timeout(TIMEOUT);
        let connection = zbus::block_on(builder.build());
        let connection = connection.with_context(|| format!("connecting to {address}"))?;
        Ok(Self { connection })
    }

    /// Whether somebody has the daemon's name. Nobody is started by asking.
    pub fn finds_daemon(&self) -> bool {
        let has_owner = zbus::block_on(async {
            let bus = fdo::DBusProxy::new(&self.connection).await?;
            bus.name_has_owner(NAME.try_into()?).await
        });
        has_owner.unwrap_or(false)
    }

    /// Figures of the daemon.
    pub fn status(&self) -> Result<Status> {
        self.ask(async |daemon| daemon.get_status().await)
            .and_then(read)
    }

    /// The open alerts.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        self.ask(async |daemon| daemon.list_alerts().await)?
            .into_iter()
            .map(read)
            .collect()
    }

    /// One open alert.
    pub fn alert(&self, id: &str) -> Result<Alert> {
        self.ask(async |daemon| daemon.get_alert(id).await)
            .and_then(read)
    }

    /// The fastest growing processes.
    pub fn processes(&self, count: u32) -> Result<Vec<Process>> {
        self.ask(async |daemon| daemon.get_processes(count).await)?
            .into_iter()
            .map(read)
            .collect()
    }

    /// The processes that are measured, or were to be, by a source's name on the bus.
    pub fn measured(&self, source: &str, count: u32) -> Result<Vec<Measured>> {
        self.ask(async |daemon| daemon.get_measured(source, count).await)?
            .into_iter()
            .map(read)
            .collect()
    }

    /// Begins to measure a process for a time. Returns what to ask the result by.
    pub fn start_capture(&self, pid: u32, time: Span) -> Result<u64> {
        self.call(async |daemon| daemon.capture(pid, time.secs()).await)?
            .map_err(|error| explain_of(pid, error))
    }

    /// Why a process is taken for one that leaks, or why not.
    pub fn explain(&self, pid: u32) -> Result<Explained> {
        self.call(async |daemon| daemon.explain(pid).await)?
            .map_err(|error| explain_of(pid, error))
            .and_then(read)
    }

    /// How a process came to its size, also one that has ended. It is told from others of its number
    /// by when it started, in clock ticks since boot; 0 is the one that runs.
    pub fn curve(&self, pid: u32, start_time: u64) -> Result<Curve> {
        self.call(async |daemon| daemon.get_curve(pid, start_time).await)?
            .map_err(|error| explain_of(pid, error))
            .and_then(read)
    }

    /// The report of an alert.
    pub fn report(&self, id: &str) -> Result<Report> {
        self.call(async |daemon| daemon.get_report(id).await)?
            .map_err(|error| match error {
                // Those of alerts that are over are kept as well: no list says which.
                fdo::Error::UnknownObject(message) => anyhow!(message),
                error => explain(error),
            })
            .and_then(read)
    }

    /// Takes note of an alert.
    pub fn acknowledge(&self, id: &str) -> Result<()> {
        self.ask(async |daemon| daemon.acknowledge(id).await)
    }

    /// Spares people some alerts for a time. Returns what to take that back by.
    pub fn silence(&self, matcher: &Matcher, time: Span, comment: &str) -> Result<String> {
        let matcher = to_dictionary(matcher).context("writing what is silenced")?;
        let secs = time.secs() as u64;
        self.ask(async |daemon| daemon.silence(matcher, secs, comment).await)
    }

    /// Takes a silence back.
    pub fn unsilence(&self, id: &str) -> Result<()> {
        self.ask(async |daemon| daemon.unsilence(id).await)
    }

    /// The silences that stand, the one that ends first in front.
    pub fn silences(&self) -> Result<Vec<Silence>> {
        let silences = self.ask(async |daemon| daemon.list_silences().await)?;
        silences.into_iter().map(read).collect()
    }

    /// Has the configuration read again.
    pub fn reload(&self) -> Result<()> {
        self.ask(async |daemon| daemon.reload().await)
    }

    /// Has a test alert sent by a sink. Returns what there is to say of its success.
    pub fn test(&self, sink: &str) -> Result<String> {
        self.ask(async |daemon| daemon.test_sink(sink).await)
    }

    /// The result of a capture, once; `None` as long as it runs.
    pub fn captured(&self, id: u64) -> Result<Option<Capture>> {
        let captured = self.ask(async |daemon| daemon.get_capture(id).await)?;
        match captured.is_empty() {
            true => Ok(None),
            false => read(captured).map(Some),
        }
    }

    fn ask<T>(&self, call: impl AsyncFnOnce(&Memleakd1Proxy<'_>) -> fdo::Result<T>) -> Result<T> {
        self.call(call)?.map_err(explain)
    }

    fn call<T>(
        &self,
        call: impl AsyncFnOnce(&Memleakd1Proxy<'_>) -> fdo::Result<T>,
    ) -> Result<fdo::Result<T>> {
        zbus::block_on(async {
            let daemon = Memleakd1Proxy::new(&self.connection)
                .await
                .context("addressing memleakd")?;
            Ok(call(&daemon).await)
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(dictionary: Dictionary) -> Result<T> {
    from_dictionary(dictionary)
        .context("memleakd's answer cannot be read: is it of another version than this program?")
}

/// What is wrong with asking after a process.
fn explain_of(pid: u32, error: fdo::Error) -> anyhow::Error {
    match error {
        fdo::Error::AccessDenied(_) => {
            anyhow!("process {pid} belongs to another user: try again as root")
        }
        error => explain(error),
    }
}

fn explain(error: fdo::Error) -> anyhow::Error {
    match error {
        fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => {
            anyhow!("memleakd does not run: start it with \"systemctl start memleakd\"")
        }
        fdo::Error::AccessDenied(_) => {
            anyhow!("memleakd may not be asked that by this user: try again as root")
        }
        fdo::Error::UnknownObject(message) => {
            anyhow!("{message}: \"memleakctl alerts\" lists the open ones")
        }
        // What the daemon says of what was asked is a sentence.
        fdo::Error::Failed(message)
        | fdo::Error::InvalidArgs(message)
        | fdo::Error::LimitsExceeded(message)
        | fdo::Error::UnixProcessIdUnknown(message) => anyhow!(message),
        fdo::Error::UnknownMethod(_) => {
            anyhow!("memleakd is of another version than this program: restart it")
        }
        // The bus had it started, or systemd says that it runs, and still it has not come.
        fdo::Error::TimedOut(_) => anyhow!(
            "memleakd has not come to the bus: dbus.enabled may be false, or see \"systemctl status memleakd\""
        ),
        fdo::Error::NoReply(_) | fdo::Error::Timeout(_) => {
            anyhow!("memleakd does not answer: see \"systemctl status memleakd\"")
        }
        error => anyhow!("memleakd could not be asked: {error}"),
    }
}
