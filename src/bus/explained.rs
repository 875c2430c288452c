//! What is said of a process that somebody asks about.

mod sentence;

pub use sentence::{missing, sentence};

use serde::{Deserialize, Serialize};

use crate::alert::Cause;
use crate::collect::{Facts, Headroom, HeapReading, LimitKind};
use crate::config::Rule;
use crate::detect::Explanation;
use crate::sample::{Sample, Source};
use crate::watch::Account;

/// Why a process is taken for one that leaks, or why not. Field names are public, see
/// [`crate::alert::Alert`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its effective user.
    pub uid: u32,
    /// Its executable.
    pub exe: Option<String>,
    /// Its system unit.
    pub unit: Option<String>,
    /// Its unit in the user's own service manager.
    pub user_unit: Option<String>,
    /// Its container.
    pub container: Option<String>,
    /// For how long it has been running, in seconds.
    pub age_secs: f64,
    /// The nearest limit, in bytes.
    pub limit_bytes: Option<u64>,
    /// Which limit that is.
    pub limit_kind: Option<LimitKind>,
    /// What is left until it is reached, in bytes.
    pub headroom_bytes: Option<u64>,
    /// Where its program has levelled off before, in bytes.
    pub plateau_bytes: Option<u64>,
    /// How long after its start that was, in seconds.
    pub plateau_after_secs: Option<f64>,
    /// Whether its program was found leaking before.
    pub leaked_before: bool,
    /// How fast its net heap grows, in bytes a second; nothing if it is not measured.
    pub heap_bytes_per_sec: Option<f64>,
    /// What it allocates with, and how that is measured.
    pub heap_method: Option<String>,
    /// What could not be seen of its heap, or why it is not measured, a phrase each.
    pub heap_loss: Vec<String>,
    /// The ids of the open alerts that it is part of.
    pub alerts: Vec<String>,
    /// What is measured of it, each held against its rule; pages first.
    pub sources: Vec<ExplainedSource>,
}

/// One source of a process, held against its rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainedSource {
    /// What is measured.
    pub source: Source,
    /// What the process holds of it, in bytes.
    pub bytes: u64,
    /// The rule that applies; nothing if none does.
    pub rule: Option<String>,
    /// What that rule says, in the words of the configuration.
    pub thresholds: Option<Rule>,
    /// The factor on the time that growth must last, which the past of the program makes.
    pub patience: f64,
    /// What the gates find; nothing if no rule applies, or one that says `ignore`.
    pub explanation: Option<Explanation>,
    /// What kind of growth it is.
    pub cause: Cause,
    /// Time until the nearest limit is reached at the estimated rate, in seconds.
    pub exhausts_in_secs: Option<u64>,
    /// Whether its growth was not to be found in its exact size, so that nothing is said of it.
    pub doubted: bool,
}

impl Explained {
    /// Of a process that is `age_secs` old; what is known of its sources and alerts is added later.
    pub fn new(sample: &Sample, facts: &Facts, age_secs: f64, headroom: Option<&Headroom>) -> Self {
        Self {
            pid: sample.process.pid,
            comm: sample.comm.to_string(),
            uid: sample.uid,
            exe: facts.exe.clone(),
            unit: facts.unit.clone(),
            user_unit: facts.user_unit.clone(),
            container: facts.container.clone(),
            age_secs,
            limit_bytes: headroom.map(|headroom| headroom.limit_bytes),
            limit_kind: headroom.map(|headroom| headroom.kind),
            headroom_bytes: headroom.map(|headroom| headroom.headroom_bytes),
            plateau_bytes: None,
            plateau_after_secs: None,
            leaked_before: false,
            heap_bytes_per_sec: None,
            heap_method: None,
            heap_loss: Vec::new(),
            alerts: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Adds what is known of its heap.
    pub fn add_heap(&mut self, heap: Result<HeapReading, String>) {
        match heap {
            Ok(reading) => {
                self.heap_bytes_per_sec = Some(reading.growth_bytes_per_sec.round());
                self.heap_method = Some(reading.method);
                self.heap_loss = reading.loss;
            }
            Err(why) => self.heap_loss = vec![why],
        }
    }

    /// Adds a source.
    pub fn add(&mut self, account: Account) {
        if account.source == Source::Pages {
            self.plateau_bytes = account.prior.plateau_bytes;
            self.plateau_after_secs = account.prior.settles_secs;
            self.leaked_before = account.prior.leaked;
        }
        let (rule, thresholds) = account.rule.unzip();
        let likely_secs = account.forecast.and_then(|forecast| forecast.likely_secs);
        self.sources.push(ExplainedSource {
            source: account.source,
            bytes: account.sample.bytes,
            rule,
            thresholds,
            patience: account.patience,
            explanation: account.explanation,
            cause: account.cause,
            exhausts_in_secs: likely_secs.map(|secs| secs as u64),
            doubted: account.is_doubted,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::dictionary::{from_dictionary, to_dictionary};
    use crate::detect::{History, Patience, explain};
    use crate::sample::{Comm, ProcessId};

    #[test]
    fn it_survives_the_way_over_the_bus() {
        let process = ProcessId {
            pid: 7,
            start_time_ns: 0,
        };
        let sample = Sample {
            process,
            comm: Comm::new("server"),
            parent_pid: 1,
            uid: 3,
            cgroup_id: 1,
            bytes: 1 << 30,
            shared_bytes: 0,
            file_bytes: 0,
            virtual_bytes: 0,
        };
        let mut explained = Explained::new(&sample, &Facts::default(), 60.5, None);
        explained.add_heap(Err("its probes are not in yet".to_owned()));
        let rule = Rule::default();
        let mut history = History::new(5.0, 0.0, 0);
        for step in 1..200u32 {
            history.observe(f64::from(step) * 5.0, u64::from(step) << 20);
        }
        for (source, rule) in [(Source::Pages, Some(rule)), (Source::Kernel, None)] {
            let explanation = rule
                .as_ref()
                .map(|rule| explain(&history, 1e4, &Patience::new(rule, 1.0), None));
            explained.add(Account {
                sample,
                source,
                rule: rule.map(|rule| ("default".to_owned(), rule)),
                prior: Default::default(),
                patience: 1.0,
                explanation,
                cause: Cause::Unknown,
                forecast: None,
                is_doubted: false,
            });
        }
        // Numbers without a part after the point come back as whole ones, which reads the same.
        let there = to_dictionary(&explained).expect("a dictionary");
        let back: Explained = from_dictionary(there).expect("reads back");
        let text = |explained| serde_json::to_string(explained).expect("JSON");
        assert_eq!(text(&back), text(&explained));
    }
}
