//! Every process and the history of one source in it: turns scans into leaks.
//!
//! The daemon and the replay drive this same code. What it asks of the outside goes through a
//! [`Collector`], only for processes that have grown, and at most so often in one round.

mod explain;
mod judge;
mod known;
mod learn;
mod peers;

pub use explain::Account;
pub use judge::Leak;
pub use peers::Peers;

use std::collections::HashMap;

use anyhow::Result;

use crate::collect::{Collector, Facts};
use crate::config::{self, Config, Rules};
use crate::detect::{self, History};
use crate::past::{Past, Run};
use crate::plan::Candidate;
use crate::sample::{Moment, Point, ProcessId, Sample, Source};
use known::Known;
use peers::Programs;

/// Processes whose facts are read in one round; the others wait for the next.
const MAX_FACTS: usize = 32;
/// A round stands for the time since the one before, at most for so many intervals: what is longer
/// is a gap.
const MAX_INTERVALS: f64 = 6.0;

/// So many processes of one name are looked at for one that was started in the place of another.
const MAX_NAMESAKES: usize = 16;

/// All processes of which a source is measured, with what is remembered of them.
#[derive(Debug)]
pub struct Watch {
    source: Source,
    rules: Rules,
    block_secs: f64,
    /// Growth from which a process is worth a look under some rule.
    notable_bytes: u64,
    /// Whether it must be known of every process which rules are its own.
    knows_all: bool,
    processes: HashMap<u32, Tracked>,
    /// Grown processes of this round, and how many scales closed a block; kept for its memory.
    grown: Vec<(u32, usize)>,
    /// Which processes belong together; of this round only.
    programs: Programs,
    round: u32,
    n_facts: usize,
    /// When the last scan that did not fail was, and for how long it stands.
    seen_secs: Option<f64>,
    stands_secs: f64,
    /// Whether that was in the last round.
    is_current: bool,
}

/// A process of an open alert that lives, between two findings. By default nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pulse<'a> {
    /// What it holds, and the lowest of the last few rounds; nothing while that is not measured.
    pub sizes: Option<Sizes>,
    /// The rule that applies to it, once it is known again after a start or a reload.
    pub rule: Option<Option<&'a str>>,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// Now.
    pub bytes: u64,
    /// At the lowest of the last few rounds.
    pub floor_bytes: u64,
    /// The time for which that stands, in seconds: since the round before, without gaps.
    pub secs: f64,
}

/// How a process of an open alert has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, or by any signal but that one.
    Exited,
    /// The same, and its unit runs another one in its place.
    Restarted,
    /// The kernel killed it, as memory ran out.
    OomKilled,
}

/// One process in a list of the fastest growing.
#[derive(Debug, Clone, PartialEq)]
pub struct Grower {
    /// As last seen.
    pub sample: Sample,
    /// What it is, where that has been read.
    pub facts: Option<Facts>,
    /// Its rate over the last part of what is remembered, in bytes a second.
    pub bytes_per_sec: f64,
    /// The lower bound of that.
    pub bytes_per_sec_low: f64,
    /// Whether it grows like a leak, whether or not for long enough.
    pub is_suspect: bool,
}

#[derive(Debug)]
struct Tracked {
    sample: Sample,
    round: u32,
    history: History,
    /// Until when it is a suspect, whatever is read of it anew meanwhile.
    suspect_until_secs: f64,
    known: Option<Box<Known>>,
    /// What is learnt from it once it has grown; only by its pages.
    run: Option<Box<Run>>,
}

impl Watch {
    /// Nothing seen yet. `block_secs` is the time between two scans.
    pub fn new(config: &Config, source: Source, block_secs: f64) -> Self {
        let mut watch = Self {
            source,
            rules: Rules::default(),
            block_secs,
            notable_bytes: 0,
            knows_all: false,
            processes: HashMap::new(),
            grown: Vec::new(),
            programs: Programs::default(),
            round: 0,
            n_facts: 0,
            seen_secs: None,
            stands_secs: 0.0,
            is_current: false,
        };
        watch.set_rules(config);
        watch
    }

    /// Takes other rules; histories are kept unless the scan interval is another.
    pub fn set_rules(&mut self, config: &Config) {
        self.rules = config.rule.clone();
        // Pages also tell whom to measure for the other sources.
        let of_use = self
            .rules
            .active()
            .filter(|(_, rule)| rule.source == self.source || self.source == Source::Pages);
        let least = of_use.map(|(_, rule)| detect::notable_bytes(rule)).min();
        self.notable_bytes = least.unwrap_or(u64::MAX);
        self.knows_all = self.source == Source::Pages
            && config.heap.watch == config::Watch::Matched
            && self.rules.measure(Source::Heap);
        for tracked in self.processes.values_mut() {
            tracked.known = None;
        }
    }

