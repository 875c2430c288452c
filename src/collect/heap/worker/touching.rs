//! Captures for users of processes whose allocator is not known: what they touch for the first
//! time, and keep.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{Worker, refusal};
use crate::collect::fault::TouchCapture;
use crate::collect::heap::pinpoint::Pinpointed;
use crate::collect::heap::reading::Capture;
use crate::sample::ProcessId;

/// A user's capture by page faults.
#[derive(Debug)]
pub(super) struct Touching {
    id: u64,
    process: ProcessId,
    /// Why it is not one by the allocator.
    why: String,
    capture: TouchCapture,
}

impl Worker {
    /// Captures page faults, for that reason. Where these cannot be captured either, the reason is
    /// what the user is told.
    pub(super) fn capture_touches(
        &mut self,
        id: u64,
        process: ProcessId,
        time: Duration,
        why: &anyhow::Error,
    ) {
        match TouchCapture::start(self.hearer.exe.clone(), process, time) {
            Ok(capture) => self.touching.push(Touching {
                id,
                process,
                why: format!("{why:#}"),
                capture,
            }),
            Err(_) => self.finish(id, Err(refusal(process, why))),
        }
    }

    /// Hands out what is over, and gives up what nobody asks after any more.
    pub(super) fn tend_touches(&mut self, now: Instant) {
        for touching in std::mem::take(&mut self.touching) {
            match touching.capture.result() {
                Some(result) => self.finish(touching.id, touching.told(result)),
                None if self.is_wanted(touching.id, now) => self.touching.push(touching),
                None => {}
            }
        }
    }
}

impl Touching {
    fn told(&self, result: Result<Pinpointed>) -> Result<Capture, String> {
        let Ok(found) = result else {
            return Err(refusal(self.process, &anyhow!("{}", self.why)));
        };
        let sites = &found.sites.sites;
        let net_bytes: u64 = sites.iter().map(|site| site.bytes).sum();
        let touched: f64 = sites.iter().map(|site| site.allocated_bytes_per_sec).sum();
        // Each page that stands was touched.
        let allocated_bytes = ((touched * found.seen_secs) as u64).max(net_bytes);
        let mut loss = found.sites.loss;
        loss.push(format!("what it allocates: {}", self.why));
        Ok(Capture {
            pid: self.process.pid,
            secs: found.seen_secs,
            method: found.method,
            allocated_bytes,
            freed_bytes: allocated_bytes - net_bytes,
            net_bytes: net_bytes.cast_signed(),
            calls: 0,
            lost: 0,
            cost_secs: found.cost_secs,
            sites: found.sites.sites,
            loss,
        })
    }
}
