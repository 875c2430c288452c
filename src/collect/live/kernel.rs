//! Kernel memory by process, as the loop sees it: it runs while it is asked for, and what it says
//! of a process goes with the pages of that process.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::collect::{Host, KernelMemory};
use crate::net::Net;
use crate::sample::{ProcessId, Sample};
use crate::site::Sites;

/// How much of the host's figure is remembered: one a minute, as long as a rule can look back.
const REMEMBERED: usize = 36 * 60;
const EVERY: Duration = Duration::from_secs(60);

/// Sites of a process that are told.
const MAX_SITES: usize = 64;

/// What could not be started is tried again after this time.
const RETRY: Duration = Duration::from_secs(600);

/// Measures kernel memory while it is asked for.
#[derive(Debug)]
pub(super) struct KernelWatch {
    memory: Option<KernelMemory>,
    since: Option<Instant>,
    /// When and why it could not be started.
    failure: Option<(Instant, String)>,
    /// Processes as of the last scan of pages, while it runs.
    samples: HashMap<ProcessId, Sample>,
    nets: Vec<(ProcessId, Net)>,
    host_bytes: VecDeque<(Instant, u64)>,
}

/// What is known of the kernel memory of one process.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelReading {
    /// The process, with its pages.
    pub sample: Sample,
    /// What it has allocated and freed since the measuring began.
    pub net: Net,
    /// Seconds since then.
    pub span_secs: f64,
    /// What could not be seen, a phrase each.
    pub loss: Vec<String>,
}

impl KernelWatch {
    /// Nothing is loaded yet.
    pub fn new() -> Self {
        Self {
            memory: None,
            since: None,
            failure: None,
            samples: HashMap::new(),
            nets: Vec::new(),
            host_bytes: VecDeque::new(),
        }
    }

    /// Starts or stops measuring. An error is one of starting.
    pub fn run(&mut self, is_wanted: bool) -> Result<()> {
        if is_wanted == self.since.is_some() {
            return Ok(());
        }
        if !is_wanted {
            if let Some(memory) = &mut self.memory {
                memory.stop();
            }
            self.since = None;
            self.samples = HashMap::new();
            self.nets = Vec::new();
            return Ok(());
        }
        if let Some((at, why)) = &self.failure
            && at.elapsed() < RETRY
        {
            bail!("{why}");
        }
        let started = self.start();
        self.failure = match &started {
            Ok(()) => None,
            Err(error) => Some((Instant::now(), format!("{error:#}"))),
        };
        started
    }

    fn start(&mut self) -> Result<()> {
        let memory = match &mut self.memory {
            Some(memory) => memory,
            None => self.memory.insert(KernelMemory::load()?),
        };
        memory.start()?;
        self.since = Some(Instant::now());
        Ok(())
    }

    /// Keeps the stacks of what these processes allocate, if kernel memory is measured.
    pub fn keep_stacks(&mut self, processes: &[ProcessId]) -> Result<()> {
        match (&mut self.memory, self.since) {
            (Some(memory), Some(_)) => memory.keep_stacks(processes),
            _ => Ok(()),
        }
    }

    /// Where a process's kernel memory was allocated.
    pub fn sites(&mut self, process: ProcessId) -> Result<Sites> {
        let (Some(memory), Some(_)) = (&mut self.memory, self.since) else {
            bail!("kernel memory is not measured");
        };
        let mut sites = memory.sites(process, MAX_SITES)?;
        sites.loss.extend(self.loss());
        Ok(sites)
    }

    /// Begins a round of scans.
    pub fn begin(&mut self, host: &Host) {
        self.samples.clear();
        let is_due = self
            .host_bytes
            .back()
            .is_none_or(|(at, _)| at.elapsed() >= EVERY);
        if let (true, Ok(bytes)) = (is_due, host.kernel_bytes()) {
            self.host_bytes.push_back((Instant::now(), bytes));
            if self.host_bytes.len() > REMEMBERED {
                self.host_bytes.pop_front();
            }
        }
    }

    /// Takes note of a process.
    pub fn take(&mut self, sample: &Sample) {
        if self.since.is_some() {
            self.samples.insert(sample.process, *sample);
        }
    }

    /// Reads every process that has allocated kernel memory.
    pub fn scan(&mut self, each: &mut dyn FnMut(Sample)) -> Result<()> {
        let (Some(memory), Some(_)) = (&mut self.memory, self.since) else {
            return Ok(());
        };
        self.nets.clear();
        let nets = &mut self.nets;
        memory.read(&mut |process, net| nets.push((process, net)))?;
        for (process, net) in &self.nets {
            if let Some(sample) = self.samples.get(process) {
                each(Sample {
                    bytes: net.net_bytes().max(0).cast_unsigned(),
                    ..*sample
                });
            }
        }
        Ok(())
    }

    /// All that is known, of the last scan.
    pub fn readings(&self) -> Vec<KernelReading> {
        let Some(since) = self.since else {
            return Vec::new();
        };
        let loss = self.loss();
        let known = self
            .nets
            .iter()
            .filter_map(|(process, net)| Some((self.samples.get(process)?, net)));
        known
            .map(|(sample, net)| KernelReading {
                sample: *sample,
                net: *net,
                span_secs: since.elapsed().as_secs_f64(),
                loss: loss.clone(),
            })
            .collect()
    }

    /// By how much the host's own figure has grown in the last seconds; nothing if that is not
    /// known for so long. What grows in a process and not there is no leak.
    pub fn host_gained_bytes(&self, host: &Host, secs: f64) -> Option<f64> {
        let before = self
            .host_bytes
            .iter()
            .rev()
            .find(|(at, _)| at.elapsed().as_secs_f64() >= secs)
            .or(self.host_bytes.front())?;
        Some(host.kernel_bytes().ok()? as f64 - before.1 as f64)
    }

    /// What the last reading did not have.
    pub fn loss(&self) -> Vec<String> {
        let Some(loss) = self.memory.as_ref().map(KernelMemory::loss) else {
            return Vec::new();
        };
        let deferred = loss.deferred_frees_unseen.then(|| {
            "frees that the kernel puts off (kfree_rcu): what they free counts until its place is used again"
                .to_owned()
        });
        let counted = [
            (
                loss.recursion_misses,
                "allocations and frees of kernel memory in interrupts",
            ),
            (
                loss.objects_full,
                "allocations of kernel memory for which the table had no room",
            ),
            (
                loss.owners_full,
                "allocations of kernel memory by more processes than the table has room for",
            ),
            (
                loss.busy,
                "allocations and frees of kernel memory at which the table was busy",
            ),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"));
        counted.chain(deferred).collect()
    }
}
