//! Which share of page faults is looked at. Pure.

/// Samples a second that are worth their stacks: 8 MiB.
const AIM_PER_SEC: f64 = 500.0;
/// The rarest sampling: one page in 4096.
const MAX_ONE_IN: u64 = 4096;

/// The sampling to go on with: one byte in so many, a power of two.
///
/// More samples than are wanted make it rarer at once; less make it denser by one step, and only
/// if that leaves room, so that it does not swing.
pub(super) fn next_sampling_bytes(
    sampling_bytes: u64,
    page_bytes: u64,
    samples_per_sec: f64,
) -> u64 {
    let most = page_bytes.saturating_mul(MAX_ONE_IN);
    let (mut next, mut per_sec) = (sampling_bytes, samples_per_sec);
    while next < most && per_sec > AIM_PER_SEC {
        next *= 2;
        per_sec /= 2.0;
    }
    let is_idle = samples_per_sec < AIM_PER_SEC / 4.0;
    if is_idle && sampling_bytes > page_bytes {
        return sampling_bytes / 2;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rate() {
        const PAGE: u64 = 4096;
        for (one_in, samples_per_sec, next) in [
            // Denser by one step, down to every page.
            (16, 0.0, 8),
            (16, 124.0, 8),
            (1, 0.0, 1),
            // Between a quarter and the whole of the aim it stays.
            (16, 126.0, 16),
            (16, 500.0, 16),
            // Rarer at once, up to a bound.
            (16, 501.0, 32),
            (16, 4000.0, 128),
            (1, 1e6, 2048),
            (4096, 1e9, 4096),
            (16, f64::NAN, 16),
        ] {
            let found = next_sampling_bytes(one_in * PAGE, PAGE, samples_per_sec);
            assert_eq!(found / PAGE, next, "{one_in} {samples_per_sec}");
        }
    }
}
