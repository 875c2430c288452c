//! A host that is made up: what its processes hold, at any time.

/// Seconds between two samples.
pub const INTERVAL_SECS: u32 = 5;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// How a process uses memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Up and down within a MiB.
    Level,
    /// Up for twenty minutes, then collected.
    Saw,
    /// Fast at first, slower and slower.
    WarmUp,
    /// Up for good, 768 KiB a minute.
    Leak,
}

/// What a process does: one of a hundred leaks, a few are hard to tell from that.
pub fn habit(process: u32) -> Habit {
    match process % 100 {
        1 => Habit::Leak,
        n if n % 20 == 2 => Habit::Saw,
        n if n % 20 == 3 => Habit::WarmUp,
        _ => Habit::Level,
    }
}

/// What a process holds at the so manieth sample.
pub fn bytes(process: u32, sample: u32) -> u64 {
    let base = u64::from(8 + process % 64) * MIB;
    let grown = match habit(process) {
        Habit::Level => 0,
        Habit::Saw => u64::from(sample % 240) * 64 * KIB,
        Habit::WarmUp => base * u64::from(sample) / u64::from(sample + 300),
        Habit::Leak => u64::from(sample) * 64 * KIB,
    };
    base + grown + noise(process, sample) % MIB
}

/// The same for the same arguments, otherwise without order (the finalizer of MurmurHash3).
fn noise(process: u32, sample: u32) -> u64 {
    let mut bits = u64::from(process) << 32 | u64::from(sample);
    bits = (bits ^ bits >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ bits >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}
