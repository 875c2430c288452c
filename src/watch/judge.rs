//! Whether one process leaks: its history against its rule, its limits, and its exact size.

use std::io;

use super::Tracked;
use super::known::BELIEF;
use super::peers::{Company, Peers};
use crate::collect::{Collector, Facts, Headroom, HeapReading, LimitKind};
use crate::config::{Rule, RuleName, Rules, Severity};
use crate::detect::{
    self, Assessment, Beside, Bound, Cause, Check, Forecast, Gate, Growth, Patience,
};
use crate::past::{self, Interrupted};
use crate::sample::{Moment, Point, Sample, Source};

/// A suspect that turned out not to have grown is not looked at again for so long.
const DOUBT_SECS: f64 = 60.0;
/// One that has grown is believed for so long: its exact size takes a walk of its page tables.
const TRUST_SECS: f64 = 600.0;

/// Of the time before the growth so much of its own is shown with it.
const SHOWN: f64 = 1.5;

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
    /// The gates that it has passed.
    pub checks: Vec<Check>,
    /// How it came to its size, the oldest first.
    pub curve: Vec<Point>,
    /// The limit that it will reach first.
    pub headroom: Option<Headroom>,
    /// When it reaches that; with others that share it, if it leaks together with them.
    pub forecast: Option<Forecast>,
    /// How bad that is.
    pub severity: Severity,
    /// How it compares with other processes of its program.
    pub peers: Peers,
    /// What could not be seen.
    pub loss: Vec<String>,
}

/// What a round has found of a process that may leak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    assessment: Assessment,
    /// Growth that is a leak only together with others', measured in this round.
    shared: Option<Growth>,
    /// The growth to compare with others'.
    pub growth: Growth,
}

impl Tracked {
    /// The time since its start, in seconds.
    pub(super) fn age_secs(&self, now: &Moment) -> f64 {
        now.boot_secs - self.sample.process.start_time_ns as f64 / 1e9
    }

    /// Holds what is remembered of it against its rule; nothing if it does not grow. `n_scales` is
    /// what its history said of the last sample.
    pub(super) fn assess(&mut self, now: &Moment, rules: &Rules, n_scales: usize) -> Option<Found> {
        let age_secs = self.age_secs(now);
        let known = self.known.as_mut()?;
        if let Some(rule) = known.heap_rule.as_ref().and_then(|name| rules.0.get(name)) {
            let assessment = detect::assess(&self.history, rule, age_secs, n_scales);
            suspect(&mut self.suspect_until_secs, now, rule, &assessment);
        }
        let rule = rules.0.get(known.rule.as_ref()?)?;
        let assessment = detect::assess(&self.history, rule, age_secs, n_scales);
        suspect(&mut self.suspect_until_secs, now, rule, &assessment);
        let shared = detect::share(&self.history, rule, age_secs, n_scales);
        if let Some(growth) = &shared {
            known.shared.renew(now, growth);
        }
        if let Some(growth) = &assessment.slow {
            known.slow.renew(now, growth);
        }
        let measured = shared
            .or(assessment.slow)
            .or(assessment.sudden)
            .or(assessment.fast)?;
        Some(Found {
            growth: known.shared.believed(now).unwrap_or(measured),
            assessment,
            shared,
        })
    }

