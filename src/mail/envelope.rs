//! Who a message is from and to, read from its own header.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use lettre::Address;
use lettre::message::Mailboxes;

/// So many people are told by one message.
pub(super) const MAX_RECIPIENTS: usize = 100;

/// Sender and recipients as SMTP is told them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub from: Address,
    pub to: Vec<Address>,
}

impl Envelope {
    /// Reads the header fields `From` and `To`, each of which must be there once.
    pub fn of(message: &[u8]) -> Result<Self> {
        let fields = fields(message);
        let from = addresses(&fields, "From")?;
        let mut to = addresses(&fields, "To")?;
        to.sort();
        to.dedup();
        ensure!(
            to.len() <= MAX_RECIPIENTS,
            "it is to {} recipients, which is more than {MAX_RECIPIENTS}",
            to.len()
        );
        let from = from
            .into_iter()
            .next()
            .context("its From field has no address")?;
        Ok(Self { from, to })
    }

    /// Whether every server understands its addresses.
    pub fn is_ascii(&self) -> bool {
        self.to
            .iter()
            .chain([&self.from])
            .all(|address| address.to_string().is_ascii())
    }
}

/// The header's fields, unfolded (RFC 5322, section 2.2.3).
fn fields(message: &[u8]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in message.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(&line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim_end().to_owned(), value.to_owned()));
        }
    }
    fields
}

fn addresses(fields: &[(String, String)], name: &str) -> Result<Vec<Address>> {
    let mut values = fields
        .iter()
        .filter(|(found, _)| found.eq_ignore_ascii_case(name));
    let (_, value) = values
        .next()
        .with_context(|| format!("it has no {name} field"))?;
    ensure!(values.next().is_none(), "it has more than one {name} field");
    let mailboxes = Mailboxes::from_str(value.trim())
        .with_context(|| format!("its {name} field is no list of addresses"))?;
    ensure!(
        mailboxes.iter().next().is_some(),
        "its {name} field has no address"
    );
    Ok(mailboxes.into_iter().map(|mailbox| mailbox.email).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_folded_fields_in_any_case() {
        let to = ["a@example.org", "b@example.org"]
            .map(|address| address.parse().expect("is an address"));
        for message in [
            "From: d@db1\r\nTo: a@example.org, b@example.org\r\n\r\nTo: c@example.org\r\n",
            "FROM: memleakd <d@db1>\r\nto: Ann <a@example.org>,\r\n\t\"B, C\" <b@example.org>\r\nX: y\r\n\r\n",
            "To:b@example.org,a@example.org,a@example.org\nFrom : d@db1\n",
        ] {
            let envelope = Envelope::of(message.as_bytes()).expect(message);
            assert_eq!(
                (envelope.from.as_ref(), envelope.to.as_slice()),
                ("d@db1", &to[..])
            );
        }
    }

    #[test]
    fn says_what_is_missing() {
        for (message, reason) in [
            ("", "it has no From field"),
            ("\r\nFrom: a@b\r\nTo: c@d\r\n", "it has no From field"),
            ("From: a@b\r\n\r\nTo: c@d\r\n", "it has no To field"),
            (
                "From: a@b\r\nTo: c@d\r\nTo: e@f\r\n",
                "it has more than one To field",
            ),
            (
                "From: a@b\r\nTo: nobody\r\n",
                "its To field is no list of addresses",
            ),
            ("From: a@b\r\nTo:\r\n", "its To field has no address"),
        ] {
            assert_eq!(
                Envelope::of(message.as_bytes())
                    .expect_err(message)
                    .to_string(),
                reason,
                "{message:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            Envelope::of(&message).ok();
            Envelope::of(&[b"From: a@b\nTo: ".as_slice(), &message].concat()).ok();
        }
    }
}
