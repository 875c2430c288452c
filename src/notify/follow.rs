use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use zbus::fdo::{self, DBusProxy};
use zbus::message::{Message, Type};
use zbus::{Connection, MatchRule, MessageStream};

const BUS: &str = "org.freedesktop.DBus";

/// What is heard of a name on a bus.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// Who has it now, by the unique name of the connection. This comes first, and when it changes.
    Owner(Option<&'a str>),
    /// A signal of its owner, and of nobody else.
    Signal(&'a Message),
}

/// Follows the owner of a name and its signals, until the connection ends.
///
/// Anybody may send any signal to a connection whose name is known, so the sender of each is looked
/// at: the bus itself vouches for that.
pub(super) fn follow(
    connection: &Connection,
    name: &str,
    mut hear: impl FnMut(Heard<'_>),
) -> zbus::Result<()> {
    zbus::block_on(async {
        // From before the first question, so that no change comes unseen between the two.
        let mut messages = MessageStream::from(connection);
        let bus = DBusProxy::new(connection).await?;
        let signals = || MatchRule::builder().msg_type(Type::Signal);
        let of_owner = signals().sender(name).build()?;
        let of_bus = signals()
            .sender(BUS)
            .member("NameOwnerChanged")
            .add_arg(name)
            .build()?;
        bus.add_match_rule(of_bus).await?;
        bus.add_match_rule(of_owner).await?;
        let mut owner = match bus.get_name_owner(name.try_into()?).await {
            Ok(owner) => Some(owner.to_string()),
            Err(fdo::Error::NameHasNoOwner(_)) => None,
            Err(error) => return Err(error.into()),
        };
        hear(Heard::Owner(owner.as_deref()));
        while let Some(message) = next(&mut messages).await {
            let message = message?;
            let header = message.header();
            if message.message_type() != Type::Signal {
                continue;
            }
            let sender = header.sender().map(|sender| sender.as_str());
            if sender == Some(BUS) {
                let is_change = header
                    .member()
                    .is_some_and(|member| member.as_str() == "NameOwnerChanged");
                let body = message.body();
                let change = body.deserialize::<(&str, &str, &str)>();
                if let Ok((of, _, new)) = change
                    && is_change
                    && of == name
                    && owner.as_deref().unwrap_or_default() != new
                {
                    owner = Some(new.to_owned()).filter(|new| !new.is_empty());
                    hear(Heard::Owner(owner.as_deref()));
                }
            } else if sender.is_some() && sender == owner.as_deref() {
                hear(Heard::Signal(&message));
            }
        }
        Ok(())
    })
}

async fn next(messages: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await
}
