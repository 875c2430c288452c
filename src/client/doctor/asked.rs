//! What is asked on the system bus: of the bus itself, of systemd, and of memleakd.

use std::collections::HashMap;
use std::time::Duration;

use zbus::{Connection, OwnedObjectPath, OwnedVariant, connection, fdo};

use crate::bus::{Client, Measured, NAME, Status};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(3);
const POLKIT: &str = "org.freedesktop.PolicyKit1";
const SYSTEMD: &str = "org.freedesktop.systemd1";

/// What has come of asking.
#[derive(Debug)]
pub struct Asked {
    /// Nothing, and why, if the bus cannot be asked at all.
    pub answers: Result<Answers, String>,
}

/// What the bus, systemd and memleakd say.
#[derive(Debug)]
pub struct Answers {
    /// The process that has memleakd's name.
    pub owner: Option<u32>,
    /// Whether the bus would have memleakd started for a message to it.
    pub is_activatable: bool,
    /// Whether polkit is there, or would be started.
    pub has_polkit: bool,
    /// The units that are asked after, by their names; nothing if there is no systemd to ask.
    pub units: Option<HashMap<String, Unit>>,
    /// memleakd's figures, or why it has not told any.
    pub status: Result<Status, String>,
    /// The processes that it measures.
    pub measured: Vec<Measured>,
}

/// A unit as systemd knows it. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// Whether it is `loaded`, `not-found`, `masked` or `bad-setting`.
    pub load: String,
    /// Whether it is `active`, `inactive`, `failed` or on its way.
    pub active: String,
    /// Whether it is `enabled`, `disabled`, `static`.
    pub enabled: String,
    /// How it ended: `success`, `exit-code`, `watchdog`.
    pub result: String,
    /// What it says of itself.
    pub status_text: String,
    /// Its process; 0 if it has none.
    pub main_pid: u32,
    /// How often it was restarted by itself.
    pub n_restarts: u32,
    /// A bit for each capability that it may have.
    pub bounding_set: Option<u64>,
    /// What it uses, and may use, in bytes.
    pub memory: Option<u64>,
    /// What it may use, in bytes.
    pub memory_max: Option<u64>,
    /// What it has used of processors, in nanoseconds.
    pub cpu_nanos: Option<u64>,
    /// Since when it is active, on the monotonic clock.
    pub active_since_micros: u64,
}

impl Asked {
    /// Asks. `hook` is the template of `[hook]`, or empty.
    pub fn on_system_bus(hook: &str) -> Self {
        let answers = zbus::block_on(async {
            let builder = connection::Builder::system().method_timeout(TIMEOUT);
            let connection = builder.build().await?;
            ask(&connection, hook).await
        });
        let answers = answers.map_err(|error| error.to_string());
        Self {
            answers: answers.map(with_daemon),
        }
    }

    /// The bus does not even refuse.
    pub fn nobody_answers() -> Self {
        Self {
            answers: Err("it does not answer".to_owned()),
        }
    }

    /// A unit, if systemd could be asked after it.
    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.answers.as_ref().ok()?.units.as_ref()?.get(name)
    }

    /// The daemon's process, by the bus or by systemd.
    pub fn daemon(&self) -> Option<u32> {
        let owner = self.answers.as_ref().ok().and_then(|answers| answers.owner);
        let main_pid = || Some(self.unit("memleakd.service")?.main_pid);
        owner.or_else(main_pid).filter(|pid| *pid > 0)
    }

    /// The daemon's figures.
    pub fn status(&self) -> Option<&Status> {
        self.answers.as_ref().ok()?.status.as_ref().ok()
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            owner: None,
            is_activatable: false,
            has_polkit: false,
            units: None,
            status: Err("it does not run".to_owned()),
            measured: Vec::new(),
        }
    }
}

