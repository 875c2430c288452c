//! Whether one process leaks: its history against its rule, its limits, and its exact size.

use std::io;

use super::Tracked;
use crate::collect::{Collector, Facts, Headroom};
use crate::config::{Rule, RuleName, Rules, Severity, Subject};
use crate::detect::{self, Assessment, Growth, Lane};
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
    pub rule: Option<RuleName>,
    pub suspect_until_secs: f64,
    doubted_until_secs: f64,
    trusted_until_secs: f64,
    loss: Vec<String>,
}

impl Known {
    pub fn new(rules: &Rules, sample: &Sample, facts: Facts) -> Self {
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
        let rule = rules
            .most_specific(&subject, Source::Pages)
            .map(|(name, _)| name.clone());
        Self {
            facts,
            rule,
            suspect_until_secs: f64::NEG_INFINITY,
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
        n_scales: usize,
        collector: &mut dyn Collector,
    ) -> Option<Leak> {
        let sample = &self.sample;
        let known = self.known.as_mut()?;
        let (name, rule) = rules.0.get_key_value(known.rule.as_ref()?)?;
        let age_secs = now.boot_secs - sample.process.start_time_ns as f64 / 1e9;
        let assessment = detect::assess(&self.history, rule, age_secs, n_scales);
        if !matches!(assessment, Assessment::Quiet(_)) {
            known.suspect_until_secs = now.monotonic_secs + rule.sustained.secs();
        }
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
        if known.trusted_until_secs <= now.monotonic_secs {
            let Some(loss) = confirm(sample, &growth, collector) else {
                known.doubted_until_secs = now.monotonic_secs + DOUBT_SECS;
                return None;
            };
            known.loss = loss;
            known.trusted_until_secs = now.monotonic_secs + TRUST_SECS;
        }
        Some(Leak {
            sample: *sample,
            facts: known.facts.clone(),
            rule: name.clone(),
            growth,
            severity: severity(&growth, headroom.as_ref(), rule),
            headroom,
            loss: known.loss.clone(),
        })
    }
}

/// Whether a process has really grown, by its exact size, and what could not be seen of that.
///
/// Per-CPU counters (Linux 6.2 and later) can be off by what the CPUs have not folded in, so at
/// least half of the growth must be there. Without the right to look, the scan is believed.
fn confirm(sample: &Sample, growth: &Growth, collector: &mut dyn Collector) -> Option<Vec<String>> {
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

fn severity(growth: &Growth, headroom: Option<&Headroom>, rule: &Rule) -> Severity {
    let left_bytes = headroom.map(|headroom| headroom.headroom_bytes as f64);
    let used_bytes = growth.bytes_per_sec * rule.critical.exhausts_within.secs();
    match left_bytes.is_some_and(|left_bytes| left_bytes <= used_bytes) {
        true => Severity::Critical,
        false => Severity::Warning,
    }
}
