//! Where the memory of those that leak was allocated: captures of stacks for open alerts, and the
//! reports that they come to.

mod follow;
mod parts;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use tracing::debug;

use super::Daemon;
use crate::alert::{Alert, Announcement};
use crate::collect::{Host, Pinpoint, TouchCapture};
use crate::config::Watch;
use crate::detect::Cause;
use crate::plan::{self, Progress};
use crate::report::{Report, StackCapture, Store};
use crate::sample::{Moment, ProcessId, Source};
use crate::site::Site;
use parts::Look;

/// Sites that an alert has, and frames of each; the report has more. That keeps it small enough
/// for one entry of the journal.
const MAX_SITES: usize = 3;
const MAX_FRAMES: usize = 32;
/// Processes that are looked at by probes at a time; the others are due again in the next round.
const MAX_LOOKS: usize = 4;
/// A look that has come to nothing after so long will not: a capture ends by itself before.
const LOST_SECS: f64 = 1200.0;
/// Processes of which the kernel's stacks are kept at a time.
const MAX_OF_KERNEL: usize = 8;

/// Why an alert does not say where the memory was allocated.
const WITHHELD: &str =
    "its user may not look into the process: root is told by \"memleakctl report\"";

/// What is captured, and what was, for each open alert.
#[derive(Debug, Default)]
pub(super) struct Pinpointing {
    /// This program, which is started once more to resolve stacks.
    exe: PathBuf,
    /// Where reports are kept; nowhere if there is no state directory.
    store: Option<Store>,
    /// Alerts whose changes are to be written into their reports.
    changed: follow::Changed,
    progress: BTreeMap<String, Progress>,
    /// Looks that are under way. By the time that one is over, an alert may be over as well.
    under_way: BTreeMap<ProcessId, Look>,
    /// Since when the kernel's stacks are kept for a process, in seconds of the monotonic clock,
    /// and for which alert.
    kernel: BTreeMap<ProcessId, (f64, Alert)>,
}

impl Daemon {
    /// Takes in what has come of captures, and orders those that are due. Returns what is to be
    /// said.
    pub(super) fn pinpoint(&mut self, now: &Moment) -> Vec<Announcement> {
        let mut changes = Vec::new();
        for (process, result) in self.prober.pinpointed() {
            if let Some(look) = self.pinpointing.under_way.get_mut(&process) {
                look.awaits_heap = false;
                look.take(result);
            }
        }
        for (process, look) in self.pinpointing.take_over(now) {
            let owner = look.owner;
            let (alerts, result) = look.result(now);
            changes.extend(self.take_stacks(now, alerts, (process, owner), result));
        }
        for (alert, process) in self.due(now) {
            match alert.source {
                Source::Kernel => self.pinpointing.look_at_kernel(now, alert, process),
                Source::Pages | Source::Heap => self.order(now, alert, process),
            }
        }
        changes.extend(self.pinpoint_kernel(now));
        let book = &self.state.book;
        self.pinpointing.progress.retain(|id, _| book.is_open(id));
        changes
    }

    /// The alerts for which stacks are to be captured now, with the process of each.
    fn due(&mut self, now: &Moment) -> Vec<(Alert, ProcessId)> {
        let again_secs = self.config.stacks.again.secs();
        let (rules, pinpointing) = (&self.config.rule, &mut self.pinpointing);
        let firing = self.state.book.firing();
        let due = firing.filter(|(alert, process)| {
            let rule = rules.0.get(&alert.rule);
            // Asked in this order, as what is known of an alert may have to be read from a file.
            rule.is_some_and(|rule| rule.stacks)
                && !pinpointing.is_under_way(&alert.id)
                && pinpointing.has_room(alert.source, *process)
                && {
                    let progress = pinpointing.progress(now, alert, *process);
                    plan::is_due(now.monotonic_secs, *process, progress, again_secs)
                }
        });
        due.map(|(alert, process)| (alert.clone(), process))
            .collect()
    }