    /// The leak, if this process leaks, by itself or together with its company.
    pub(super) fn judge(
        &mut self,
        now: &Moment,
        rules: &Rules,
        source: Source,
        found: &Found,
        company: Option<&Company>,
        collector: &mut dyn Collector,
    ) -> Option<Leak> {
        let age_secs = self.age_secs(now);
        let sample = &self.sample;
        let known = self.known.as_mut()?;
        let floor_bytes = self.history.recent_floor_bytes();
        let patience = past::patience(&known.prior, floor_bytes);
        let (name, rule) = rules.0.get_key_value(known.rule.as_ref()?)?;
        let assessment = &found.assessment;
        let together = found
            .shared
            .and(company)
            .and_then(|company| company.together);
        let together = together.filter(|together| together.is_enough(rule));
        if together.is_some() {
            believe(
                &mut self.suspect_until_secs,
                now,
                found.growth.lasted_secs * BELIEF,
            );
        }
        let grows = assessment.grows() || together.is_some();
        if !grows || known.doubted_until_secs > now.monotonic_secs {
            return None;
        }
        let headroom = collector.headroom(sample, &known.facts);
        known.headroom = headroom.map(|headroom| (headroom, sample.bytes));
        let headroom_bytes = headroom.as_ref().map(|headroom| headroom.headroom_bytes);
        let pattern = company.map_or(1.0, |company| company.patience);
        // What fills up as it did before does so in every worker.
        let patience = if patience > 1.0 {
            patience
        } else {
            patience * pattern
        };
        let patience = Patience::new(rule, patience).within(&self.history);
        let started_at = past::started_at(age_secs, now);
        let lasted_secs = |growth: &Growth| {
            let carried =
                |before: Interrupted| before.carried_secs(growth, started_at, floor_bytes);
            growth.lasted_secs + known.prior.interrupted.map_or(0.0, carried)
        };
        let goes_on =
            |growth: &Growth| lasted_secs(growth) >= patience.needed_secs(growth, headroom_bytes);
        // What their common limit sees is all of them; what else is said is of this process.
        let is_common = headroom
            .as_ref()
            .is_some_and(|headroom| is_common(headroom.kind));
        let towards_limit = |own: &Growth| together.filter(|_| is_common).unwrap_or(*own);
        let is_leak_together = |own: &Growth| {
            let needed_secs = patience.needed_secs(&towards_limit(own), headroom_bytes);
            together.is_some() && own.lasted_secs >= needed_secs
        };
        let by_itself = assessment
            .leak(&patience, headroom_bytes)
            .or_else(|| assessment.slow.filter(goes_on));
        let growth = by_itself.or_else(|| found.shared.filter(is_leak_together))?;
        let together = together.filter(|_| by_itself.is_none());
        let towards_limit = together.filter(|_| is_common).unwrap_or(growth);
        let mut checks =
            detect::passed(&self.history, age_secs, &growth, &patience, headroom_bytes);
        for check in &mut checks {
            match (check.gate, &together) {
                (Gate::Sustained, None) if !check.passes() => check.value = lasted_secs(&growth),
                (Gate::Sustained, Some(_)) => {
                    let needed_secs = patience.needed_secs(&towards_limit, headroom_bytes);
                    check.bound = Bound::Least(needed_secs);
                }
                (Gate::Gain | Gate::Rate, Some(together)) => {
                    *check = together.check(check.gate, rule)
                }
                _ => {}
            }
        }
        let forecast =
            headroom_bytes.map(|bytes| Forecast::new(towards_limit.bytes_per_sec, bytes));
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
            cause: cause(source, growth.bytes_per_sec.median, heap.as_ref()),
            curve: self.history.curve(now.monotonic_secs, SHOWN * growth.secs),
            checks,
            rule: name.clone(),
            growth,
            forecast,
            severity: severity(forecast.as_ref(), rule),
            peers: company.map_or_else(Peers::default, |company| company.peers),
            headroom,
            loss: known.loss.iter().cloned().chain(unseen).collect(),
            heap,
        })
    }
}

/// Makes a process a suspect until it must have shown again that it is one.
fn suspect(until_secs: &mut f64, now: &Moment, rule: &Rule, assessment: &Assessment) {
    if assessment.is_suspect || assessment.grows() {
        believe(until_secs, now, Patience::least_secs(rule));
    }
}

fn believe(until_secs: &mut f64, now: &Moment, secs: f64) {
    *until_secs = until_secs.max(now.monotonic_secs + secs);
}

/// Whether the processes of a cgroup reach a limit together.
fn is_common(kind: LimitKind) -> bool {
    match kind {
        LimitKind::CgroupMax | LimitKind::CgroupHigh | LimitKind::Host => true,
        LimitKind::RlimitAs | LimitKind::RlimitData | LimitKind::Recorded => false,
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

/// Why a source grows that does so by such a rate.
pub(super) fn cause(source: Source, bytes_per_sec: f64, heap: Option<&HeapReading>) -> Cause {
    match (source, heap) {
        (Source::Heap, _) => Cause::Heap,
        (Source::Kernel, _) => Cause::Kernel,
        (Source::Pages, None) => Cause::Unknown,
        (Source::Pages, Some(heap)) => Cause::of_pages(
            bytes_per_sec,
            &Beside {
                seen_secs: heap.seen_secs,
                calls: heap.net.calls,
                allocated_bytes_per_sec: heap.net.allocated_bytes as f64 / heap.seen_secs.max(1e-3),
                heap_bytes_per_sec: heap.growth_bytes_per_sec,
                mapped_bytes_per_sec: heap.mapped_bytes_per_sec,
            },
        ),
    }
}

/// Critical if the limit may be reached soon, at the rate's upper bound.
fn severity(forecast: Option<&Forecast>, rule: &Rule) -> Severity {
    let soonest_secs = forecast.and_then(|forecast| forecast.soonest_secs);
    match soonest_secs.is_some_and(|secs| secs <= rule.critical.exhausts_within.secs()) {
        true => Severity::Critical,
        false => Severity::Warning,
    }
}
