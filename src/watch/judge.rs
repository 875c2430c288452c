//! Whether one process leaks: its history against its rule, its limits, and its exact size.

use std::io;

use super::Tracked;
use crate::collect::{Collector, Facts, Headroom, HeapReading};
use crate::config::{Rule, RuleName, Rules, Severity, Subject};
use crate::detect::{self, Assessment, Beside, Cause, Growth, Lane};
use crate::sample::{Moment, Sample, Source};

/// A suspect that turned out not to have grown is not looked at again for so long.
const DOUBT_SECS: f64 = 60.0;
/// One that has grown is believed for so long: its exact size takes a walk of its page tables.
const TRUST_SECS: f64 = 600.0;

/// A leak that a rule has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Leak {
    /// The process as last seen.
    pub sample: Sample,
    /// What it is.
    pub facts: Facts,
    /// What grows.
    pub source: Source,
    /// Why, as far as is known.
    pub cause: Cause,
    /// What is known of its heap.
    pub heap: Option<HeapReading>,
    /// The rule that fired.
    pub rule: RuleName,
    /// How it grows.
    pub growth: Growth,
    /// The limit that it will reach first.
    pub headroom: Option<Headroom>,
    /// How bad that is.
    pub severity: Severity,
    /// What could not be seen.
    pub loss: Vec<String>,
}

/// What was read of a process that has grown.
#[derive(Debug)]
pub(super) struct Known {
    pub facts: Facts,
    /// Its rule for the source that is watched.
    pub rule: Option<RuleName>,
    /// Its rule for the heap, where that is another source.
    pub heap_rule: Option<RuleName>,
    doubted_until_secs: f64,
    trusted_until_secs: f64,
    loss: Vec<String>,
}

impl Known {
    pub fn new(rules: &Rules, source: Source, sample: &Sample, facts: Facts) -> Self {
        let comm = sample.comm.to_string();
        let subject = Subject {
            unit: facts.unit.as_deref().unwrap_or_default(),
            user_unit: facts.user_unit.as_deref().unwrap_or_default(),
            exe: facts.exe.as_deref().unwrap_or_default(),
            comm: &comm,
            user: facts.user.as_deref().unwrap_or_default(),
            uid: sample.uid,
            cgroup: &facts.cgroup,
        };
        let rule_for = |source| {
            let rule = rules.most_specific(&subject, source);
            rule.map(|(name, _)| name.clone())
        };
        let (rule, heap_rule) = (rule_for(source), rule_for(Source::Heap));
        Self {
            facts,
            rule,
            heap_rule,
            doubted_until_secs: f64::NEG_INFINITY,
            trusted_until_secs: f64::NEG_INFINITY,
            loss: Vec::new(),
        }
    }
}

impl Tracked {
    /// The leak, if this process leaks. `n_scales` is what its history said of the last sample.
    pub(super) fn judge(
        &mut self,
        now: &Moment,
        rules: &Rules,
        source: Source,
        n_scales: usize,
        collector: &mut dyn Collector,
    ) -> Option<Leak> {
        let sample = &self.sample;
        let known = self.known.as_mut()?;
        let age_secs = now.boot_secs - sample.process.start_time_ns as f64 / 1e9;
        if let Some(rule) = known.heap_rule.as_ref().and_then(|name| rules.0.get(name)) {
            let assessment = detect::assess(&self.history, rule, age_secs, n_scales);
            suspect(&mut self.suspect_until_secs, now, rule, &assessment);
        }
        let (name, rule) = rules.0.get_key_value(known.rule.as_ref()?)?;
        let assessment = detect::assess(&self.history, rule, age_secs, n_scales);
        suspect(&mut self.suspect_until_secs, now, rule, &assessment);
        let Assessment::Leaking(growth) = assessment else {
            return None;
        };
        if known.doubted_until_secs > now.monotonic_secs {
            return None;
        }
        let headroom = collector.headroom(sample, &known.facts);
        let is_urgent = |headroom: &Headroom| {
            growth.is_urgent(headroom.headroom_bytes, rule.fast.exhausts_within)
        };
        if growth.lane == Lane::Fast && !headroom.as_ref().is_some_and(is_urgent) {
            return None;
        }
        // What its heap does says nothing of the kernel's memory.
        let (heap, unseen) = match source {
            Source::Kernel => (None, collector.kernel_loss()),
            Source::Pages | Source::Heap => match collector.heap(sample.process, growth.secs) {
                Some(heap) => {
                    let loss = heap.loss.clone();
                    (Some(heap), loss)
                }
                None => {
                    let failure = collector.heap_failure(sample.process);
                    let unseen = failure.map(|why| format!("what its heap does, as {why}"));
                    (None, unseen.into_iter().collect())
                }
            },
        };
        if known.trusted_until_secs <= now.monotonic_secs {
            let Some(loss) = confirm(source, sample, &growth, collector) else {
                known.doubted_until_secs = now.monotonic_secs + DOUBT_SECS;
                return None;
            };
            known.loss = loss;
            known.trusted_until_secs = now.monotonic_secs + TRUST_SECS;
        }
        Some(Leak {
            sample: *sample,
            facts: known.facts.clone(),
            source,
            cause: cause(source, &growth, heap.as_ref()),
            rule: name.clone(),
            growth,
            severity: severity(&growth, headroom.as_ref(), rule),
            headroom,
            loss: known.loss.iter().cloned().chain(unseen).collect(),
            heap,
        })
    }
}