    /// Forgets all histories, as they do not fit another time between two scans.
    pub fn set_block_secs(&mut self, block_secs: f64) {
        if self.block_secs != block_secs {
            self.block_secs = block_secs;
            self.processes.clear();
        }
    }

    /// Scans every process once and returns the leaks that show.
    ///
    /// What programs did before, `past`, is heeded and added to by the watch of pages only.
    pub fn round(
        &mut self,
        now: &Moment,
        collector: &mut dyn Collector,
        past: &mut Past,
    ) -> Result<Vec<Leak>> {
        self.round = self.round.wrapping_add(1);
        self.n_facts = 0;
        self.grown.clear();
        self.programs.clear();
        self.is_current = false;
        collector.scan(self.source, &mut |sample| self.take(now, sample, past))?;
        self.is_current = true;
        let before_secs = self.seen_secs.replace(now.monotonic_secs);
        let since_secs = now.monotonic_secs - before_secs.unwrap_or(now.monotonic_secs);
        self.stands_secs = since_secs.clamp(0.0, MAX_INTERVALS * self.block_secs);
        self.forget_ended(now, collector, past);

        let mut grown = std::mem::take(&mut self.grown);
        // Facts are read of so many in a round: first of those that have grown.
        grown.sort_by_key(|(_, n_scales)| *n_scales == 0);
        let leaks = grown
            .iter()
            .filter_map(|(pid, n_scales)| self.judge(now, *pid, *n_scales, collector, past))
            .collect();
        self.grown = grown;
        Ok(leaks)
    }

    /// Which source this is about.
    pub fn source(&self) -> Source {
        self.source
    }

    /// How many processes there are.
    pub fn n_processes(&self) -> usize {
        self.processes.len()
    }

    /// How many of them grow like a leak, whether or not for long enough.
    pub fn n_suspects(&self, now: &Moment) -> usize {
        let tracked = self.processes.values();
        tracked
            .filter(|tracked| tracked.suspect_until_secs >= now.monotonic_secs)
            .count()
    }

