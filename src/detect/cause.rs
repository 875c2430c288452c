use serde::{Deserialize, Serialize};

/// What kind of growth a leak is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The program allocates and does not free.
    Heap,
    /// The program frees, the allocator keeps.
    Retention,
    /// Growth outside the allocator.
    Mapping,
    /// Kernel memory on the process's behalf.
    Kernel,
    /// Not measured, or neither one nor the other.
    #[default]
    Unknown,
}

/// What grows in a process beside its pages, as far as it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beside {
    /// For how long it was looked, in seconds.
    pub seen_secs: f64,
    /// Calls of its allocator in that time.
    pub calls: u64,
    /// What it allocates, whether or not it frees that again, in bytes a second.
    pub allocated_bytes_per_sec: f64,
    /// Growth of its net heap, in bytes a second.
    pub heap_bytes_per_sec: f64,
    /// Growth of what it maps past its allocator, in bytes a second.
    pub mapped_bytes_per_sec: f64,
}

/// A look that was so short says something only if there was much to see.
const SHORT_SECS: f64 = 10.0;
const LEAST_SECS: f64 = 0.9;
const LEAST_CALLS: u64 = 100;
const LEAST_BYTES: f64 = (1 << 20) as f64;
/// What makes up for this part of the growth of pages is its cause.
const MOST: f64 = 0.5;
/// If all that was measured makes up for less than this, it is not the cause.
const LITTLE: f64 = 0.25;

impl Cause {
    /// The cause of pages that grow, from what grows beside them.
    ///
    /// An allocator keeps only what it was asked for: if much less goes through it than the pages grow
    /// by, they are somebody else's, such as those of a runtime with a heap of its own that was
    /// mapped before anybody looked.
    pub fn of_pages(bytes_per_sec: f64, beside: &Beside) -> Self {
        let Beside {
            seen_secs,
            calls,
            allocated_bytes_per_sec,
            heap_bytes_per_sec,
            mapped_bytes_per_sec,
        } = *beside;
        let most = heap_bytes_per_sec.max(mapped_bytes_per_sec);
        // One that maps large pieces calls seldom.
        let is_much = calls >= LEAST_CALLS || most * seen_secs >= LEAST_BYTES;
        let is_enough = seen_secs >= SHORT_SECS || (seen_secs >= LEAST_SECS && is_much);
        if !is_enough || bytes_per_sec <= 0.0 {
            Self::Unknown
        } else if most >= MOST * bytes_per_sec {
            match heap_bytes_per_sec >= mapped_bytes_per_sec {
                true => Self::Heap,
                false => Self::Mapping,
            }
        } else if most <= LITTLE * bytes_per_sec && allocated_bytes_per_sec >= MOST * bytes_per_sec
        {
            Self::Retention
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_curves_decide() {
        // Growth of pages, heap and mappings; seconds looked, calls seen.
        for (pages, heap, mapped, seen_secs, calls, cause) in [
            (1000.0, 1000.0, 0.0, 10.0, 50, Cause::Heap),
            (1000.0, 600.0, 100.0, 10.0, 50, Cause::Heap),
            // Allocated, but not yet touched.
            (1000.0, 9000.0, 0.0, 10.0, 50, Cause::Heap),
            (1000.0, 0.0, 1000.0, 10.0, 0, Cause::Mapping),
            (1000.0, 100.0, 700.0, 10.0, 50, Cause::Mapping),
            (1000.0, 0.0, 0.0, 10.0, 100, Cause::Retention),
            (1000.0, -500.0, 0.0, 10.0, 100, Cause::Retention),
            // Neither one nor the other.
            (1000.0, 400.0, 0.0, 10.0, 50, Cause::Unknown),
            // Nothing was called: a heap of its own, past all that was looked at.
            (1000.0, 0.0, 0.0, 10.0, 0, Cause::Unknown),
            // Little goes through the allocator.
            (1000.0, 0.0, 0.0, 10.0, 5, Cause::Unknown),
            // Too short a look.
            (1000.0, 1000.0, 0.0, 1.0, 50, Cause::Unknown),
            (1000.0, 1000.0, 0.0, 1.0, 500, Cause::Heap),
            (1000.0, 1000.0, 0.0, 0.1, 500, Cause::Unknown),
            (2e6, 0.0, 2e6, 1.0, 0, Cause::Mapping),
            (2e6, 0.0, 2e6, 0.1, 0, Cause::Unknown),
            (0.0, 0.0, 0.0, 10.0, 50, Cause::Unknown),
        ] {
            let beside = Beside {
                seen_secs,
                calls,
                // A hundred bytes a call.
                allocated_bytes_per_sec: calls as f64 * 100.0 / seen_secs,
                heap_bytes_per_sec: heap,
                mapped_bytes_per_sec: mapped,
            };
            let found = Cause::of_pages(pages, &beside);
            assert_eq!(found, cause, "{pages} {beside:?}");
        }
    }
}
