use std::time::Duration;

use anyhow::{Context, Result};
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, connection, fdo, interface};

use super::audience::Audience;
use super::dictionary::{Dictionary, to_dictionary};
use super::{NAME, PATH, Shared, capture, reports};
use crate::alert::{Alert, Change};
use crate::collect::Host;
use crate::sample::Source;
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
    /// The user who calls.
    async fn caller(connection: &Connection, header: &Header<'_>) -> fdo::Result<u32> {
        let sender = header
            .sender()
            .ok_or_else(|| fdo::Error::AccessDenied("who are you?".to_owned()))?;
        fdo::DBusProxy::new(connection)
            .await?
            .get_connection_unix_user(sender.clone().into())
            .await
    }

    /// Whom the caller may know about.
    async fn audience(connection: &Connection, header: &Header<'_>) -> fdo::Result<Audience> {
        Ok(Audience::of(Self::caller(connection, header).await?))
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

    /// The processes that are measured by probes, or were to be: `source` is "heap" or "kernel".
    /// The fastest growing come first, at most `count` and not more than a hundred. Kernel memory is
    /// measured from the next scan on if root asks for it, until that is half a minute ago.
    #[zbus(out_args("measured"))]
    async fn get_measured(
        &self,
        source: &str,
        count: u32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Vec<Dictionary>> {
        let source = probed(source)?;
        let audience = Self::audience(connection, &header).await?;
        // It costs the whole host a little, so that it is not for everybody to begin.
        if source == Source::Kernel && matches!(audience, Audience::Everybody) {
            self.shared.ask_for_kernel();
        }
        let measured = self.shared.lock().measured.clone();
        let seen = measured
            .iter()
            .filter(|measured| measured.source == source && audience.may_see(measured.uid))
            .take(count.min(100) as usize);
        Ok(seen.map(to_dictionary).collect::<zbus::Result<_>>()?)
    }

    /// Begins to measure the heap of a process for 1 to 600 seconds. GetCapture has the result. A
    /// capture that nobody asks after for 20 seconds is over.
    #[zbus(out_args("id"))]
    async fn start_capture(
        &self,
        pid: u32,
        secs: f64,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<u64> {
        let uid = Self::caller(connection, &header).await?;
        capture::start(&self.shared.prober, uid, pid, secs)
    }

    /// The result of a capture that the same user began, once; nothing as long as it runs.
    #[zbus(out_args("capture"))]
    async fn get_capture(
        &self,
        id: u64,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let uid = Self::caller(connection, &header).await?;
        match self.shared.prober.captured(id, uid) {
            None => Ok(Dictionary::new()),
            Some(Ok(captured)) => Ok(to_dictionary(&captured)?),
            Some(Err(why)) => Err(fdo::Error::Failed(why)),
        }
    }

    /// Why a process is taken for one that leaks, or why not: what each gate finds and what it
    /// asks. Waits for the daemon's loop, for two seconds at the most.
    #[zbus(out_args("explanation"))]
    async fn explain(
        &self,
        pid: u32,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let audience = Self::audience(connection, &header).await?;
        let process = capture::subject(&Host::new("/"), audience, pid)?;
        Ok(to_dictionary(&self.shared.asker.ask(process).await?)?)
    }

    /// What captures of stacks have shown of an alert, open or not, by its id: where the memory was
    /// allocated that stays.
    #[zbus(out_args("report"))]
    async fn get_report(
        &self,
        id: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<Dictionary> {
        let audience = Self::audience(connection, &header).await?;
        let report = reports::find(self.shared.reports.as_ref(), audience, id)?;
        Ok(to_dictionary(&report)?)
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

    /// Open alerts, those that are stale as well.
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

/// The source that a caller names, if it is one that is measured by probes.
fn probed(name: &str) -> fdo::Result<Source> {
    match name {
        "heap" => Ok(Source::Heap),
        "kernel" => Ok(Source::Kernel),
        "pages" => Err(fdo::Error::InvalidArgs(
            "pages are not measured by probes: GetProcesses has them".to_owned(),
        )),
        _ => Err(fdo::Error::InvalidArgs(
            "the source is none that is measured: say \"heap\" or \"kernel\"".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_probes_measure_is_a_source_of_theirs() {
        for (name, source) in [
            ("heap", Some(Source::Heap)),
            ("kernel", Some(Source::Kernel)),
            ("pages", None),
            ("", None),
            ("Heap", None),
        ] {
            assert_eq!(probed(name).ok(), source, "{name}");
        }
    }
}
