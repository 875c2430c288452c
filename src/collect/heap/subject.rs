//! One process that is measured: its probes, the windows in which they are in, and the sums.

mod pace;
mod told;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use libbpf_rs::Link;

use super::capturing::{Capturing, Resolving, Whose};
use super::cost::HitCost;
use super::life::{Life, Program, life};
use super::probes::Probes;
use super::reading::{Capture, HeapReading};
use super::tally::Tally;
use super::totals::Totals;
use super::windows::Windows;
use crate::collect::Host;
use crate::collect::allocator::{Allocator, Function, Method};
use crate::net::Net;
use crate::quantity::{Share, Span};
use crate::sample::ProcessId;

/// How long it is looked what a process uses of a CPU by itself, before the first probe slows it.
const WITHOUT: Duration = Duration::from_secs(1);
/// How long the first window is, after which it is known what the probes cost.
const FIRST_WINDOW: Duration = Duration::from_secs(1);
/// A capture of stacks does not wait longer for the next window.
const SOON: Duration = Duration::from_secs(2);
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
    /// Samples stacks while the probes are in.
    stacks: Option<Capturing>,
    stacks_failure: Option<Error>,
}

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
            stacks: None,
            stacks_failure: None,
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
        if let Some(stacks) = self.stacks.take() {
            stacks.abandon(tools.probes, self.slot)?;
        }
        self.forget(tools)
    }

    /// Has its stacks captured from now on, or from when the probes are in.
    pub fn capture_stacks(&mut self, tools: &Tools<'_>, mut stacks: Capturing) -> Result<()> {
        let opened = match self.window {
            Some(_) => stacks.open(tools.probes, self.whose()),
            None => {
                // Windows so far apart are for who is merely suspected.
                self.change_at = self.change_at.min(Instant::now() + SOON);
                Ok(())
            }
        };
        self.stacks = Some(stacks);
        opened
    }

    /// The capture of its stacks, if there is one.
    pub fn stacks(&self) -> Option<&Capturing> {
        self.stacks.as_ref()
    }

    /// Looks what grows, so that stacks are sampled accordingly.
    pub fn look_at_stacks(&mut self, tools: &Tools<'_>, now: Instant) -> Result<()> {
        match &mut self.stacks {
            Some(stacks) if now >= stacks.look_at() => stacks.look(tools.probes, now),
            _ => Ok(()),
        }
    }

    /// Ends the capture of its stacks if it has looked for long enough, or the process has ended.
    pub fn end_stacks_if_over(
        &mut self,
        tools: &Tools<'_>,
        now: Instant,
    ) -> Result<Option<Resolving>> {
        let Some(stacks) = &self.stacks else {
            return Ok(None);
        };
        match self.life(tools)? {
            Life::Replaced => bail!("{}", Life::Replaced),
            Life::Same if !stacks.is_over(now) => Ok(None),
            Life::Same | Life::Ended => self.end_stacks(tools),
        }
    }

    /// Ends the capture of its stacks.
    pub fn end_stacks(&mut self, tools: &Tools<'_>) -> Result<Option<Resolving>> {
        let Some(mut stacks) = self.stacks.take() else {
            return Ok(None);
        };
        match stacks.close(tools.probes, self.slot) {
            Ok(()) => stacks.end(tools, self.method()).map(Some),
            Err(error) => {
                stacks.abandon(tools.probes, self.slot)?;
                Err(error)
            }
        }
    }

    /// Gives up the capture of its stacks, which is of no use any more.
    pub fn abandon_stacks(&mut self, tools: &Tools<'_>) {
        if let Some(stacks) = self.stacks.take()
            && let Err(error) = stacks.abandon(tools.probes, self.slot)
        {
            tracing::debug!("a capture of stacks could not be ended: {error:#}");
        }
    }

    fn whose(&self) -> Whose<'_> {
        Whose {
            slot: self.slot,
            pid: self.process.pid,
            allocators: &self.allocators,
        }
    }

    /// What it allocates in bytes a second, as far as that has been seen.
    pub fn bytes_per_sec(&self) -> f64 {
        match self.heap.seen_secs() > 0.0 {
            true => self.sum.allocated_bytes as f64 / self.heap.seen_secs(),
            false => 0.0,
        }
    }

    pub fn process(&self) -> ProcessId {
        self.process
    }

    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// When there is something to do.
    pub fn change_at(&self) -> Instant {
        let stacks = self.stacks.iter().map(Capturing::look_at);
        stacks.fold(self.change_at, Instant::min)
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
            if let Some(stacks) = &mut self.stacks
                && let Err(error) = stacks.close(tools.probes, self.slot)
            {
                self.give_up_stacks(tools, error);
            }
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
        if let Some(mut stacks) = self.stacks.take() {
            let opened = stacks.open(tools.probes, self.whose());
            self.stacks = Some(stacks);
            if let Err(error) = opened {
                self.give_up_stacks(tools, error);
            }
        }
        Ok(())
    }

    /// What goes wrong with its stacks does not end the measuring of its heap.
    fn give_up_stacks(&mut self, tools: &Tools<'_>, why: Error) {
        self.abandon_stacks(tools);
        self.stacks_failure = Some(why);
    }

    /// Why the capture of its stacks was given up, if it was; told once.
    pub fn take_stacks_failure(&mut self) -> Option<Error> {
        self.stacks_failure.take()
    }

    fn close(&mut self, counted: Totals, time: Duration) {
        self.sum = self.sum.zip(counted, u64::wrapping_add);
        self.heap.add(time.as_secs_f64(), self.net_bytes(counted));
        self.mapped
            .add(time.as_secs_f64(), counted.mapped_net_bytes() as f64);
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
