//! One process that is measured: its probes, the windows in which they are in, and the sums.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, ensure};
use libbpf_rs::Link;

use super::cost::HitCost;
use super::probes::Probes;
use super::reading::{Capture, HeapReading};
use super::tally::Tally;
use super::totals::Totals;
use super::windows::Windows;
use crate::collect::Host;
use crate::collect::allocator::{Allocator, Function, Method};
use crate::net::Net;
use crate::quantity::{Share, Span, count};
use crate::sample::ProcessId;

/// How long it is looked what a process uses of a CPU by itself, before the first probe slows it.
const WITHOUT: Duration = Duration::from_secs(1);
/// How long the first window is, after which it is known what the probes cost.
const FIRST_WINDOW: Duration = Duration::from_secs(1);
/// Probes that have not been hit for so long are said to be silent.
const SILENT_SECS: f64 = 30.0;

/// A measured process.
pub(super) struct Subject {
    process: ProcessId,
    slot: u32,
    /// `None` for a capture, which is short and was asked for: its probes stay.
    ceiling: Option<Share>,
    program: Program,
    allocators: Vec<Allocator>,
    started: Instant,
    cpu_secs_before: f64,
    /// What it has used of a CPU while no probes were in.
    bare: Use,
    /// The open window: its probes, when it began, and what had been counted by then.
    window: Option<(Vec<Link>, Instant, Totals)>,
    windows: Windows,
    /// When the probes come in or go out, or the window is closed and the next one opened.
    change_at: Instant,
    /// When the probes went out, and the CPU time that the process had used by then.
    without: (Instant, f64),
    /// When it was last worked out what the probes may cost, and by how much they have cost more
    /// than that, in seconds of CPU time.
    settled: Instant,
    owed_secs: f64,
    /// Over the closed windows.
    sum: Totals,
    heap: Tally,
    mapped: Tally,
}

/// An executable, and where the stack began when it was started: at each start elsewhere.
type Program = (PathBuf, Option<u64>);

/// CPU time, and the time in which it was used.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    secs: f64,
    cpu_secs: f64,
}

impl Use {
    fn share(self) -> f64 {
        self.cpu_secs / self.secs.max(1e-3)
    }
}

/// What a subject needs of its surroundings.
pub(super) struct Tools<'a> {
    pub host: &'a Host,
    pub probes: &'a Probes,
    pub hit_cost: &'a HitCost,
}

/// What has become of a process since its measuring began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs the same program.
    Same,
    /// It runs another one, which owes nothing of what the first one did.
    Replaced,
    Ended,
}

impl Subject {
    /// Finds what a process allocates with, and puts the first probes in.
    pub fn start(
        tools: &Tools<'_>,
        process: ProcessId,
        slot: u32,
        ceiling: Option<Share>,
    ) -> Result<Self> {
        let now = Instant::now();
        let mut allocators = tools.host.allocators(process.pid)?.map_err(Error::msg)?;
        for probe in allocators.iter_mut().flat_map(|found| &mut found.probes) {
            tools.hit_cost.distrust(probe);
        }
        let cpu_secs = tools.host.cpu_secs(process.pid)?;
        let mut subject = Self {
            process,
            slot,
            ceiling,
            program: tools
                .host
                .program_of(process.pid)
                .context("reading which program it runs")?,
            allocators,
            started: now,
            cpu_secs_before: cpu_secs,
            bare: Use::default(),
            window: None,
            windows: Windows {
                on: FIRST_WINDOW,
                off: Duration::ZERO,
            },
            change_at: now + WITHOUT,
            without: (now, cpu_secs),
            settled: now,
            owed_secs: 0.0,
            sum: Totals::default(),
            heap: Tally::default(),
            mapped: Tally::default(),
        };
        // Asked last: a process that has its number still has had it all the while.
        ensure!(
            tools.host.start_time_ticks(process.pid)? == process.start_time_ticks(),
            "the process has ended"
        );
        if subject.ceiling.is_none()
            && let Err(error) = subject.open(tools)
        {
            // Some probes may have been in for a moment.
            subject.forget(tools)?;
            return Err(error);
        }
        Ok(subject)
    }

