use std::time::Duration;

use anyhow::{Context, Result};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, connection, fdo, interface};

use super::dictionary::{Dictionary, to_dictionary};
use super::{NAME, PATH, Shared};
use crate::alert::{Alert, Change};
use crate::sink::{Delivery, Sink};

/// How long the bus may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The daemon's side of the bus: answers calls, and as a sink announces changes.
///
/// zbus drives the connection on a thread of its own. Connecting is done where a sink may take its
/// time: a bus that hangs holds up nobody.
#[derive(Debug)]
pub struct Service {
    connection: Option<Connection>,
    shared: Shared,
}

impl Service {
    /// Not yet connected.
    pub fn new(shared: Shared) -> Self {
        Self {
            connection: None,
            shared,
        }
    }

    /// The connection, made anew if the bus was restarted and has lost it.
    fn connected(&mut self) -> Result<&Connection> {
        let connection = match self.connection.take().filter(is_ours) {
            Some(connection) => connection,
            None => connect(&self.shared)?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Sink for Service {
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        announce(self.connected()?, &delivery.alert)
    }

    fn tend(&mut self) -> Option<Result<()>> {
        Some(self.connected().map(drop))
    }
}

/// Whether the name is still ours on this connection.
fn is_ours(connection: &Connection) -> bool {
    let owner = zbus::block_on(async {
        let bus = fdo::DBusProxy::new(connection).await?;
        bus.get_name_owner(NAME.try_into()?).await
    });
    owner.is_ok_and(|owner| connection.unique_name().is_some_and(|own| *own == owner))
}

fn connect(shared: &Shared) -> Result<Connection> {
    let object = Memleakd1 {
        shared: shared.clone(),
    };
    zbus::block_on(async {
        connection::Builder::system()
            .method_timeout(TIMEOUT)
            .serve_at(PATH, object)
            // Another daemon's name is not taken away, nor is ours given away.
            .allow_name_replacements(false)
            .replace_existing_names(false)
            .name(NAME)
            .build()
            .await
    })
    .with_context(|| format!("taking the name {NAME} on the system bus"))
}

fn announce(connection: &Connection, alert: &Alert) -> Result<()> {
    let severity = alert.severity.to_string();
    let change = alert.change.to_string();
    zbus::block_on(async {
        let emitter = SignalEmitter::new(connection, PATH)?;
        match alert.change {
            Change::Raised => Memleakd1::alert_raised(&emitter, &alert.id, &severity).await,
            Change::Cleared => Memleakd1::alert_cleared(&emitter, &alert.id, &severity).await,
            Change::Escalated | Change::Reminded | Change::Updated => {
                Memleakd1::alert_changed(&emitter, &alert.id, &severity, &change).await
            }
        }
    })
    .context("announcing an alert on the system bus")
}

/// The object.
struct Memleakd1 {
    shared: Shared,
}

impl Memleakd1 {
    /// Whom the caller may know about: root and the daemon's own user everybody, others themselves.
    async fn audience(connection: &Connection, header: &Header<'_>) -> fdo::Result<Audience> {
        let sender = header
            .sender()
            .ok_or_else(|| fdo::Error::AccessDenied("who are you?".to_owned()))?;
        let uid = fdo::DBusProxy::new(connection)
            .await?
            .get_connection_unix_user(sender.clone().into())
            .await?;
        let own = rustix::process::geteuid().as_raw();
        Ok(if uid == 0 || uid == own {
            Audience::Everybody
        } else {
            Audience::User(uid)
        })
    }
}

/// Whose processes a caller may know about.
#[derive(Clone, Copy)]
enum Audience {
    Everybody,
    User(u32),
}

impl Audience {
    fn may_see(self, uid: u32) -> bool {
        match self {
            Self::Everybody => true,
            Self::User(own) => own == uid,
        }
    }
}

/// Finds processes that leak memory. Users other than root see their own processes only.
#[interface(name = "org.memleakd.Memleakd1")]
impl Memleakd1 {
    /// The open alerts, the most severe first.
    #[zbus(out_args("alerts"))]
    async fn list_alerts(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Vec<Dictionary>> {
        let audience = Self::audience(connection, &header).await?;
        let alerts = self.shared.lock().alerts.clone();
        let seen = alerts.iter().filter(|alert| audience.may_see(alert.uid));
        Ok(seen.map(to_dictionary).collect::<zbus::Result<_>>()?)
    }

    /// One open alert, by its id.
    #[zbus(out_args("alert"))]
    async fn get_alert(
        &self,
        id: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let audience = Self::audience(connection, &header).await?;
        let found = self
            .shared
            .lock()
            .alerts
            .iter()
            .find(|alert| alert.id == id)
            .cloned();
        match found.filter(|alert| audience.may_see(alert.uid)) {
            Some(alert) => Ok(to_dictionary(&alert)?),
            None => Err(fdo::Error::UnknownObject(
                "there is no open alert with that id".to_owned(),
            )),
        }
    }

    /// The fastest growing processes, at most `count` and not more than a hundred.
    #[zbus(out_args("processes"))]
    async fn get_processes(
        &self,
        count: u32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Vec<Dictionary>> {
        let audience = Self::audience(connection, &header).await?;
        let processes = self.shared.lock().processes.clone();
        let seen = processes
            .iter()
            .filter(|process| audience.may_see(process.uid))
            .take(count as usize);
        Ok(seen.map(to_dictionary).collect::<zbus::Result<_>>()?)
    }

    /// Figures of the daemon.
    #[zbus(out_args("status"))]
    fn get_status(&self) -> fdo::Result<Dictionary> {
        Ok(to_dictionary(&self.shared.lock().status)?)
    }

    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// Processes watched.
    #[zbus(property(emits_changed_signal = "false"))]
    fn processes_watched(&self) -> u64 {
        self.shared.lock().status.processes as u64
    }

    /// Processes that grow like a leak, whether or not for long enough.
    #[zbus(property(emits_changed_signal = "false"))]
    fn suspects(&self) -> u64 {
        self.shared.lock().status.suspects as u64
    }

    /// Open alerts.
    #[zbus(property(emits_changed_signal = "false"))]
    fn alerts_firing(&self) -> u64 {
        self.shared.lock().status.alerts as u64
    }

    /// An alert was raised. Details are to be asked for: signals reach every local user.
    #[zbus(signal)]
    async fn alert_raised(
        emitter: &SignalEmitter<'_>,
        id: &str,
        severity: &str,
    ) -> zbus::Result<()>;

    /// An alert was escalated, reminded or updated.
    #[zbus(signal)]
    async fn alert_changed(
        emitter: &SignalEmitter<'_>,
        id: &str,
        severity: &str,
        change: &str,
    ) -> zbus::Result<()>;

    /// An alert was cleared.
    #[zbus(signal)]
    async fn alert_cleared(
        emitter: &SignalEmitter<'_>,
        id: &str,
        severity: &str,
    ) -> zbus::Result<()>;
}
