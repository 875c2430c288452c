//! The processes that grow fastest, and how one of them came to its size, for somebody who asks.

use super::answer::HEAP_SECS;
use super::{Daemon, clock};
use crate::bus::Process;
use crate::collect::Collector;
use crate::curve::{Curve, NetPoint};
use crate::detect::Cause;
use crate::sample::{Moment, ProcessId, Source};
use crate::watch::{Account, Grower};

/// A list has so much of each process's past.
const LISTED_SECS: f64 = 3600.0;
/// So many in a list are looked at more closely: for that, files of theirs and of their cgroup are
/// read.
const MAX_ACCOUNTS: usize = 32;

impl Daemon {
    /// The processes that grow fastest, the fastest first, at most `count`.
    pub(super) fn growers(&mut self, count: usize) -> Vec<Process> {
        let now = clock::now();
        let growers = self.pages().growers(&now, count);
        let mut n_accounts = 0;
        let listed = growers.into_iter().map(|grower| {
            let alerts = self.state.book.alerts_of(grower.sample.process);
            let is_offender = grower.is_suspect || !alerts.is_empty();
            let account = (is_offender && n_accounts < MAX_ACCOUNTS)
                .then(|| self.account(&now, &grower))
                .flatten();
            n_accounts += usize::from(account.is_some());
            self.listed(&now, grower, alerts, account)
        });
        listed.collect()
    }

    fn listed(
        &mut self,
        now: &Moment,
        grower: Grower,
        alerts: Vec<String>,
        account: Option<Account>,
    ) -> Process {
        let process = grower.sample.process;
        let heap = self.collector.heap(process, HEAP_SECS);
        let told = alerts
            .iter()
            .filter_map(|id| self.state.book.alert(id).ok());
        // Of another source than pages only the alert knows.
        let told = told.map(|alert| alert.cause);
        let found = account.as_ref().map(|account| account.cause);
        let cause = found
            .into_iter()
            .chain(told)
            .find(|cause| *cause != Cause::Unknown);
        let forecast = account.and_then(|account| account.forecast);
        let likely_secs = forecast.and_then(|forecast| forecast.likely_secs);
        Process {
            alerts,
            cause: cause.unwrap_or_default(),
            exhausts_in_secs: likely_secs.map(|secs| secs as u64),
            net_heap_bytes: heap.as_ref().map(|heap| heap.net_bytes),
            heap_bytes_per_sec: heap.map(|heap| heap.growth_bytes_per_sec),
            curve: self
                .pages()
                .curve(now, process, LISTED_SECS)
                .unwrap_or_default(),
            ..grower.into()
        }
    }

    /// Its pages, held against their rule.
    fn account(&mut self, now: &Moment, grower: &Grower) -> Option<Account> {
        let facts = grower.facts.as_ref()?;
        let headroom = self.collector.headroom(&grower.sample, facts);
        self.watches[0].account(
            now,
            grower.sample.process,
            facts,
            headroom.as_ref(),
            |secs| self.collector.heap(grower.sample.process, secs),
            &self.memory.past,
        )
    }

    /// How a process came to its size, with its user; 0 is when any started that runs.
    pub(super) fn curve(&self, pid: u32, start_time: u64) -> Option<(u32, Curve)> {
        let now = clock::now();
        let is_asked =
            |process: &ProcessId| start_time == 0 || process.start_time_ticks() == start_time;
        let running = self.pages().process(pid).filter(is_asked);
        let start_time = running.map_or(start_time, ProcessId::start_time_ticks);
        let remembered = running.and_then(|process| {
            let (sample, _) = self.pages().find(process)?;
            Some((sample.uid, self.remembered(&now, process)))
        });
        let curve = remembered.as_ref().map(|(_, curve)| curve);
        let kept = self.curves.tracks.find(&now, pid, start_time, curve);
        kept.or(remembered)
    }

    /// What the watches remember of how a process came to its size.
    pub(super) fn remembered(&self, now: &Moment, process: ProcessId) -> Curve {
        let pages = self.pages().curve(now, process, f64::INFINITY);
        Curve {
            pid: process.pid,
            start_time: process.start_time_ticks(),
            pages: pages.unwrap_or_default(),
            net_heap: self.net_heap(now, process),
        }
    }

    /// The watch of heaps adds to what is net what the process held before.
    fn net_heap(&self, now: &Moment, process: ProcessId) -> Vec<NetPoint> {
        let heaps = self
            .watches
            .iter()
            .find(|watch| watch.source() == Source::Heap);
        let points = heaps.and_then(|heaps| heaps.curve(now, process, f64::INFINITY));
        let reading = self.prober.reading(process);
        let (Some(points), Some(reading)) = (points, reading) else {
            return Vec::new();
        };
        let held_bytes = points.last().map_or(0, |point| point.bytes).cast_signed();
        let base_bytes = held_bytes - reading.net_bytes;
        let points = points.into_iter().map(|point| NetPoint {
            secs_ago: point.secs_ago,
            net_bytes: point.bytes.cast_signed() - base_bytes,
        });
        points.collect()
    }
}
