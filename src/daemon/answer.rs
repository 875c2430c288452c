//! What the loop knows of one process that somebody asks after.

use std::io;

use super::{Daemon, clock};
use crate::bus::Explained;
use crate::collect::Collector;
use crate::sample::{ProcessId, Source};
use crate::watch::Account;

/// Heap rates are told over the last part of what is known.
pub(super) const HEAP_SECS: f64 = 600.0;

impl Daemon {
    /// Tells why a process is taken for one that leaks, or why not.
    pub(super) fn explained(&mut self, asked: ProcessId) -> Result<Explained, String> {
        let pid = asked.pid;
        let known = self.pages().process(pid);
        let is_asked = |known: &ProcessId| known.start_time_ticks() == asked.start_time_ticks();
        let unknown = || {
            let interval = self.config.scan.interval;
            format!(
                "the last scan has not seen process {pid}: it is new (try again in {interval}), or a thread of the kernel"
            )
        };
        let process = known.filter(is_asked).ok_or_else(unknown)?;
        let (sample, facts) = self.pages().find(process).ok_or_else(unknown)?;
        let (sample, facts) = (*sample, facts.cloned());
        let facts = match facts {
            Some(facts) => facts,
            None => self
                .collector
                .facts(&sample)
                .map_err(|error| gone(pid, &error))?,
        };
        let now = clock::now();
        let age_secs = now.boot_secs - process.start_time_ns as f64 / 1e9;
        let headroom = self.collector.headroom(&sample, &facts);
        let mut explained = Explained::new(&sample, &facts, age_secs, headroom.as_ref());
        explained.alerts = self.state.book.alerts_of(process);
        let heap = self.collector.heap(process, HEAP_SECS);
        explained.add_heap(heap.ok_or_else(|| self.why_unmeasured(process)));
        for watch in &self.watches {
            let account = watch.account(
                &now,
                process,
                &facts,
                headroom.as_ref(),
                |secs| self.collector.heap(process, secs),
                &self.memory.past,
            );
            // Of heaps and kernel memory nobody wants to know without a rule for them.
            let is_asked = |account: &Account| {
                account.source == Source::Pages || account.explanation.is_some()
            };
            account
                .into_iter()
                .filter(is_asked)
                .for_each(|account| explained.add(account));
        }
        Ok(explained)
    }

    fn why_unmeasured(&mut self, process: ProcessId) -> String {
        if !self.chosen.contains(&process) {
            return "it does not grow like a leak".to_owned();
        }
        let failure = self.collector.heap_failure(process);
        failure.unwrap_or_else(|| "its probes are not in yet".to_owned())
    }
}

fn gone(pid: u32, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("process {pid} has just ended"),
        _ => format!("process {pid} cannot be looked at: {error}"),
    }
}