    /// Forgets the pointers of what was allocated, once no probes are in.
    pub fn forget(&self, tools: &Tools<'_>) -> Result<()> {
        match self.is_by_pointer() {
            true => tools.probes.clear(self.slot),
            false => Ok(()),
        }
    }

    /// Takes the probes out for good.
    pub fn release(mut self, tools: &Tools<'_>) -> Result<()> {
        self.window = None;
        self.forget(tools)
    }

    pub fn process(&self) -> ProcessId {
        self.process
    }

    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// When there is something to do.
    pub fn change_at(&self) -> Instant {
        self.change_at
    }

    pub fn set_ceiling(&mut self, ceiling: Share) {
        self.ceiling = Some(ceiling);
    }

    /// Does what is due. An error ends the measuring of this process.
    pub fn tend(&mut self, tools: &Tools<'_>, now: Instant) -> Result<()> {
        if now < self.change_at {
            return Ok(());
        }
        let life = self.life(tools)?;
        ensure!(life == Life::Same, "{life}");
        let Some((links, since, before)) = self.window.take() else {
            return self.open(tools);
        };
        let totals = tools.probes.read(self.slot)?;
        let now = Instant::now();
        self.close(totals.since(before), now - since);
        self.set_windows(tools, totals.since(before), now - since)?;
        if self.windows.off.is_zero() {
            self.window = Some((links, now, totals));
            self.change_at = now + self.windows.on;
        } else {
            drop(links);
            self.forget(tools)?;
            self.without = (now, tools.host.cpu_secs(self.process.pid)?);
            self.change_at = now + self.windows.off;
        }
        Ok(())
    }

    /// What has become of the process.
    pub fn life(&self, tools: &Tools<'_>) -> Result<Life> {
        let pid = self.process.pid;
        let found = tools.host.program_of(pid).and_then(|program| {
            // Asked last: a process that has its number still has had it all the while.
            Ok((program, tools.host.start_time_ticks(pid)?))
        });
        life(&self.program, self.process.start_time_ticks(), found)
    }

    /// What a capture comes to, and why it is over before its time, if it is.
    pub fn captured(
        &self,
        tools: &Tools<'_>,
        now: Instant,
        cut_short: Option<&str>,
    ) -> Result<Capture> {
        let mut capture = Capture::from(self.reading(tools, now)?);
        if let Some(why) = cut_short {
            let span = Span::from_secs_f64(capture.secs);
            let unseen = format!("what came after {span}, as {why}");
            capture.loss.push(unseen);
        }
        Ok(capture)
    }

    /// What is known by now.
    pub fn reading(&self, tools: &Tools<'_>, now: Instant) -> Result<HeapReading> {
        let (mut sum, mut heap, mut mapped) = (self.sum, self.heap, self.mapped);
        if let Some((_, since, before)) = &self.window {
            let counted = tools.probes.read(self.slot)?.since(*before);
            let secs = since.elapsed().as_secs_f64();
            sum = sum.zip(counted, u64::wrapping_add);
            heap.add(secs, self.net_bytes(counted));
            mapped.add(secs, counted.mapped_net_bytes() as f64);
        }
        let span_secs = (now - self.started).as_secs_f64();
        Ok(HeapReading {
            process: self.process,
            net: Net {
                allocated_bytes: sum.allocated_bytes,
                freed_bytes: sum.freed_bytes + self.freed_of_new_bytes(sum),
                calls: sum.allocations + sum.frees,
                lost: sum.lost_full + sum.lost_unreadable,
            },
            span_secs,
            seen_secs: heap.seen_secs(),
            net_bytes: heap.net_bytes_over(span_secs) as i64,
            growth_bytes_per_sec: heap.bytes_per_sec(),
            mapped_bytes_per_sec: mapped.bytes_per_sec(),
            method: self.method(),
            cost_secs: tools.hit_cost.secs(sum),
            loss: self.loss(tools, sum, heap.seen_secs()),
        })
    }

