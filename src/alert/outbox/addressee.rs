use serde::{Deserialize, Serialize};

/// A sink that has yet to have a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Addressee {
    pub sink: String,
    /// The message that it has been put into, by the sequence number of the first change of it.
    #[serde(default)]
    pub message: Option<u64>,
    /// On its way, or resting after a failure, until then. Of this run only.
    #[serde(skip)]
    pub busy_until_secs: f64,
}

impl Addressee {
    pub fn new(sink: &str) -> Self {
        Self {
            sink: sink.to_owned(),
            message: None,
            busy_until_secs: f64::NEG_INFINITY,
        }
    }

    pub fn is_due(&self, now_secs: f64) -> bool {
        self.busy_until_secs <= now_secs
    }

    pub fn is_at_work(&self) -> bool {
        self.busy_until_secs == f64::INFINITY
    }
}
