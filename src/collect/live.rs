mod heap;
mod kernel;

pub use kernel::KernelReading;

use std::collections::BTreeMap;
use std::io;

use anyhow::Result;

use super::{Collector, Facts, Headroom, HeapReading, Host, OomKills, Prober, Scan};
use crate::sample::{ProcessId, Sample, Source};
use crate::site::Sites;
use heap::MeasuredHeap;
use kernel::KernelWatch;

/// This machine.
#[derive(Debug)]
pub struct Live {
    scan: Scan,
    host: Host,
    prober: Prober,
    /// What the prober says, of this round.
    heaps: BTreeMap<ProcessId, MeasuredHeap>,
    kernel: KernelWatch,
    oom_kills: Option<OomKills>,
}

impl Live {
    /// Loads the scan. The error says what this kernel or process lacks.
    pub fn load(prober: Prober) -> Result<Self> {
        Ok(Self {
            scan: Scan::load()?,
            host: Host::new("/"),
            prober,
            heaps: BTreeMap::new(),
            kernel: KernelWatch::new(),
            oom_kills: None,
        })
    }

    /// Takes note of whom the kernel kills for lack of memory from now on. The error says what is
    /// in the way; nothing else depends on it.
    pub fn watch_oom_kills(&mut self) -> Result<()> {
        self.oom_kills = Some(OomKills::attach()?);
        Ok(())
    }

    /// Starts or stops measuring kernel memory. An error is one of starting.
    pub fn measure_kernel(&mut self, is_wanted: bool) -> Result<()> {
        self.kernel.run(is_wanted)
    }

    /// What is known of the kernel memory of each process, if that is measured.
    pub fn kernel_readings(&self) -> Vec<KernelReading> {
        self.kernel.readings()
    }

    /// Keeps the kernel's stacks of what these processes have it allocate from now on, of eight of
    /// them at the most, and of no others. To be called each round, as long as there are any: it
    /// does nothing while kernel memory is not measured, which forgets it as well.
    pub fn measure_kernel_stacks(&mut self, processes: &[ProcessId]) -> Result<()> {
        self.kernel.keep_stacks(processes)
    }

    /// Where in the kernel a process's memory was allocated that has not been freed. An error if
    /// kernel memory is not measured.
    pub fn kernel_sites(&mut self, process: ProcessId) -> Result<Sites> {
        self.kernel.sites(process)
    }

    /// Memory that the kernel uses for itself, by its own account.
    pub fn kernel_bytes(&self) -> io::Result<u64> {
        self.host.kernel_bytes()
    }

    fn take_readings(&mut self) {
        let mut before = std::mem::take(&mut self.heaps);
        for reading in self.prober.readings() {
            let process = reading.process;
            let heap = match before.remove(&process) {
                Some(heap) => heap.renewed(reading),
                None => MeasuredHeap::new(reading),
            };
            self.heaps.insert(process, heap);
        }
    }
}

impl Collector for Live {
    fn scan(&mut self, source: Source, each: &mut dyn FnMut(Sample)) -> Result<()> {
        match source {
            Source::Pages => {
                self.take_readings();
                self.kernel.begin(&self.host);
                let (heaps, kernel) = (&mut self.heaps, &mut self.kernel);
                self.scan.read(&mut |sample| {
                    kernel.take(&sample);
                    if let Some(heap) = heaps.get_mut(&sample.process) {
                        heap.take(sample);
                    }
                    each(sample);
                })
            }
            Source::Heap => {
                self.heaps
                    .values()
                    .filter_map(MeasuredHeap::sample)
                    .for_each(each);
                Ok(())
            }
            Source::Kernel => self.kernel.scan(each),
        }
    }

    fn facts(&mut self, sample: &Sample) -> io::Result<Facts> {
        self.host.facts(sample.process, sample.uid)
    }

    fn headroom(&mut self, sample: &Sample, facts: &Facts) -> Option<Headroom> {
        self.host
            .headroom(facts, sample.virtual_bytes, sample.process.pid)
    }

    fn kernel_loss(&self) -> Vec<String> {
        self.kernel.loss()
    }

    fn heap(&mut self, process: ProcessId, secs: f64) -> Option<HeapReading> {
        self.heaps.get(&process).map(|heap| heap.lately(secs))
    }

    fn kernel_gained_bytes(&mut self, secs: f64) -> Option<f64> {
        self.kernel.host_gained_bytes(&self.host, secs)
    }

    fn heap_failure(&mut self, process: ProcessId) -> Option<String> {
        let failure = self.prober.failure_of(process);
        failure.or_else(|| self.prober.failure())
    }

    fn oom_killed(&self, process: ProcessId) -> bool {
        self.oom_kills
            .as_ref()
            .is_some_and(|kills| kills.has(process))
    }

    fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64> {
        Ok(self.host.resident_exact(sample.process.pid)? + sample.shared_bytes)
    }
}