    /// Puts probes in.
    fn open(&mut self, tools: &Tools<'_>) -> Result<()> {
        let (since, cpu_secs) = self.without;
        self.bare.secs += since.elapsed().as_secs_f64();
        self.bare.cpu_secs += tools.host.cpu_secs(self.process.pid)? - cpu_secs;
        let links = tools
            .probes
            .attach(self.slot, self.process.pid, &self.allocators)?;
        // Putting them in takes a while, in which some are hit already and others are not yet.
        let before = tools.probes.read(self.slot)?;
        let since = Instant::now();
        self.window = Some((links, since, before));
        self.change_at = since + self.windows.on;
        Ok(())
    }

    fn close(&mut self, counted: Totals, time: Duration) {
        self.sum = self.sum.zip(counted, u64::wrapping_add);
        self.heap.add(time.as_secs_f64(), self.net_bytes(counted));
        self.mapped
            .add(time.as_secs_f64(), counted.mapped_net_bytes() as f64);
    }

    fn set_windows(&mut self, tools: &Tools<'_>, counted: Totals, time: Duration) -> Result<()> {
        let Some(ceiling) = self.ceiling else {
            return Ok(());
        };
        let spent_secs = tools.hit_cost.secs(counted);
        let cost = spent_secs / time.as_secs_f64().max(1e-3);
        let cpu = self.cpu_share(tools)?;
        // What is allowed is what accrues over an hour at most.
        let most_secs = ceiling.fraction() * cpu * 3600.0;
        let accrued_secs = ceiling.fraction() * cpu * self.settled.elapsed().as_secs_f64();
        self.settled = Instant::now();
        self.owed_secs = (self.owed_secs + spent_secs - accrued_secs).max(-most_secs);
        self.windows = Windows::within(ceiling, cost, cpu, self.owed_secs);
        Ok(())
    }

    /// What the process uses of a CPU by itself. One that is busy all the time has less of it left
    /// while the probes are in, so that more is known from when they are out.
    fn cpu_share(&self, tools: &Tools<'_>) -> Result<f64> {
        let used_secs = tools.host.cpu_secs(self.process.pid)? - self.cpu_secs_before;
        let all = Use {
            secs: self.started.elapsed().as_secs_f64(),
            cpu_secs: used_secs - tools.hit_cost.secs(self.sum),
        };
        Ok(all.share().max(self.bare.share()))
    }

    /// Net bytes of a window. Frees of pointers that are not in the table, as they were allocated
    /// while nobody looked, are taken for as large as allocations are on average.
    fn net_bytes(&self, counted: Totals) -> f64 {
        let all = self.sum.zip(counted, u64::wrapping_add);
        counted.net_bytes() as f64 - counted.unknown_frees as f64 * self.average_bytes(all)
    }

    /// The average allocation, for frees of unknown size; nothing where all sizes are known.
    fn average_bytes(&self, all: Totals) -> f64 {
        match self.is_by_pointer() && all.allocations > 0 {
            true => all.allocated_bytes as f64 / all.allocations as f64,
            false => 0.0,
        }
    }

    /// Whether operator new is counted, of which no pointer is known.
    fn has_new(&self) -> bool {
        let mut probes = self.allocators.iter().flat_map(|found| &found.probes);
        probes.any(|probe| matches!(probe.function, Function::New | Function::NewArray))
    }

    /// What operator delete has freed, as far as it is not known by pointer.
    fn freed_of_new_bytes(&self, sum: Totals) -> u64 {
        match self.has_new() {
            true => (sum.unknown_frees as f64 * self.average_bytes(sum)) as u64,
            false => 0,
        }
    }

    fn is_by_pointer(&self) -> bool {
        let mut methods = self.allocators.iter().map(|allocator| allocator.method);
        methods.any(|method| method == Method::Map)
    }