async fn ask(connection: &Connection, hook: &str) -> zbus::Result<Answers> {
    let bus = fdo::DBusProxy::new(connection).await?;
    let mut answers = Answers::default();
    let name = zbus::names::BusName::try_from(NAME)?;
    answers.owner = bus.get_connection_unix_process_id(name).await.ok();
    let names = bus.list_activatable_names().await?;
    let owned = bus.list_names().await?;
    let is_activatable = |name: &str| names.iter().any(|known| known.as_str() == name);
    let is_owned = |name: &str| owned.iter().any(|known| known.as_str() == name);
    answers.is_activatable = is_activatable(NAME);
    answers.has_polkit = is_owned(POLKIT) || is_activatable(POLKIT);
    // A bus of a test's, or of a container without systemd.
    if is_owned(SYSTEMD) {
        let mut units = HashMap::new();
        for name in [
            "memleakd.service",
            "memleakd-mail.service",
            "memleakd-mail.path",
            "memleakd-alertmanager.service",
            "memleakd-alertmanager.path",
        ] {
            // What is not known of one is not known.
            if let Ok(unit) = unit(connection, name).await {
                units.insert(name.to_owned(), unit);
            }
        }
        if !hook.is_empty() {
            // A template is loaded by an instance of it, which is not started by that.
            let instance = hook.replacen("@.", "@doctor.", 1);
            if let Ok(unit) = unit(connection, &instance).await {
                units.insert(hook.to_owned(), unit);
            }
        }
        answers.units = Some(units);
    }
    Ok(answers)
}

/// Asks the daemon only if it is there: nothing is to be started by asking.
fn with_daemon(mut answers: Answers) -> Answers {
    if answers.owner.is_none() {
        return answers;
    }
    match Client::connect_within(TIMEOUT) {
        Ok(client) => {
            answers.status = client.status().map_err(|error| format!("{error:#}"));
            if answers.status.is_ok() {
                // To this user there may be none.
                answers.measured = client.measured("heap", 100).unwrap_or_default();
            }
        }
        Err(error) => answers.status = Err(format!("{error:#}")),
    }
    answers
}

async fn unit(connection: &Connection, name: &str) -> zbus::Result<Unit> {
    let manager = (Some(SYSTEMD), "/org/freedesktop/systemd1");
    let reply = connection
        .call_method(
            manager.0,
            manager.1,
            Some("org.freedesktop.systemd1.Manager"),
            "LoadUnit",
            &(name,),
        )
        .await?;
    let path: OwnedObjectPath = reply.body().deserialize()?;
    let properties = fdo::PropertiesProxy::builder(connection)
        .destination(SYSTEMD)
        .path(path)
        .build()
        .await?;
    let mut all = properties
        .get_all("org.freedesktop.systemd1.Unit".try_into()?)
        .await?;
    // Paths and the like have none of these.
    if let Ok(own) = properties
        .get_all("org.freedesktop.systemd1.Service".try_into()?)
        .await
    {
        all.extend(own);
    }
    Ok(Unit {
        load: text(&all, "LoadState"),
        active: text(&all, "ActiveState"),
        enabled: text(&all, "UnitFileState"),
        result: text(&all, "Result"),
        status_text: text(&all, "StatusText"),
        main_pid: get(&all, "MainPID").unwrap_or_default(),
        n_restarts: get(&all, "NRestarts").unwrap_or_default(),
        bounding_set: get(&all, "CapabilityBoundingSet"),
        memory: amount(&all, "MemoryCurrent"),
        memory_max: amount(&all, "MemoryMax"),
        cpu_nanos: amount(&all, "CPUUsageNSec"),
        active_since_micros: get(&all, "ActiveEnterTimestampMonotonic").unwrap_or_default(),
    })
}

fn get<'v, T: TryFrom<&'v OwnedVariant>>(
    properties: &'v HashMap<String, OwnedVariant>,
    name: &str,
) -> Option<T> {
    T::try_from(properties.get(name)?).ok()
}

fn text(properties: &HashMap<String, OwnedVariant>, name: &str) -> String {
    get::<&str>(properties, name).unwrap_or_default().to_owned()
}

/// A figure, of which the largest number means that there is none.
fn amount(properties: &HashMap<String, OwnedVariant>, name: &str) -> Option<u64> {
    get(properties, name).filter(|amount| *amount != u64::MAX)
}
