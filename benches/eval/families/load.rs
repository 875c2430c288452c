//! How much there is to do, by time of day.

use rand_chacha::ChaCha8Rng;

use super::HOUR;
use super::chance::{between, happens};

const DAY: f64 = 24.0 * HOUR;

/// Load over a day, from 0 at its lowest to 1 at its highest.
#[derive(Debug, Clone)]
pub struct Day {
    /// The time of day at the start of the recording.
    start_secs: f64,
    /// Times of day and loads there, from midnight to midnight.
    points: Vec<(f64, f64)>,
}

impl Day {
    /// Of people at home and everywhere: slowly up, and down at night.
    ///
    /// What is first seen at `seen_from_secs` is near its peak: who had seen nothing but half a
    /// day of growth could not know.
    pub fn around_the_clock(rng: &mut ChaCha8Rng, seen_from_secs: f64) -> Self {
        let night = between(rng, 2.0, 5.0);
        let peak = between(rng, 14.0, 20.0);
        let seen_at_secs = (peak + between(rng, -2.0, 4.0)) * HOUR;
        // Beyond midnight on both sides, so that every hour lies between two.
        Self::with(
            (seen_at_secs - seen_from_secs + DAY) % DAY,
            vec![
                (peak - 24.0, 1.0),
                (night, 0.0),
                (peak, 1.0),
                (night + 24.0, 0.0),
            ],
        )
    }

    /// Of people in an office, with or without their lunch.
    pub fn office(rng: &mut ChaCha8Rng) -> Self {
        let open = between(rng, 6.5, 9.0);
        let close = between(rng, 16.0, 18.5);
        let lunch = if happens(rng, 0.6) {
            between(rng, 0.5, 0.85)
        } else {
            1.0
        };
        let points = vec![
            (close - 22.5, 0.0),
            (open, 0.0),
            (open + between(rng, 0.5, 2.5), 1.0),
            (12.0, 1.0),
            (12.7, lunch),
            (13.5, between(rng, 0.85, 1.0)),
            (close, 0.9),
            (close + between(rng, 0.5, 1.5), 0.0),
            (open + 24.0, 0.0),
        ];
        Self::with(between(rng, 0.0, DAY), points)
    }

    fn with(start_secs: f64, hours: Vec<(f64, f64)>) -> Self {
        Self {
            start_secs,
            points: hours
                .into_iter()
                .map(|(hour, load)| (hour * HOUR, load))
                .collect(),
        }
    }

    /// The load at a recorded time.
    pub fn load(&self, recorded_secs: f64) -> f64 {
        let secs = (self.start_secs + recorded_secs) % DAY;
        let next = self.points.partition_point(|(at_secs, _)| *at_secs <= secs);
        let ((from_secs, from), (to_secs, to)) = (self.points[next - 1], self.points[next]);
        from + (to - from) * ease((secs - from_secs) / (to_secs - from_secs))
    }
}

/// From 0 to 1, slow at both ends.
pub fn ease(part: f64) -> f64 {
    let part = part.clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}
