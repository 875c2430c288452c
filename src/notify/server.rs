use std::collections::HashMap;

use anyhow::{Context, Result};
use zbus::proxy::CacheProperties;
use zbus::{Connection, Variant, fdo, proxy};

use super::follow::{Heard, follow};
use super::inbox::{Inbox, Reaction};
use super::{Bubble, words};
use crate::config::Severity;

/// The name of whatever shows notifications, and of its interface.
const NAME: &str = "org.freedesktop.Notifications";
/// An action's key is ours, and so is not longer than this.
const MAX_ACTION: usize = 32;

/// Never, and as the server has it.
const NEVER: i32 = 0;
const USUAL: i32 = -1;

#[proxy(
    interface = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Notifications {
    async fn get_capabilities(&self) -> fdo::Result<Vec<String>>;
    #[allow(clippy::too_many_arguments)] // the specification's
    async fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Variant<'_>>,
        expire_timeout: i32,
    ) -> fdo::Result<u32>;
    async fn close_notification(&self, id: u32) -> fdo::Result<()>;
}

/// What a person may have done, as the server tells it and as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Tell all.
    Details,
    /// Take note of it.
    Acknowledge,
    /// Tell nobody for an hour.
    Silence,
}

impl Action {
    /// The action of a key that we gave the server.
    pub fn of(key: &str) -> Option<Self> {
        match key {
            // What a click on the bubble itself means.
            "default" | "details" => Some(Self::Details),
            "acknowledge" => Some(Self::Acknowledge),
            "silence" => Some(Self::Silence),
            _ => None,
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Details => &["default", "Details", "details", "Details"],
            Self::Acknowledge => &["acknowledge", "Acknowledge"],
            Self::Silence => &["silence", "Silence 1 h"],
        }
    }
}

/// The server that shows notifications.
///
/// It is called by its unique name, as numbers of bubbles mean nothing to another one.
#[derive(Debug)]
pub(super) struct Server {
    connection: Connection,
    /// That name; nothing while there is none.
    owner: Option<String>,
    /// What it can do; not asked yet.
    abilities: Option<Abilities>,
}

#[derive(Debug, Clone, Copy)]
struct Abilities {
    has_actions: bool,
    has_markup: bool,
}

impl Server {
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            owner: None,
            abilities: None,
        }
    }

    /// Another one has come, which may have other abilities, or it has gone.
    pub fn is_now(&mut self, owner: Option<String>) {
        self.owner = owner;
        self.abilities = None;
    }

    /// Shows a bubble, in the place of another one if that has a number. Returns its number.
    pub fn show(
        &mut self,
        bubble: &Bubble,
        replaces: Option<u32>,
        actions: &[Action],
    ) -> Result<u32> {
        zbus::block_on(async {
            let server = self.proxy().await?;
            let abilities = match self.abilities {
                Some(abilities) => abilities,
                None => {
                    let can = server.get_capabilities().await?;
                    *self.abilities.insert(Abilities {
                        has_actions: can.iter().any(|ability| ability == "actions"),
                        has_markup: can.iter().any(|ability| ability == "body-markup"),
                    })
                }
            };
            let keys = actions.iter().flat_map(|action| action.keys());
            let keys = keys.copied().filter(|_| abilities.has_actions);
            let body = match abilities.has_markup {
                true => words::escape(&bubble.body),
                false => bubble.body.clone(),
            };
            let (urgency, icon, timeout) = match bubble.severity {
                Severity::Warning => (1u8, "dialog-warning", USUAL),
                Severity::Critical => (2u8, "dialog-error", NEVER),
            };
            let hints = HashMap::from([
                ("urgency", Variant::from(urgency)),
                ("category", Variant::from("x-memleakd.leak")),
                ("desktop-entry", Variant::from("memleakd-notify")),
            ]);
            let keys: Vec<_> = keys.collect();
            let summary = &bubble.summary;
            server
                .notify(
                    "memleakd",
                    replaces.unwrap_or(0),
                    icon,
                    summary,
                    &body,
                    &keys,
                    hints,
                    timeout,
                )
                .await
        })
        .context("showing a notification")
    }

    /// Takes a bubble away. One that is gone already is no error.
    pub fn close(&self, id: u32) -> Result<()> {
        let closed = zbus::block_on(async { self.proxy().await?.close_notification(id).await });
        match closed {
            Ok(()) => Ok(()),
            // The answer that the specification prescribes for a number that there is not has no
            // name. Whatever it is, the server has answered.
            Err(fdo::Error::ZBus(zbus::Error::MethodError(..)) | fdo::Error::Failed(_)) => Ok(()),
            Err(error) => Err(error).context("closing a notification"),
        }
    }

    async fn proxy(&self) -> zbus::Result<NotificationsProxy<'static>> {
        let Some(owner) = self.owner.clone() else {
            // Most desktops have one that is started when it is needed. It is called once it has
            // its name, which is heard.
            let bus = fdo::DBusProxy::new(&self.connection).await?;
            bus.start_service_by_name(NAME.try_into()?, 0).await?;
            return Err(fdo::Error::ServiceUnknown("it has only just started".to_owned()).into());
        };
        NotificationsProxy::builder(&self.connection)
            .destination(owner)
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }
}

