//! Drives the BPF program that reads every process: the one place of depth 1 that knows libbpf.
#![allow(unsafe_code)]

use std::io::Read;
use std::mem::MaybeUninit;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Iter, Link, OpenObject};

use super::bpf;
use crate::sample::{Comm, ProcessId, Sample};

#[allow(
    missing_debug_implementations,
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::uninlined_format_args
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/scan.skel.rs"));
}

use skeleton::types::scan_record;

// SAFETY: `scan_record` is plain data: every field is an integer or an array of integers, each
// pattern of bytes is a value of it, and the fields leave no padding (checked below).
unsafe impl plain::Plain for scan_record {}

const _: () = assert!(size_of::<scan_record>() == 4 * 4 + 7 * 8 + 16);

/// The scan of every process, loaded into the kernel.
///
/// A reading costs one pass of the kernel over its tasks and no system call for each of them.
#[derive(Debug)]
pub struct Scan {
    link: Link,
    /// Records of the last reading; grows to the largest so far and is used again.
    records: Vec<scan_record>,
    page_bytes: u64,
}

impl Scan {
    /// Loads and attaches the program. The error says what this kernel or process lacks.
    pub fn load() -> Result<Self> {
        bpf::prepare()?;
        let mut object = MaybeUninit::<OpenObject>::uninit();
        let skeleton = skeleton::ScanSkelBuilder::default()
            .open(&mut object)
            .and_then(OpenSkel::load)
            .map_err(refusal)?;
        let link = skeleton.progs.scan.attach().map_err(refusal)?;
        Ok(Self {
            link,
            records: vec![scan_record::default(); 512],
            page_bytes: rustix::param::page_size() as u64,
        })
    }

    /// Reads every process once.
    pub fn read(&mut self, each: &mut dyn FnMut(Sample)) -> Result<()> {
        let mut reader = Iter::new(&self.link).context("opening the scan of all processes")?;
        let mut n_bytes = 0;
        loop {
            // SAFETY: `scan_record` is `Plain` and has no padding, so its bytes may be looked at
            // and may be overwritten with any others.
            let buffer = unsafe { plain::as_mut_bytes(&mut self.records[..]) };
            if n_bytes == buffer.len() {
                let double = self.records.len() * 2;
                self.records.resize(double, scan_record::default());
                continue;
            }
            match reader
                .read(&mut buffer[n_bytes..])
                .context("reading the scan of all processes")?
            {
                0 => break,
                n => n_bytes += n,
            }
        }
        let n_records = n_bytes / size_of::<scan_record>();
        for record in &self.records[..n_records] {
            each(self.sample(record));
        }
        Ok(())
    }

    fn sample(&self, record: &scan_record) -> Sample {
        let shared_bytes = record.shmem_pages * self.page_bytes;
        Sample {
            process: ProcessId {
                pid: record.pid,
                start_time_ns: record.start_time_ns,
            },
            comm: Comm(record.comm.map(i8::cast_unsigned)),
            parent_pid: record.parent_pid,
            uid: record.uid,
            cgroup_id: record.cgroup_id,
            bytes: (record.anon_pages + record.swap_pages) * self.page_bytes + shared_bytes,
            shared_bytes,
            file_bytes: record.file_pages * self.page_bytes,
            virtual_bytes: record.total_vm_pages * self.page_bytes,
        }
    }
}

fn refusal(error: libbpf_rs::Error) -> anyhow::Error {
    bpf::refusal("scan processes", &error)
}
