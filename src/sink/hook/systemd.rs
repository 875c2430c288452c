//! systemd on the system bus, as far as a unit is started and waited for.
//!
//! What has become of a unit is asked and not listened for: an answer cannot be missed while the bus
//! or systemd is restarted, and holds as well for units that run on when their job is done.

use std::time::Duration;

use anyhow::{Context, Result};
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath, connection, fdo, proxy};

/// systemd is busy when much is started, and 25 s is what D-Bus programs wait for it.
const TIMEOUT: Duration = Duration::from_secs(25);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    async fn start_unit(&self, name: &str, mode: &str) -> fdo::Result<OwnedObjectPath>;
    async fn get_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1"
)]
trait Unit {
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_state(&self) -> zbus::Result<String>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn job(&self) -> zbus::Result<(u32, OwnedObjectPath)>;
}

/// How far a unit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for its start, runs, or is to be restarted.
    Running,
    /// It has ended well, or has not run.
    Ended,
    /// It has ended otherwise.
    Failed,
}

/// The service manager, on a connection that is made when it is needed.
#[derive(Debug, Default)]
pub(super) struct Systemd(Option<Connection>);

impl Systemd {
    /// Asks for the start of a unit.
    pub(super) fn start(&mut self, unit: &str) -> Result<()> {
        self.ask(async |connection| {
            let manager = ManagerProxy::new(connection).await?;
            manager.start_unit(unit, "replace").await?;
            Ok(())
        })
        .with_context(|| format!("asking systemd to start {unit}"))
    }

    /// How far a unit has come. One that systemd does not know, or no longer, has ended.
    pub(super) fn stage(&mut self, unit: &str) -> Result<Stage> {
        self.ask(async |connection| stage(connection, unit).await)
            .with_context(|| format!("asking systemd how {unit} is doing"))
    }

    fn ask<T>(&mut self, question: impl AsyncFnOnce(&Connection) -> zbus::Result<T>) -> Result<T> {
        let connection = match self.0.take() {
            Some(connection) => connection,
            None => zbus::block_on(
                connection::Builder::system()
                    .method_timeout(TIMEOUT)
                    .build(),
            )
            .context("connecting to the system bus")?,
        };
        let answer = zbus::block_on(question(&connection))?;
        // One that has failed may be to a bus that is gone: the next question makes another.
        self.0 = Some(connection);
        Ok(answer)
    }
}

async fn stage(connection: &Connection, unit: &str) -> zbus::Result<Stage> {
    let manager = ManagerProxy::new(connection).await?;
    let path = match manager.get_unit(unit).await {
        Ok(path) => path,
        Err(error) if is_unknown(&error) => return Ok(Stage::Ended),
        Err(error) => return Err(error),
    };
    let unit = UnitProxy::builder(connection)
        .path(path)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    // The job first: a state that is read after the job's end is that at its end, or later.
    let read = async {
        let (job, _) = unit.job().await?;
        Ok::<_, zbus::Error>((job, unit.active_state().await?))
    };
    match read.await {
        Ok((0, state)) => Ok(match state.as_str() {
            "inactive" => Stage::Ended,
            "failed" => Stage::Failed,
            _ => Stage::Running,
        }),
        Ok(_) => Ok(Stage::Running),
        // It was forgotten in between.
        Err(error) if is_unknown(&error) => Ok(Stage::Ended),
        Err(error) => Err(error),
    }
}

fn is_unknown(error: &zbus::Error) -> bool {
    let name = match error {
        zbus::Error::MethodError(name, ..) => name.as_str(),
        zbus::Error::FDO(error) => {
            return matches!(**error, fdo::Error::UnknownObject(_));
        }
        _ => return false,
    };
    [
        "org.freedesktop.systemd1.NoSuchUnit",
        "org.freedesktop.DBus.Error.UnknownObject",
    ]
    .contains(&name)
}

/// An instance's name as systemd escapes it: see systemd-escape(1). An alert's id has nothing that
/// needs it.
pub(super) fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for (index, byte) in name.bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if index == 0 => escaped.push_str("\\x2e"),
            b':' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_systemd_does() {
        for (name, wanted) in [
            ("0123456789ab", "0123456789ab"),
            ("../etc/passwd", "\\x2e.-etc-passwd"),
            ("a b@c\n", "a\\x20b\\x40c\\x0a"),
            ("é-", "\\xc3\\xa9\\x2d"),
        ] {
            assert_eq!(escaped(name), wanted);
        }
    }
}
