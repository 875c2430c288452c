//! What each sink had, held against what the others had.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A signal on the bus: which, and of which alert.
#[derive(Debug, Clone)]
pub struct Signalled {
    pub id: String,
    pub member: String,
}

/// All that arrived, as it came.
pub struct Ledger {
    /// On standard output.
    pub said: Vec<Value>,
    /// The journal's entries.
    pub journal: Vec<Value>,
    pub signalled: Vec<Signalled>,
    /// The message ids of mails, and what each tells: `ID/CHANGE/TIME`.
    pub mailed: Vec<(String, Vec<String>)>,
    pub log: String,
}

/// A change as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    sequence: u64,
    id: String,
    change: String,
    time: String,
    comm: String,
}

impl Ledger {
    pub fn summary(&self) -> String {
        let entries: BTreeSet<Entry> = self.entries().into_iter().collect();
        let doubles = |n: usize| n.saturating_sub(entries.len());
        let mails: BTreeSet<&String> = self.mailed.iter().map(|(id, _)| id).collect();
        format!(
            "{} changes, {} mails; doubles: journal {}, output {}, bus {}, mail {} (same Message-ID)",
            entries.len(),
            mails.len(),
            doubles(self.journal.len()),
            doubles(self.said.len()),
            doubles(self.signalled.len()),
            self.mailed.len() - mails.len(),
        )
    }

    /// What is not as it should be, in sentences.
    pub fn faults(&self, n_kills: u64, names: &[String]) -> Vec<String> {
        let mut faults = Vec::new();
        let entries = self.entries();
        let unique: BTreeSet<&Entry> = entries.iter().collect();
        for entry in &unique {
            let n = entries.iter().filter(|other| other == entry).count();
            if n > 1 {
                faults.push(format!("the journal has {entry:?} {n} times"));
            }
        }
        let sequences: BTreeSet<u64> = unique.iter().map(|entry| entry.sequence).collect();
        let last = sequences.last().copied().unwrap_or_default();
        let gaps = (1..=last).filter(|sequence| !sequences.contains(sequence));
        faults.extend(gaps.map(|sequence| format!("the journal lacks change {sequence}")));
        if sequences.len() != unique.len() {
            faults.push("two changes have the same number".to_owned());
        }
        faults.extend(stories(&unique));
        faults.extend(self.output_faults(&unique, n_kills));
        faults.extend(self.bus_faults(&unique, n_kills));
        faults.extend(self.mail_faults(&unique));
        let told: BTreeSet<&str> = unique.iter().map(|entry| entry.comm.as_str()).collect();
        let strangers = told
            .iter()
            .filter(|name| !names.iter().any(|known| known == *name));
        faults.extend(strangers.map(|name| format!("nobody started {name}")));
        if self.log.contains("panicked") {
            faults.push(format!("something panicked:\n{}", self.log));
        }
        faults
    }

    fn entries(&self) -> Vec<Entry> {
        let of = |entry: &Value| {
            let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            Entry {
                sequence: field("MEMLEAKD_SEQUENCE").parse().expect("a number"),
                id: field("MEMLEAKD_ID"),
                change: field("MEMLEAKD_CHANGE"),
                time: field("MEMLEAKD_TIME"),
                comm: field("MEMLEAKD_COMM"),
            }
        };
        self.journal.iter().map(of).collect()
    }

    fn output_faults(&self, entries: &BTreeSet<&Entry>, n_kills: u64) -> Vec<String> {
        let key = |change: &Value| {
            ["id", "change", "time"]
                .map(|name| change[name].as_str().unwrap_or_default().to_owned())
        };
        let said: Vec<[String; 3]> = self.said.iter().map(key).collect();
        let unique: BTreeSet<_> = said.iter().cloned().collect();
        let wanted: BTreeSet<_> = entries
            .iter()
            .map(|entry| [&entry.id, &entry.change, &entry.time].map(String::clone))
            .collect();
        let mut faults: Vec<_> = wanted
            .symmetric_difference(&unique)
            .map(|key| format!("output and journal differ in {key:?}"))
            .collect();
        faults.extend(too_many("output", said.len() - unique.len(), n_kills));
        faults
    }

    /// A signal does not say of which change it is. Those of an alert come in the order of its
    /// changes, and one that comes again is the one before it.
    fn bus_faults(&self, entries: &BTreeSet<&Entry>, n_kills: u64) -> Vec<String> {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entry in entries {
            let member = match entry.change.as_str() {
                "raised" => "AlertRaised",
                "cleared" => "AlertCleared",
                _ => "AlertChanged",
            };
            wanted.entry(&entry.id).or_default().push(member);
        }
        let mut had: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for signal in &self.signalled {
            had.entry(&signal.id).or_default().push(&signal.member);
        }
        let mut faults = Vec::new();
        let mut n_doubles = 0;
        for (id, wanted) in &wanted {
            let had = had.get(id).map(Vec::as_slice).unwrap_or_default();
            let mut rest = wanted.iter().peekable();
            let mut before = "";
            let is_in_order = had.iter().all(|member| {
                let is_next = rest.peek() == Some(&member);
                if is_next {
                    rest.next();
                } else {
                    n_doubles += 1;
                }
                let is_again = before == *member;
                before = member;
                is_next || is_again
            });
            if !is_in_order || rest.next().is_some() {
                faults.push(format!("the bus had of {id} {had:?}, not {wanted:?}"));
            }
        }
        faults.extend(too_many("bus", n_doubles, n_kills));
        faults
    }

    fn mail_faults(&self, entries: &BTreeSet<&Entry>) -> Vec<String> {
        let mails: BTreeMap<&String, &Vec<String>> =
            self.mailed.iter().map(|(id, told)| (id, told)).collect();
        let same = self.mailed.iter().filter(|(id, told)| mails[id] != told);
        let mut faults: Vec<_> = same
            .map(|(id, _)| format!("two mails {id} tell something else"))
            .collect();
        let told: Vec<&String> = mails.into_values().flatten().collect();
        let had: BTreeSet<&String> = told.iter().copied().collect();
        if told.len() > had.len() {
            let n_twice = told.len() - had.len();
            faults.push(format!("{n_twice} changes are told by two mails each"));
        }
        let wanted: BTreeSet<String> = entries
            .iter()
            .map(|entry| format!("{}/{}/{}", entry.id, entry.change, entry.time))
            .collect();
        let wanted: BTreeSet<&String> = wanted.iter().collect();
        let differences = wanted.symmetric_difference(&had);
        faults.extend(differences.map(|key| format!("mail and journal differ in {key}")));
        faults
    }
}

/// Each kill may leave one of unknown fate to a sink.
fn too_many(sink: &str, n_doubles: usize, n_kills: u64) -> Option<String> {
    // The kill that makes all due again, too.
    (n_doubles as u64 > n_kills + 1)
        .then(|| format!("{sink}: {n_doubles} doubles, {n_kills} kills"))
}

/// Each alert is raised, then perhaps changed, then cleared, and may be raised again.
fn stories(entries: &BTreeSet<&Entry>) -> Vec<String> {
    let mut stories: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in entries {
        stories.entry(&entry.id).or_default().push(&entry.change);
    }
    let is_whole = |story: &[&str]| {
        let mut is_open = false;
        let is_in_order = story.iter().all(|change| {
            let was_open = std::mem::replace(&mut is_open, *change != "cleared");
            was_open != (*change == "raised")
        });
        is_in_order && !is_open
    };
    let broken = stories.iter().filter(|(_, story)| !is_whole(story));
    broken
        .map(|(id, story)| format!("the story of {id} is {story:?}"))
        .collect()
}
