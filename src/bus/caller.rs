//! Who calls, and what polkit lets them do.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zbus::message::{Flags, Header};
use zbus::{Connection, connection, fdo};
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use super::audience::Audience;

/// So many callers may be asked for a password at a time.
const MAX_ASKED: usize = 16;

/// What polkit decides on, as in `org.memleakd.Memleakd1.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// See what other users' processes do.
    ViewDetails,
    /// Acknowledge, silence, reload, test.
    Manage,
    /// Measure other users' processes.
    Capture,
}

/// Polkit, which may be there or not.
#[derive(Debug, Clone, Default)]
pub(super) struct Authority {
    n_asked: Arc<AtomicUsize>,
}

/// Who sent a message.
pub(super) struct Caller<'m> {
    pub uid: u32,
    header: &'m Header<'m>,
    authority: &'m Authority,
}

impl Action {
    fn id(self) -> &'static str {
        match self {
            Self::ViewDetails => "org.memleakd.Memleakd1.view-details",
            Self::Manage => "org.memleakd.Memleakd1.manage",
            Self::Capture => "org.memleakd.Memleakd1.capture",
        }
    }
}

impl<'m> Caller<'m> {
    /// Asks the bus who that is.
    pub async fn of(
        connection: &Connection,
        header: &'m Header<'m>,
        authority: &'m Authority,
    ) -> fdo::Result<Self> {
        let sender = header
            .sender()
            .ok_or_else(|| fdo::Error::AccessDenied("who are you?".to_owned()))?;
        let uid = fdo::DBusProxy::new(connection)
            .await?
            .get_connection_unix_user(sender.clone().into())
            .await?;
        Ok(Self {
            uid,
            header,
            authority,
        })
    }

    /// Whom they may know about without being asked.
    pub fn own(&self) -> Audience {
        Audience::of(self.uid)
    }

    /// Whom they may know about or measure, after polkit has been asked.
    pub async fn audience(&self, action: Action) -> Audience {
        match self.may(action).await {
            true => Audience::Everybody,
            false => self.own(),
        }
    }

    /// That they may not is an error.
    pub async fn demand(&self, action: Action) -> fdo::Result<()> {
        match self.may(action).await {
            true => Ok(()),
            false => Err(fdo::Error::AccessDenied(format!(
                "{} is not allowed to this user",
                action.id()
            ))),
        }
    }

    /// Whether they may. Root may without polkit, and where there is none, nobody else may.
    async fn may(&self, action: Action) -> bool {
        self.own() == Audience::Everybody
            || self
                .authority
                .allows(self.header, action)
                .await
                .unwrap_or(false)
    }
}

impl Authority {
    /// Asks polkit, which asks the user if the message allows it. That may take as long as a person
    /// takes to find a password: on a connection of its own, which knows no time limit.
    async fn allows(&self, header: &Header<'_>, action: Action) -> zbus::Result<bool> {
        let n_before = self.n_asked.fetch_add(1, Ordering::Relaxed);
        let _asked = Asked(&self.n_asked);
        if n_before >= MAX_ASKED {
            return Ok(false);
        }
        let connection = connection::Builder::system().build().await?;
        let authority = AuthorityProxy::new(&connection).await?;
        let subject = Subject::new_for_message_header(header)
            .map_err(|error| zbus::Error::Failure(error.to_string()))?;
        let flags = header.primary().flags();
        let flags = match flags.contains(Flags::ALLOW_INTERACTIVE_AUTH) {
            true => CheckAuthorizationFlags::ALLOW_USER_INTERACTION,
            false => CheckAuthorizationFlags::empty(),
        };
        let details = HashMap::new();
        let result = authority
            .check_authorization(&subject, action.id(), &details, flags, "")
            .await?;
        Ok(result.is_authorized)
    }
}

/// One of those who are being asked.
struct Asked<'a>(&'a AtomicUsize);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
