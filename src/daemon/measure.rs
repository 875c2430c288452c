//! Who and what is measured from now on, beside the scan.

use anyhow::anyhow;

use super::Daemon;
use crate::collect::MAX_MEASURED;
use crate::config::{Rules, Watch};
use crate::detect::{self, History, Patience};
use crate::plan;
use crate::sample::{Moment, Source};

/// The kernel's own memory, which tells whether a process can be leaking any.
#[derive(Debug, Default)]
pub(super) struct KernelSuspicion {
    history: Option<History>,
    until_secs: f64,
}

impl Daemon {
    /// Decides it after each round.
    pub(super) fn measure(&mut self, now: &Moment) {
        let candidates = self.pages().candidates(now);
        let suspects = candidates.iter().filter(|candidate| candidate.is_suspect);
        self.suspects = suspects.map(|candidate| candidate.process).collect();
        let alerting = self.state.book.processes();
        let heap = &self.config.heap;
        self.chosen = plan::measured(
            heap.watch,
            candidates,
            &alerting,
            &self.chosen,
            MAX_MEASURED,
        );
        self.prober.measure(self.chosen.clone(), heap.ceiling);
        match self.prober.failure() {
            Some(failure) => self.complaints.raise("heap", &anyhow!(failure)),
            None => self.complaints.settle("heap"),
        }
        let is_wanted = self.is_kernel_wanted(now);
        match self.collector.measure_kernel(is_wanted) {
            Ok(()) => self.complaints.settle("kernel"),
            Err(error) => self.complaints.raise("kernel", &error),
        }
    }

    fn is_kernel_wanted(&mut self, now: &Moment) -> bool {
        let rules = &self.config.rule;
        let has_rule = rules.measure(Source::Kernel);
        let is_suspect = has_rule && {
            let bytes = self.collector.kernel_bytes().unwrap_or_default();
            let block_secs = self.config.scan.interval.secs();
            self.kernel.observe(now, rules, block_secs, bytes)
        };
        match self.config.kernel.watch {
            Watch::Off => false,
            _ if self.shared.is_kernel_asked_for() => true,
            Watch::Matched => has_rule,
            Watch::Suspects => is_suspect || self.state.book.has(Source::Kernel),
        }
    }
}

impl KernelSuspicion {
    /// Takes in what the kernel uses for itself. Whether that grows as a rule would call a leak.
    fn observe(&mut self, now: &Moment, rules: &Rules, block_secs: f64, bytes: u64) -> bool {
        let now_secs = now.monotonic_secs;
        let history = self
            .history
            .get_or_insert_with(|| History::new(block_secs, now_secs, bytes));
        let n_scales = history.observe(now_secs, bytes);
        let of_kernel = rules
            .active()
            .filter(|(_, rule)| rule.source == Source::Kernel);
        for (_, rule) in of_kernel {
            let assessment = detect::assess(history, rule, now.boot_secs, n_scales);
            if assessment.is_suspect || assessment.grows() {
                let until_secs = now_secs + 2.0 * Patience::least_secs(rule);
                self.until_secs = self.until_secs.max(until_secs);
            }
        }
        now_secs < self.until_secs
    }
}