    /// How a process is doing; `None` if the last scan has not found it. One that has failed has
    /// found nothing out.
    pub fn pulse(&self, process: ProcessId) -> Option<Pulse<'_>> {
        if !self.is_current {
            return Some(Pulse::default());
        }
        let tracked = self.processes.get(&process.pid)?;
        (tracked.sample.process == process).then(|| Pulse {
            sizes: Some(Sizes {
                bytes: tracked.sample.bytes,
                floor_bytes: tracked.history.recent_floor_bytes(),
                secs: self.stands_secs,
            }),
            rule: match self.notable_bytes {
                // No rule is for this source.
                u64::MAX => Some(None),
                _ => tracked.known.as_ref().map(|known| known.rule.as_deref()),
            },
        })
    }

    /// Whether a rule of that name can still find anything here.
    pub fn has_rule(&self, name: &str) -> bool {
        let mut active = self.rules.active();
        active.any(|(active, rule)| active == name && rule.source == self.source)
    }

    /// The process that has a number, as of the last scan.
    pub fn process(&self, pid: u32) -> Option<ProcessId> {
        self.processes
            .get(&pid)
            .map(|tracked| tracked.sample.process)
    }

    /// A process as last seen, and what it is, where that has been read.
    pub fn find(&self, process: ProcessId) -> Option<(&Sample, Option<&Facts>)> {
        let tracked = self.processes.get(&process.pid)?;
        let facts = tracked.known.as_ref().map(|known| &known.facts);
        (tracked.sample.process == process).then_some((&tracked.sample, facts))
    }

    /// Processes of a name and user that have begun after another one, a few of them.
    pub fn namesakes(&self, comm: &str, uid: u32, after: ProcessId) -> Vec<Sample> {
        let samples = self.processes.values().map(|tracked| tracked.sample);
        let namesakes = samples.filter(|sample| {
            sample.uid == uid
                && sample.process.start_time_ns > after.start_time_ns
                && sample.comm.to_string() == comm
        });
        namesakes.take(MAX_NAMESAKES).collect()
    }

    /// The processes whose heap should be measured: those that grow like a leak, and those that
    /// a rule asks it of.
    pub fn candidates(&self, now: &Moment) -> Vec<Candidate> {
        let candidate = |tracked: &Tracked| {
            let is_suspect = tracked.suspect_until_secs >= now.monotonic_secs;
            let known = tracked.known.as_ref();
            let is_matched = known.is_some_and(|known| known.heap_rule.is_some());
            (is_suspect || is_matched).then(|| Candidate {
                process: tracked.sample.process,
                is_suspect,
                is_matched,
                bytes_per_sec: detect::recent_slope(&tracked.history).median,
            })
        };
        self.processes.values().filter_map(candidate).collect()
    }

    /// The processes that grow fastest, the fastest first, at most `n`.
    pub fn growers(&self, now: &Moment, n: usize) -> Vec<Grower> {
        let mut growers: Vec<_> = self
            .processes
            .values()
            .map(|tracked| (tracked, detect::recent_slope(&tracked.history)))
            .filter(|(_, slope)| slope.median > 0.0)
            .collect();
        growers.sort_unstable_by(|(_, a), (_, b)| {
            (b.low, b.median)
                .partial_cmp(&(a.low, a.median))
                .expect("slopes are finite")
        });
        growers
            .into_iter()
            .take(n)
            .map(|(tracked, slope)| Grower {
                sample: tracked.sample,
                facts: tracked.known.as_ref().map(|known| known.facts.clone()),
                bytes_per_sec: slope.median,
                bytes_per_sec_low: slope.low,
                is_suspect: tracked.suspect_until_secs >= now.monotonic_secs,
            })
            .collect()
    }

    /// How a process came to its size within a time before now, as far as that is remembered;
    /// `None` if it is not watched here.
    pub fn curve(&self, now: &Moment, process: ProcessId, within_secs: f64) -> Option<Vec<Point>> {
        let tracked = self.processes.get(&process.pid)?;
        (tracked.sample.process == process)
            .then(|| tracked.history.curve(now.monotonic_secs, within_secs))
    }

    fn take(&mut self, now: &Moment, sample: Sample, past: &mut Past) {
        let tracked = self
            .processes
            .entry(sample.process.pid)
            .or_insert_with(|| Tracked {
                sample,
                round: self.round.wrapping_sub(1),
                history: History::new(self.block_secs, now.monotonic_secs, sample.bytes),
                suspect_until_secs: f64::NEG_INFINITY,
                known: None,
                run: None,
            });
        if tracked.round == self.round {
            return;
        }
        tracked.round = self.round;
        let before = tracked.sample;
        let is_renamed = before.comm != sample.comm;
        // Another process with that pid, or another program in that process. A new name alone is
        // neither: programs show with it what they are at.
        if before.process != sample.process || (is_renamed && sample.bytes < before.bytes / 2) {
            tracked.end_run(now, false, past);
            tracked.history = History::new(self.block_secs, now.monotonic_secs, sample.bytes);
            tracked.suspect_until_secs = f64::NEG_INFINITY;
            tracked.known = None;
        }
        if is_renamed || before.cgroup_id != sample.cgroup_id {
            tracked.known = None;
        }
        tracked.sample = sample;
        let n_scales = tracked.history.observe(now.monotonic_secs, sample.bytes);
        let is_grown = n_scales > 0 && tracked.history.gained_bytes() >= self.notable_bytes;
        if is_grown || (self.knows_all && tracked.known.is_none()) {
            self.grown.push((sample.process.pid, n_scales));
        }
    }

    fn judge(
        &mut self,
        now: &Moment,
        pid: u32,
        n_scales: usize,
        collector: &mut dyn Collector,
        past: &mut Past,
    ) -> Option<Leak> {
        let learns = self.source == Source::Pages;
        let tracked = self.processes.get_mut(&pid)?;
        if tracked.known.is_none() {
            if self.n_facts == MAX_FACTS {
                return None;
            }
            self.n_facts += 1;
            let facts = collector.facts(&tracked.sample).ok()?;
            let known = Known::new(&self.rules, self.source, &tracked.sample, facts);
            tracked.known = Some(Box::new(known));
            if learns {
                tracked.recognise(now, past);
            }
        }
        if learns {
            tracked.follow_run(now, self.notable_bytes, past);
        }
        let found = tracked.assess(now, &self.rules, n_scales)?;
        let company = self
            .programs
            .company(now, &self.processes, pid, &found.growth);
        let tracked = self.processes.get_mut(&pid)?;
        let company = company.as_ref();
        let leak = tracked.judge(now, &self.rules, self.source, &found, company, collector);
        if let (Some(_), Some(run)) = (&leak, &mut tracked.run) {
            run.leak(now, past);
        }
        leak
    }
}

#[cfg(test)]
mod tests;
