//! What the program that sees page faults is told.

use std::fs;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::sample::ProcessId;

/// One byte in so many is sampled before a rate is known.
const FIRST_SAMPLING_BYTES: u64 = 64 << 10;

/// `struct fault_control` of bpf/fault.h.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub start_time_ticks: u64,
    pub sampling_bytes: u64,
    pub page_bytes: u64,
    pub huge_bytes: u64,
    pub salt: u64,
}

impl Told {
    /// What it is told first. Fails if CPUs cannot be counted.
    pub fn first(process: ProcessId) -> Result<Self> {
        let page_bytes = rustix::param::page_size() as u64;
        let n_cpus = libbpf_rs::num_possible_cpus().context("counting CPUs")?;
        let since_boot = clock_gettime(ClockId::Boottime);
        Ok(Self {
            start_time_ticks: process.start_time_ticks(),
            sampling_bytes: FIRST_SAMPLING_BYTES.max(page_bytes),
            page_bytes,
            huge_bytes: huge_page_bytes(page_bytes, n_cpus).unwrap_or(0),
            salt: since_boot.tv_nsec.cast_unsigned() << 12,
        })
    }

    /// As the table has it.
    pub fn to_bytes(self) -> Vec<u8> {
        let words = [
            self.start_time_ticks,
            self.sampling_bytes,
            self.page_bytes,
            self.huge_bytes,
            self.salt,
        ];
        words.map(u64::to_ne_bytes).concat()
    }
}

/// The size of a huge page, if a fault that maps one can be told: each CPU may hold back a count
/// of up to 32 pages, or twice as many as there are CPUs (lib/percpu_counter.c).
fn huge_page_bytes(page_bytes: u64, n_cpus: usize) -> Option<u64> {
    let text = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").ok()?;
    let bytes: u64 = text.trim().parse().ok()?;
    let held_back = (n_cpus as u64 * 2).max(32);
    let is_told = bytes.is_power_of_two() && bytes / page_bytes >= held_back * 4;
    is_told.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_page_is_told_only_if_no_cpu_holds_back_as_many() {
        for (n_cpus, is_told) in [
            (1, true),
            (16, true),
            (64, true),
            (65, false),
            (1024, false),
        ] {
            assert_eq!(huge_page_bytes(4096, n_cpus).is_some(), is_told, "{n_cpus}");
        }
    }
}
