use std::io;

use anyhow::Result;

use super::{Collector, Facts, Headroom, Host, Scan};
use crate::sample::Sample;

/// This machine.
#[derive(Debug)]
pub struct Live {
    scan: Scan,
    host: Host,
}

impl Live {
    /// Loads the scan. The error says what this kernel or process lacks.
    pub fn load() -> Result<Self> {
        Ok(Self {
            scan: Scan::load()?,
            host: Host::new("/"),
        })
    }
}

impl Collector for Live {
    fn scan(&mut self, each: &mut dyn FnMut(Sample)) -> Result<()> {
        self.scan.read(each)
    }

    fn facts(&mut self, sample: &Sample) -> io::Result<Facts> {
        self.host.facts(sample.process, sample.uid)
    }

    fn headroom(&mut self, sample: &Sample, facts: &Facts) -> Option<Headroom> {
        self.host
            .headroom(facts, sample.virtual_bytes, sample.process.pid)
    }

    fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64> {
        Ok(self.host.resident_exact(sample.process.pid)? + sample.shared_bytes)
    }
}
