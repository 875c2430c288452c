//! Which share of the kernel's allocations is looked at.

/// The rarest sampling: one address in 4096.
pub(super) const MAX_SHIFT: u32 = 12;
/// Objects that the table holds.
pub(super) const MAX_OBJECTS: u64 = 128 << 10;
/// Sampling before a rate is known. Some hosts allocate millions of objects a second.
pub(super) const FIRST_SHIFT: u32 = 4;

/// Events a second that are worth looking at: at 0.3 to 0.5 us each, 1 to 1.5 % of a CPU.
const AIM_PER_SEC: f64 = 30_000.0;

/// The sampling to go on with, as a power of two: one address in `1 << shift`.
///
/// `events_per_sec` are allocations and frees on the whole host, `tracked` the objects in the
/// table. More work makes it rarer at once; less makes it denser by one step, and only if that
/// leaves room, so that it does not swing.
pub(super) fn sampling(shift: u32, events_per_sec: f64, tracked: u64) -> u32 {
    let looked_at_per_sec = |shift: u32| events_per_sec / f64::from(1u32 << shift.min(MAX_SHIFT));
    let mut wanted = shift.min(MAX_SHIFT);
    while wanted < MAX_SHIFT && looked_at_per_sec(wanted) > AIM_PER_SEC {
        wanted += 1;
    }
    if tracked > MAX_OBJECTS / 4 * 3 {
        // Objects stay with the weight they have: what is won is the time until it is full.
        return wanted.max(shift + 1).min(MAX_SHIFT);
    }
    let has_room = tracked < MAX_OBJECTS / 4;
    match shift.checked_sub(1) {
        Some(denser)
            if wanted == shift && has_room && looked_at_per_sec(denser) < AIM_PER_SEC / 2.0 =>
        {
            denser
        }
        _ => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rate_and_the_room() {
        const FEW: u64 = 100;
        const HALF: u64 = MAX_OBJECTS / 2;
        const FULL: u64 = MAX_OBJECTS;
        for (shift, events_per_sec, tracked, next) in [
            // Idle: denser by one step, down to everything.
            (4, 0.0, FEW, 3),
            (1, 1000.0, FEW, 0),
            (0, 1000.0, FEW, 0),
            // Busy: as rare as need be, at once.
            (0, 30_000.0, FEW, 0),
            (0, 30_001.0, FEW, 1),
            (0, 1e6, FEW, 6),
            (4, 1e6, FEW, 6),
            (0, 1e12, FEW, MAX_SHIFT),
            // Between half and the whole of the aim it stays.
            (3, 200_000.0, FEW, 3),
            (3, 70_000.0, FEW, 3),
            (3, 59_000.0, FEW, 2),
            // No denser where the table has no room for it.
            (4, 0.0, HALF, 4),
            // A table that fills: rarer, whatever the rate.
            (0, 0.0, FULL, 1),
            (4, 0.0, FULL, 5),
            (0, 1e6, FULL, 6),
            (MAX_SHIFT, 0.0, FULL, MAX_SHIFT),
            // What no caller should say.
            (99, 0.0, FEW, MAX_SHIFT),
            (0, f64::NAN, FEW, 0),
        ] {
            assert_eq!(
                sampling(shift, events_per_sec, tracked),
                next,
                "{shift} {events_per_sec} {tracked}"
            );
        }
    }

    #[test]
    fn a_steady_rate_comes_to_rest() {
        for events_per_sec in [0.0, 1e3, 3e4, 1e5, 7e5, 3e6, 1e8] {
            for first in 0..=MAX_SHIFT {
                let settle = |shift, n| (0..n).fold(shift, |s, _| sampling(s, events_per_sec, 0));
                let settled = settle(first, 30);
                assert_eq!(sampling(settled, events_per_sec, 0), settled);
                assert!(events_per_sec / f64::from(1 << settled) <= AIM_PER_SEC);
            }
        }
    }
}