    fn order(&mut self, now: &Moment, alert: Alert, process: ProcessId) {
        if let Some(look) = self.pinpointing.under_way.get_mut(&process) {
            return look.alerts.push(alert);
        }
        if !self.pinpointing.has_room(alert.source, process) {
            return;
        }
        let (heap, stacks) = (&self.config.heap, &self.config.stacks);
        let mut look = Look::begun(now.monotonic_secs, owner(process));
        if heap.watch == Watch::Off {
            look.take(Err("heap.watch is \"off\"".to_owned()));
        } else {
            look.awaits_heap = true;
            let settings = Pinpoint {
                time: stacks.time.duration(),
                sampling_bytes: stacks.sampling.0,
            };
            self.prober.pinpoint(process, settings, heap.ceiling);
        }
        // What the allocator has kept is told by who asked it.
        if !matches!(alert.cause, Cause::Heap | Cause::Retention) {
            let exe = self.pinpointing.exe.clone();
            match TouchCapture::start(exe, process, stacks.time.duration()) {
                Ok(touch) => look.touch = Some(touch),
                Err(error) => look.take(Err(format!("{error:#}"))),
            }
        }
        look.alerts.push(alert);
        self.pinpointing.under_way.insert(process, look);
    }

    /// Has the kernel's stacks kept of what is to be told, and takes in those of processes that
    /// were looked at for long enough.
    fn pinpoint_kernel(&mut self, now: &Moment) -> Vec<Announcement> {
        let processes: Vec<_> = self.pinpointing.kernel.keys().copied().collect();
        match self.collector.measure_kernel_stacks(&processes) {
            Ok(()) => self.complaints.settle("kernel stacks"),
            Err(error) => self.complaints.raise("kernel stacks", &error),
        }
        let mut changes = Vec::new();
        for process in processes {
            let looked = self.pinpointing.kernel.get(&process);
            let secs = looked.map_or(0.0, |(since_secs, _)| now.monotonic_secs - since_secs);
            if secs < self.config.stacks.time.secs() {
                continue;
            }
            let sites = self.collector.kernel_sites(process);
            let result = sites.map_err(|error| format!("{error:#}"));
            let result = result.map(|sites| StackCapture {
                time: now.time,
                secs,
                span_secs: secs,
                method: "tracepoints of the kernel's allocators".to_owned(),
                sites: sites.sites,
                loss: sites.loss,
            });
            let looked = self.pinpointing.kernel.remove(&process);
            let alerts = looked.map(|(_, alert)| alert).into_iter().collect();
            let of = (process, owner(process));
            changes.extend(self.take_stacks(now, alerts, of, result));
        }
        changes
    }

    /// What was captured of a process with an owner goes into the reports of the alerts that it was made for.
    fn take_stacks(
        &mut self,
        now: &Moment,
        alerts: Vec<Alert>,
        (process, owner): (ProcessId, u32),
        result: Result<StackCapture, String>,
    ) -> Vec<Announcement> {
        let mut changes = Vec::new();
        for alert in alerts {
            self.pinpointing
                .note(&alert.id, process, now, result.is_ok());
            let sites = result.clone().and_then(|capture| {
                let sites = self.report(now, &alert, owner, capture);
                match owner == alert.uid {
                    true => Ok(sites),
                    false => Err(WITHHELD.to_owned()),
                }
            });
            if let Err(why) = &sites {
                debug!(
                    "alert {}: no stacks of pid {}: {why}",
                    alert.id, process.pid
                );
            }
            changes.extend(self.state.book.locate(now, &alert.id, process, sites));
        }
        changes
    }

    /// Adds a capture to the report of an alert. Returns the sites that are worth telling.
    fn report(
        &mut self,
        now: &Moment,
        alert: &Alert,
        owner: u32,
        capture: StackCapture,
    ) -> Vec<Site> {
        let mut report = self.begun(now, alert);
        report.uid = owner;
        report.add(capture);
        self.keep(&report);
        report.sites.truncate(MAX_SITES);
        for site in &mut report.sites {
            if site.frames.len() > MAX_FRAMES {
                site.frames.truncate(MAX_FRAMES);
                site.cut = Some("the report has all of it".to_owned());
            }
        }
        report.sites
    }
}

