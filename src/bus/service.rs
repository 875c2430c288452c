use std::time::Duration;

use anyhow::{Context, Result};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, ObjectPath, connection, fdo};

use super::alert_object::{AlertObjects, path};
use super::interface::Memleakd1;
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
    connected: Option<Connected>,
    shared: Shared,
}

/// A connection on which the name is ours, and the alerts that are objects there.
#[derive(Debug)]
struct Connected {
    connection: Connection,
    objects: AlertObjects,
}

impl Service {
    /// Not yet connected.
    pub fn new(shared: Shared) -> Self {
        Self {
            connected: None,
            shared,
        }
    }

    /// The connection, made anew if the bus was restarted and has lost it, with an object for each
    /// alert that is open now.
    fn connected(&mut self) -> Result<&Connection> {
        let before = self.connected.take();
        let mut connected = match before.filter(|connected| is_ours(&connected.connection)) {
            Some(connected) => connected,
            None => Connected {
                connection: connect(&self.shared)?,
                objects: AlertObjects::default(),
            },
        };
        let Connected {
            connection,
            objects,
        } = &mut connected;
        zbus::block_on(objects.sync(connection, &self.shared))
            .context("renewing the alerts on the system bus")?;
        Ok(&self.connected.insert(connected).connection)
    }
}

impl Sink for Service {
    fn send(&mut self, delivery: &Delivery) -> Result<()> {
        let connection = self.connected()?;
        let mut changes = delivery.changes.iter();
        changes.try_for_each(|change| announce(connection, change))
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
    let object = Memleakd1::new(shared.clone());
    zbus::block_on(async {
        connection::Builder::system()
            .method_timeout(TIMEOUT)
            .serve_at(PATH, fdo::ObjectManager)
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
    zbus::block_on(async {
        let emitter = SignalEmitter::new(connection, PATH)?;
        let path = ObjectPath::try_from(path(&alert.id))?;
        match alert.change {
            Change::Raised => Memleakd1::alert_raised(&emitter, path, &severity).await,
            Change::Cleared => Memleakd1::alert_cleared(&emitter, path, &severity).await,
            Change::Escalated | Change::Reminded | Change::Updated => {
                Memleakd1::alert_changed(&emitter, path, &severity).await
            }
        }
    })
    .context("announcing an alert on the system bus")
}
