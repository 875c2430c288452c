//! Each open alert as an object on the bus.
//!
//! What is added, changed and removed is broadcast to every local user, so that these objects have
//! nothing that tells of whose process it is: details are to be asked for by `GetAlert`.

use std::collections::BTreeMap;

use zbus::{Connection, interface};

use super::{ALERTS, Shared};
use crate::alert::{Alert, State};

/// What everybody may know of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Public {
    severity: String,
    state: &'static str,
    is_acknowledged: bool,
    is_silenced: bool,
    is_inhibited: bool,
}

/// The objects that are there, with what was said of them.
#[derive(Debug, Default)]
pub(super) struct AlertObjects {
    there: BTreeMap<String, Public>,
}

/// One alert.
struct AlertObject {
    id: String,
    public: Public,
}

/// The path of an alert.
pub(super) fn path(id: &str) -> String {
    format!("{ALERTS}/{id}")
}

impl AlertObjects {
    /// Brings the objects in line with the open alerts.
    pub async fn sync(&mut self, connection: &Connection, shared: &Shared) -> zbus::Result<()> {
        let alerts = shared.lock().alerts.clone();
        let now: BTreeMap<String, Public> = alerts
            .iter()
            .map(|alert| (alert.id.clone(), Public::from(alert)))
            .collect();
        let server = connection.object_server();
        let gone = self.there.keys().filter(|id| !now.contains_key(*id));
        for id in gone.cloned().collect::<Vec<_>>() {
            server.remove::<AlertObject, _>(path(&id)).await?;
            self.there.remove(&id);
        }
        for (id, public) in now {
            match self.there.get(&id) {
                Some(before) if *before == public => continue,
                Some(before) => change(connection, &id, before, &public).await?,
                None => {
                    let object = AlertObject {
                        id: id.clone(),
                        public: public.clone(),
                    };
                    server.at(path(&id), object).await?;
                }
            }
            self.there.insert(id, public);
        }
        Ok(())
    }
}

/// Sets the properties of an object, and says which are other than before.
async fn change(
    connection: &Connection,
    id: &str,
    before: &Public,
    now: &Public,
) -> zbus::Result<()> {
    let server = connection.object_server();
    let object = server.interface::<_, AlertObject>(path(id)).await?;
    object.get_mut().await.public = now.clone();
    let emitter = object.signal_emitter();
    let alert = object.get().await;
    if before.severity != now.severity {
        alert.severity_changed(emitter).await?;
    }
    if before.state != now.state {
        alert.state_changed(emitter).await?;
    }
    if before.is_acknowledged != now.is_acknowledged {
        alert.acknowledged_changed(emitter).await?;
    }
    if before.is_silenced != now.is_silenced {
        alert.silenced_changed(emitter).await?;
    }
    if before.is_inhibited != now.is_inhibited {
        alert.inhibited_changed(emitter).await?;
    }
    Ok(())
}

impl From<&Alert> for Public {
    fn from(alert: &Alert) -> Self {
        Self {
            severity: alert.severity.to_string(),
            state: match alert.state {
                State::Firing => "firing",
                State::Stale => "stale",
                State::Cleared => "cleared",
            },
            is_acknowledged: alert.acknowledged.is_some(),
            is_silenced: alert.silenced_until.is_some(),
            is_inhibited: alert.inhibited_by.is_some(),
        }
    }
}

/// An open alert, as far as it is everybody's business.
#[interface(name = "org.memleakd.Memleakd1.Alert")]
impl AlertObject {
    /// Its id, by which GetAlert tells the rest to those whom it may be told.
    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> String {
        self.id.clone()
    }

    /// "warning" or "critical".
    #[zbus(property)]
    fn severity(&self) -> String {
        self.public.severity.clone()
    }

    /// "firing", or "stale" if nothing has been seen of its processes for long.
    #[zbus(property)]
    fn state(&self) -> String {
        self.public.state.to_owned()
    }

    /// Whether somebody has taken note of it.
    #[zbus(property)]
    fn acknowledged(&self) -> bool {
        self.public.is_acknowledged
    }

    /// Whether nobody is to be told of it for now.
    #[zbus(property)]
    fn silenced(&self) -> bool {
        self.public.is_silenced
    }

    /// Whether a critical alert of the same unit says it as well.
    #[zbus(property)]
    fn inhibited(&self) -> bool {
        self.public.is_inhibited
    }
}
