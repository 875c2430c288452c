use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// How long to wait after each attempt that failed: 5 s, doubling to 15 min.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a first failure.
    pub const FIRST: Duration = Duration::from_secs(5);

    /// The longest wait.
    pub const LONGEST: Duration = Duration::from_secs(15 * 60);

    /// Counts a failure and says how long to wait now.
    ///
    /// A random number from 0 to 1 takes up to a fifth off, so that hosts whose server comes back
    /// do not all call at the same moment.
    pub fn next(&mut self, random: f64) -> Duration {
        let doubled =
            Self::FIRST.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        doubled
            .min(Self::LONGEST)
            .mul_f64(1.0 - 0.2 * random.clamp(0.0, 1.0))
    }

    /// Something went well: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// From 0 to 1. The standard library seeds its hash maps from the system's random numbers.
pub fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_longest_and_starts_again() {
        let mut backoff = Backoff::default();
        for secs in [5, 10, 20, 40, 80, 160, 320, 640, 900, 900] {
            assert_eq!(backoff.next(0.0), Duration::from_secs(secs));
        }
        for _ in 0..100 {
            assert_eq!(backoff.next(0.0), Backoff::LONGEST);
        }
        backoff.reset();
        assert_eq!(backoff.next(0.0), Backoff::FIRST);
    }

    #[test]
    fn chance_takes_up_to_a_fifth_off() {
        for (random, millis) in [
            (0.0, 5000),
            (0.5, 4500),
            (1.0, 4000),
            (-3.0, 5000),
            (7.0, 4000),
        ] {
            assert_eq!(
                Backoff::default().next(random),
                Duration::from_millis(millis),
                "{random}"
            );
        }
    }
}
