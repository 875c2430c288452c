//! How far a message has come that could not be sent to everybody at once.

use std::collections::BTreeMap;

use lettre::Address;
use serde::{Deserialize, Serialize};

use super::connection::Verdict;

/// What is known of a message that has been tried.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// Who needs no further attempt, because the message is taken or refused for them.
    pub settled: BTreeMap<Address, Verdict>,
    /// How many attempts there have been in this run.
    pub n_tries: usize,
}

/// One recipient as a file has it.
#[derive(Serialize, Deserialize)]
struct Settled {
    address: String,
    /// Why it was refused; nothing if it was taken.
    refused: Option<String>,
}

impl Progress {
    /// Reads what an earlier run has written. What is no such thing is as good as nothing: then
    /// somebody gets a mail twice, which is seen by its Message-ID.
    pub fn parse(text: &[u8]) -> Self {
        let settled: Vec<Settled> = serde_json::from_slice(text).unwrap_or_default();
        let settled = settled.into_iter().filter_map(|settled| {
            let verdict = settled.refused.map_or(Verdict::Taken, Verdict::Refused);
            Some((settled.address.parse().ok()?, verdict))
        });
        Self {
            settled: settled.collect(),
            n_tries: 0,
        }
    }

    /// As it is written.
    pub fn to_text(&self) -> Vec<u8> {
        let settled = self.settled.iter().map(|(address, verdict)| Settled {
            address: address.to_string(),
            refused: match verdict {
                Verdict::Refused(why) | Verdict::Later(why) => Some(why.clone()),
                Verdict::Taken => None,
            },
        });
        serde_json::to_vec(&settled.collect::<Vec<_>>()).expect("texts are JSON")
    }

    /// What was said for those who do not get it.
    pub fn refusals(&self) -> Vec<String> {
        let refusals = self
            .settled
            .iter()
            .filter_map(|(address, verdict)| match verdict {
                Verdict::Refused(answer) => Some(format!("{address}: {answer}")),
                Verdict::Taken | Verdict::Later(_) => None,
            });
        refusals.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_broken_is_nothing() {
        let address = |text: &str| text.parse().expect("is an address");
        let progress = Progress {
            settled: BTreeMap::from([
                (address("a@x"), Verdict::Taken),
                (address("b@x"), Verdict::Refused("550 no".to_owned())),
            ]),
            n_tries: 0,
        };
        assert_eq!(Progress::parse(&progress.to_text()), progress);
        assert_eq!(progress.refusals(), ["b@x: 550 no"]);
        for text in ["", "{}", "[{\"address\": \"nobody\"}]", "[1]"] {
            assert_eq!(Progress::parse(text.as_bytes()), Progress::default());
        }
    }
}