/// Makes a process a suspect for as long as its rule takes to be sure.
fn suspect(until_secs: &mut f64, now: &Moment, rule: &Rule, assessment: &Assessment) {
    if !matches!(assessment, Assessment::Quiet(_)) {
        *until_secs = until_secs.max(now.monotonic_secs + rule.sustained.secs());
    }
}

/// Whether a process has really grown, by another figure than the one that says so, and what
/// could not be seen of that. At least half of the growth must be there.
fn confirm(
    source: Source,
    sample: &Sample,
    growth: &Growth,
    collector: &mut dyn Collector,
) -> Option<Vec<String>> {
    match source {
        Source::Pages => confirm_pages(sample, growth, collector),
        Source::Heap => Some(Vec::new()),
        Source::Kernel => match collector.kernel_gained_bytes(growth.secs) {
            // Not every free is seen; the kernel's own account has them all.
            Some(gained_bytes) => (gained_bytes >= growth.gained_bytes / 2.0).then(Vec::new),
            None => Some(vec![
                "the growth of the host's kernel memory, as /proc/meminfo does not say".to_owned(),
            ]),
        },
    }
}

/// Per-CPU counters of pages (Linux 6.2 and later) can be off by what the CPUs have not folded in.
/// Without the right to look at the exact size, the scan is believed.
fn confirm_pages(
    sample: &Sample,
    growth: &Growth,
    collector: &mut dyn Collector,
) -> Option<Vec<String>> {
    match collector.exact_bytes(sample) {
        Ok(exact_bytes) => {
            let least_bytes = sample.bytes as f64 - growth.gained_bytes / 2.0;
            (exact_bytes as f64 >= least_bytes).then(Vec::new)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(vec![
            "its exact size, as /proc/PID/smaps_rollup may not be read (CAP_SYS_PTRACE is missing)"
                .to_owned(),
        ]),
        Err(_) => None,
    }
}

/// Why a source grows.
fn cause(source: Source, growth: &Growth, heap: Option<&HeapReading>) -> Cause {
    match (source, heap) {
        (Source::Heap, _) => Cause::Heap,
        (Source::Kernel, _) => Cause::Kernel,
        (Source::Pages, None) => Cause::Unknown,
        (Source::Pages, Some(heap)) => Cause::of_pages(
            growth.bytes_per_sec,
            &Beside {
                seen_secs: heap.seen_secs,
                calls: heap.net.calls,
                heap_bytes_per_sec: heap.growth_bytes_per_sec,
                mapped_bytes_per_sec: heap.mapped_bytes_per_sec,
            },
        ),
    }
}

fn severity(growth: &Growth, headroom: Option<&Headroom>, rule: &Rule) -> Severity {
    let left_bytes = headroom.map(|headroom| headroom.headroom_bytes as f64);
    let used_bytes = growth.bytes_per_sec * rule.critical.exhausts_within.secs();
    match left_bytes.is_some_and(|left_bytes| left_bytes <= used_bytes) {
        true => Severity::Critical,
        false => Severity::Warning,
    }
}
