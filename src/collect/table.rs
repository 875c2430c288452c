//! Reads a whole table of the kernel in few system calls.
//!
//! libbpf-rs has an iterator for this, but takes a batch that is not full for the last one; the
//! kernel ends a batch early where a bucket would not fit.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};
use std::{io, ptr};

use anyhow::{Result, bail};
use libbpf_rs::libbpf_sys::{
    bpf_map_batch_opts, bpf_map_lookup_and_delete_batch, bpf_map_lookup_batch,
};
use libbpf_rs::{MapCore, MapHandle};
use plain::Plain;
use rustix::io::Errno;

/// Entries of one batch. A bucket with more of them is read in a larger one.
const BATCH: usize = 1024;

/// Whether the entries stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Delete,
}

/// Reads every entry of a hash table once; those that come or go meanwhile may be missed.
pub(super) fn read<K, V>(map: &MapHandle, after: After, each: &mut dyn FnMut(&K, &V)) -> Result<()>
where
    K: Plain + Copy + Default,
    V: Plain + Copy + Default,
{
    // The kernel writes as many bytes as the map's entries have.
    if map.key_size() as usize != size_of::<K>() || map.value_size() as usize != size_of::<V>() {
        bail!("the entries of {:?} have another size", map.name());
    }
    let mut keys = vec![K::default(); BATCH];
    let mut values = vec![V::default(); BATCH];
    // Where the kernel goes on: of the length of a key at least.
    let (mut position, mut next) = (None::<[u64; 2]>, [0u64; 2]);
    loop {
        let mut n = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let options = bpf_map_batch_opts {
            sz: size_of::<bpf_map_batch_opts>() as _,
            ..Default::default()
        };
        let call = match after {
            After::Keep => bpf_map_lookup_batch,
            After::Delete => bpf_map_lookup_and_delete_batch,
        };
        let from = position
            .as_mut()
            .map_or(ptr::null_mut(), |position| position.as_mut_ptr().cast());
        // SAFETY: keys and values have room for n entries of the map's sizes, which was checked
        // above, and both are `Plain`: any bytes are values of them. The positions have 16 bytes;
        // the kernel reads and writes 4 for a hash table.
        let error = unsafe {
            call(
                map.as_fd().as_raw_fd(),
                from,
                next.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut n,
                &raw const options,
            )
        };
        let is_last = is(error, Errno::NOENT);
        if is(error, Errno::NOSPC) {
            keys.resize(keys.len() * 2, K::default());
            values.resize(keys.len(), V::default());
            continue;
        }
        if is(error, Errno::INTR) {
            continue;
        }
        if error < 0 && !is_last {
            return Err(io::Error::from_raw_os_error(-error).into());
        }
        for (key, value) in keys.iter().zip(&values).take(n as usize) {
            each(key, value);
        }
        if is_last {
            return Ok(());
        }
        position = Some(next);
    }
}

/// Whether libbpf has returned that error.
fn is(returned: i32, errno: Errno) -> bool {
    returned == -errno.raw_os_error()
}
