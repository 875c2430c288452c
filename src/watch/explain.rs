//! Why a process is taken for one that leaks, or why not: what somebody who asks is told.

use super::Watch;
use super::judge::cause;
use super::known::subject;
use crate::collect::{Facts, Headroom, HeapReading};
use crate::config::{Rule, RuleName};
use crate::detect::{self, Cause, Explanation, Forecast, Patience, Slope};
use crate::past::{self, Past, Prior};
use crate::sample::{Moment, ProcessId, Sample, Source};

/// One source of a process, held against its rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// As last seen.
    pub sample: Sample,
    /// Which source.
    pub source: Source,
    /// The rule that applies, also if it says `ignore`.
    pub rule: Option<(RuleName, Rule)>,
    /// What its program did before.
    pub prior: Prior,
    /// The factor that this makes on the time that growth must last.
    pub patience: f64,
    /// What the gates find, if a rule applies and does not ignore it.
    pub explanation: Option<Explanation>,
    /// Why it grows, as far as is known.
    pub cause: Cause,
    /// When it reaches the nearest limit, if it goes on like that.
    pub forecast: Option<Forecast>,
    /// Whether its growth was not to be found in its exact size of late.
    pub is_doubted: bool,
}

impl Watch {
    /// What there is to say of a process, if it is watched here. `heap` is what is known of its
    /// heap in the last seconds.
    pub fn account(
        &self,
        now: &Moment,
        process: ProcessId,
        facts: &Facts,
        headroom: Option<&Headroom>,
        mut heap: impl FnMut(f64) -> Option<HeapReading>,
        past: &Past,
    ) -> Option<Account> {
        let tracked = self.processes.get(&process.pid)?;
        let sample = tracked.sample;
        if sample.process != process {
            return None;
        }
        let comm = sample.comm.to_string();
        let rule = self
            .rules
            .matching(&subject(&sample, &comm, facts), self.source);
        let prior = match (&tracked.known, self.source) {
            (Some(known), _) => known.prior,
            (None, Source::Pages) => past.prior(&facts.program(&sample), now.time),
            (None, Source::Heap | Source::Kernel) => Prior::default(),
        };
        let patience = past::patience(&prior, tracked.history.recent_floor_bytes());
        let age_secs = now.boot_secs - process.start_time_ns as f64 / 1e9;
        let headroom_bytes = headroom.map(|headroom| headroom.headroom_bytes);
        let explanation = rule.filter(|(_, rule)| !rule.ignore).map(|(_, rule)| {
            let patience = Patience::new(rule, patience).within(&tracked.history);
            detect::explain(&tracked.history, age_secs, &patience, headroom_bytes)
        });
        let look = explanation.as_ref().and_then(Explanation::best);
        let slope = look.and_then(|look| {
            Some(Slope {
                median: look.growth_bytes_per_sec?,
                low: look.growth_bytes_per_sec_low?,
                high: look.growth_bytes_per_sec_high?,
            })
        });
        let window_secs = look.and_then(|look| look.window_secs);
        let beside = window_secs.and_then(&mut heap);
        let doubted_until_secs = tracked.known.as_ref().map(|known| known.doubted_until_secs);
        Some(Account {
            sample,
            source: self.source,
            rule: rule.map(|(name, rule)| (name.clone(), rule.clone())),
            prior,
            patience,
            cause: slope.map_or(Cause::Unknown, |slope| {
                cause(self.source, slope.median, beside.as_ref())
            }),
            forecast: slope
                .zip(headroom_bytes)
                .map(|(slope, headroom_bytes)| Forecast::new(slope, headroom_bytes)),
            explanation,
            is_doubted: doubted_until_secs
                .is_some_and(|until_secs| until_secs > now.monotonic_secs),
        })
    }
}