impl Pinpointing {
    /// Nothing is captured yet.
    pub fn new(exe: PathBuf, store: Option<Store>) -> Self {
        Self {
            exe,
            store,
            ..Self::default()
        }
    }

    fn is_under_way(&self, id: &str) -> bool {
        let of_kernel = self.kernel.values().map(|(_, alert)| alert);
        let looks = self.under_way.values();
        let mut alerts = looks.flat_map(|look| &look.alerts).chain(of_kernel);
        alerts.any(|alert| alert.id == id)
    }

    /// Takes the looks that are over.
    fn take_over(&mut self, now: &Moment) -> Vec<(ProcessId, Look)> {
        for look in self.under_way.values_mut() {
            look.take_touch();
            if now.monotonic_secs >= look.began_secs + LOST_SECS {
                look.give_up();
            }
        }
        let looks = std::mem::take(&mut self.under_way).into_iter();
        let (over, under_way): (Vec<_>, Vec<_>) = looks.partition(|(_, look)| look.is_over());
        self.under_way = under_way.into_iter().collect();
        over
    }

    /// Whether a process can be looked at now. Who cannot is due again in the next round.
    fn has_room(&self, source: Source, process: ProcessId) -> bool {
        match source {
            Source::Kernel => self.kernel.len() < MAX_OF_KERNEL,
            Source::Pages | Source::Heap => {
                self.under_way.len() < MAX_LOOKS || self.under_way.contains_key(&process)
            }
        }
    }

    fn look_at_kernel(&mut self, now: &Moment, alert: Alert, process: ProcessId) {
        if self.has_room(alert.source, process) {
            self.kernel
                .entry(process)
                .or_insert((now.monotonic_secs, alert));
        }
    }

    /// What an alert's report has of the same process.
    fn load(&self, alert: &Alert) -> Result<Option<Report>> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let report = store.load(&alert.id)?;
        Ok(report.filter(|report| report.is_of(alert)))
    }

    /// What was captured for an alert, also by an earlier run of the daemon.
    fn progress(&mut self, now: &Moment, alert: &Alert, process: ProcessId) -> Option<&Progress> {
        if !self.progress.contains_key(&alert.id)
            && let Ok(Some(report)) = self.load(alert)
        {
            // Growth that had ended before this began may have come from elsewhere.
            let captures = report.captures.iter();
            let times = captures.map(|capture| capture.time);
            let times: Vec<_> = times.filter(|time| *time >= alert.since).collect();
            if let Some(last) = times.last() {
                let ago_secs = now.time.duration_since(*last).as_secs_f64();
                let progress = Progress {
                    process,
                    n: times.len() as u32,
                    n_failed: 0,
                    ended_secs: now.monotonic_secs - ago_secs.max(0.0),
                };
                self.progress.insert(alert.id.clone(), progress);
            }
        }
        self.progress.get(&alert.id)
    }

    fn note(&mut self, id: &str, process: ProcessId, now: &Moment, is_done: bool) {
        let before = self.progress.get(id);
        let before = before.filter(|before| before.process == process);
        let (n, n_failed) = before.map_or((0, 0), |before| (before.n, before.n_failed));
        let progress = Progress {
            process,
            n: n + u32::from(is_done),
            n_failed: if is_done { 0 } else { n_failed + 1 },
            ended_secs: now.monotonic_secs,
        };
        self.progress.insert(id.to_owned(), progress);
    }
}

/// The user who may look into a process: root, if it has had rights that its user has not, or if
/// that is not to be known any more.
fn owner(process: ProcessId) -> u32 {
    Host::new("/").owner(process.pid).unwrap_or(0)
}