    fn method(&self) -> String {
        let each = self.allocators.iter().filter_map(|allocator| {
            let how = match allocator.method {
                Method::Header => "by chunk headers",
                Method::Map => "by a table of pointers",
                Method::Mapping => return None,
            };
            Some(format!("{}, {how}", allocator.name))
        });
        each.collect::<Vec<_>>().join("; ")
    }

    fn loss(&self, tools: &Tools<'_>, sum: Totals, seen_secs: f64) -> Vec<String> {
        let mut loss = Vec::new();
        if sum.hits == 0 && seen_secs >= SILENT_SECS {
            loss.push(format!(
                "the probes in its allocator ({}) have not been hit in {seen_secs:.0} s",
                self.method()
            ));
        }
        let calls = |n: u64| count(n as usize, "call", "calls");
        if sum.lost_full > 0 {
            let lost = calls(sum.lost_full);
            loss.push(format!(
                "{lost} for which the table of pointers had no room"
            ));
        }
        if sum.lost_unreadable > 0 {
            let lost = calls(sum.lost_unreadable);
            loss.push(format!("{lost} with a chunk that could not be read"));
        }
        if sum.sampled > 0 {
            let sampled = calls(sum.sampled);
            loss.push(format!(
                "{sampled} that found the table of pointers rather full: a random few stand for them"
            ));
        }
        if self.is_by_pointer() && sum.unknown_frees > 0 {
            let lost = calls(sum.unknown_frees);
            loss.push(format!(
                "{lost} that freed what was allocated before it was looked{}: taken for as large as others",
                if self.has_new() { ", or by operator new" } else { "" }
            ));
        }
        if !tools.probes.is_exact() && !self.is_by_pointer() {
            loss.push(
                "what allocations got: on this kernel, what they asked for is counted".to_owned(),
            );
        }
        loss
    }
}

/// What has become of a process that ran a program, by what is found in its place: that a file of
/// its own is missing means that it has ended.
fn life(program: &Program, ticks: u64, found: io::Result<(Program, u64)>) -> Result<Life> {
    let (exe, stack_start) = program;
    match found {
        Ok((_, now)) if now != ticks => Ok(Life::Ended),
        Ok(((now, start), _)) if undeleted(&now) == undeleted(exe) && start == *stack_start => {
            Ok(Life::Same)
        }
        Ok(_) => Ok(Life::Replaced),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Life::Ended),
        Err(error) => Err(error).context("looking whether the process still runs"),
    }
}

/// A program stays the same if its file is deleted or replaced, as by an upgrade.
fn undeleted(exe: &Path) -> &[u8] {
    let path = exe.as_os_str().as_bytes();
    path.strip_suffix(b" (deleted)").unwrap_or(path)
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "it runs the same program",
            Self::Replaced => "it runs another program now",
            Self::Ended => "the process has ended",
        })
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("process", &self.process)
            .field("slot", &self.slot)
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::{NotFound, PermissionDenied};

    use super::*;

    #[test]
    fn a_process_stays_changes_or_ends() {
        let program = |exe: &str, start| (PathBuf::from(exe), Some(start));
        let found = |exe: &str, ticks| Ok((program(exe, 9), ticks));
        for (found, expected) in [
            (found("/bin/a", 7), Some(Life::Same)),
            (found("/bin/a (deleted)", 7), Some(Life::Same)),
            (found("/bin/b", 7), Some(Life::Replaced)),
            (Ok((program("/bin/a", 10), 7)), Some(Life::Replaced)),
            // Another process with that number.
            (found("/bin/a", 8), Some(Life::Ended)),
            (found("/bin/b", 8), Some(Life::Ended)),
            (Err(NotFound.into()), Some(Life::Ended)),
            // That it may not be looked says nothing.
            (Err(PermissionDenied.into()), None),
        ] {
            let text = format!("{found:?}");
            let life = life(&program("/bin/a", 9), 7, found);
            assert_eq!(life.ok(), expected, "{text}");
        }
    }
}