/// Follows the server on the session bus until the session is over. What comes goes into the inbox.
pub(super) fn watch(connection: &Connection, inbox: &Inbox) {
    let ended = follow(connection, NAME, |heard| match heard {
        Heard::Owner(owner) => inbox.put_server(owner.map(str::to_owned)),
        Heard::Signal(signal) => {
            if let Some(reaction) = reaction(signal) {
                inbox.react(reaction);
            }
        }
    });
    if let Err(error) = ended {
        tracing::debug!("following {NAME} has ended: {error}");
    }
    inbox.end_session();
}

fn reaction(signal: &zbus::Message) -> Option<Reaction> {
    let header = signal.header();
    let body = signal.body();
    match header.member()?.as_str() {
        "NotificationClosed" => {
            let (id, reason) = body.deserialize().ok()?;
            Some(Reaction::Closed { id, reason })
        }
        "ActionInvoked" => {
            let (id, action): (u32, &str) = body.deserialize().ok()?;
            (action.len() <= MAX_ACTION).then(|| Reaction::Chosen {
                id,
                action: action.to_owned(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_known_by_the_keys_that_it_has() {
        for action in [Action::Details, Action::Acknowledge, Action::Silence] {
            let keys = action.keys().iter().step_by(2);
            assert!(keys.clone().count() > 0);
            for key in keys {
                assert!(
                    Action::of(key) == Some(action) && key.len() <= MAX_ACTION,
                    "{key}"
                );
            }
        }
        assert_eq!(Action::of("inline-reply"), None);
    }

    #[test]
    fn signals_are_read_and_nonsense_is_not() {
        fn signal(member: &str) -> zbus::message::Builder<'_> {
            zbus::Message::signal("/org/freedesktop/Notifications", NAME, member)
        }
        let closed = signal("NotificationClosed").build(&(7u32, 2u32));
        let expected = Reaction::Closed { id: 7, reason: 2 };
        assert_eq!(reaction(&closed.expect("a signal")), Some(expected));
        let chosen = signal("ActionInvoked").build(&(7u32, "silence"));
        let expected = Reaction::Chosen {
            id: 7,
            action: "silence".to_owned(),
        };
        assert_eq!(reaction(&chosen.expect("a signal")), Some(expected));
        for nonsense in [
            signal("NotificationClosed").build(&("7", 2u32)),
            signal("ActionInvoked").build(&(7u32, "x".repeat(MAX_ACTION + 1).as_str())),
            signal("ActionInvoked").build(&()),
            signal("ActivationToken").build(&(7u32, "token")),
        ] {
            assert_eq!(reaction(&nonsense.expect("a signal")), None);
        }
    }
}
