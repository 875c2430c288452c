use super::history::{History, N_SCALES};

/// What is within this part of a height is level with it,
const BAND: f64 = 0.05;
/// and so is what is within so many KiB of it.
const LEAST_BAND_KIB: f64 = 4096.0;
/// Fewer floors are a moment and no level.
const MIN_FLOORS: usize = 4;

/// A height that a quantity keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// How high its floors are, without what changed in gaps.
    pub bytes: u64,
    /// For how long they have been so; rather less than more, by a block of their scale.
    pub secs: f64,
}

impl History {
    /// The height that it has kept for longest up to now, if it has kept any: to a twentieth, or
    /// to 4 MiB.
    ///
    /// It is told by whichever scale looks back furthest, so that what has changed since that
    /// scale's last block is not in it.
    pub fn level(&self) -> Option<Level> {
        let levels = (0..N_SCALES).filter_map(|scale| self.level_at(scale));
        levels.max_by(|a, b| a.secs.total_cmp(&b.secs))
    }

    fn level_at(&self, scale: usize) -> Option<Level> {
        let n_floors = self.n_floors(scale);
        let height_kib = self.floors(scale, n_floors).last()?;
        let band_kib = (BAND * f64::from(height_kib)).max(LEAST_BAND_KIB);
        let n_level = self.floors(scale, n_floors).fold(0, |n_level, floor_kib| {
            match f64::from(floor_kib.abs_diff(height_kib)) <= band_kib {
                true => n_level + 1,
                false => 0,
            }
        });
        (n_level >= MIN_FLOORS).then(|| Level {
            bytes: self.with_gaps(height_kib),
            secs: n_level as f64 * self.block_secs(scale),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: f64 = 1048576.0;
    const HOUR: f64 = 3600.0;

    fn level_after(hours: f64, bytes_at: &dyn Fn(f64) -> f64) -> Option<Level> {
        let mut history = History::new(5.0, 0.0, bytes_at(0.0) as u64);
        for step in 1..=(hours * HOUR / 5.0) as u32 {
            let secs = f64::from(step) * 5.0;
            history.observe(secs, bytes_at(secs) as u64);
        }
        history.level()
    }

    #[test]
    fn a_level_is_as_old_as_the_last_change() {
        type Shape = dyn Fn(f64) -> f64;
        let cases: [(&str, f64, f64, f64, &Shape); 7] = [
            ("flat", 5.0, 500.0, 5.0, &|_| 500.0),
            ("filled up in an hour", 5.0, 600.0, 4.0, &|secs| {
                (secs / 6.0).min(600.0)
            }),
            ("one step up", 5.0, 800.0, 3.0, &|secs| {
                if secs < 2.0 * HOUR { 300.0 } else { 800.0 }
            }),
            ("one step down", 5.0, 100.0, 3.0, &|secs| {
                if secs < 2.0 * HOUR { 300.0 } else { 100.0 }
            }),
            ("a saw, whose floors are level", 10.0, 100.0, 9.0, &|secs| {
                100.0 + secs % 300.0
            }),
            ("noise within the band", 5.0, 1000.0, 5.0, &|secs| {
                1000.0 + secs * 7.3 % 40.0
            }),
            // The band is a twentieth of the height, and so of the time since the start.
            ("a straight rise", 20.0, 7200.0, 1.0, &|secs| secs / 10.0),
        ];
        for (name, hours, mib, level_hours, mib_at) in cases {
            let level = level_after(hours, &|secs| mib_at(secs) * MIB).expect(name);
            let off = level.bytes as f64 / MIB / mib;
            assert!((0.94..1.01).contains(&off), "{name}: {level:?}");
            let off = level.secs / HOUR / level_hours;
            assert!((0.6..1.05).contains(&off), "{name}: {level:?}");
        }
    }

    #[test]
    fn what_is_new_or_rises_fast_has_no_level() {
        for (name, hours, mib_at) in [
            (
                "a quarter of a minute",
                0.004,
                &(|_| 100.0) as &dyn Fn(f64) -> f64,
            ),
            ("64 MiB a minute from nothing", 0.05, &|secs| {
                64.0 / 60.0 * secs
            }),
        ] {
            let level = level_after(hours, &|secs| mib_at(secs) * MIB);
            assert!(
                level.is_none_or(|level| level.secs < 60.0),
                "{name}: {level:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_level_is_older_than_what_was_seen(samples in proptest::collection::vec(0u64..1 << 40, 1..400)) {
            let mut history = History::new(5.0, 0.0, samples[0]);
            for (step, bytes) in samples.iter().enumerate().skip(1) {
                history.observe(step as f64 * 5.0, *bytes);
            }
            if let Some(level) = history.level() {
                prop_assert!(level.secs <= samples.len() as f64 * 5.0);
                prop_assert!(samples.iter().any(|bytes| bytes >> 10 == level.bytes >> 10));
            }
        }
    }
}
