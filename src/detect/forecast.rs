use super::statistics::Slope;

/// When a growing process will have used up what is left to it, in seconds from now.
///
/// `None` is never: that which is forecast does not grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// At the highest rate that its growth may have, at 95 %.
    pub soonest_secs: Option<f64>,
    /// At the estimated rate.
    pub likely_secs: Option<f64>,
    /// At the lowest rate that its growth may have, at 95 %.
    pub latest_secs: Option<f64>,
}

impl Forecast {
    /// From a rate in bytes a second, with its bounds, and what is left in bytes.
    pub fn new(bytes_per_sec: Slope, headroom_bytes: u64) -> Self {
        let Slope { median, low, high } = bytes_per_sec;
        Self {
            soonest_secs: secs_until(headroom_bytes, high),
            likely_secs: secs_until(headroom_bytes, median),
            latest_secs: secs_until(headroom_bytes, low),
        }
    }
}

/// How long it takes at a rate; a finite number, however small the rate.
fn secs_until(headroom_bytes: u64, bytes_per_sec: f64) -> Option<f64> {
    (bytes_per_sec > 0.0).then(|| (headroom_bytes as f64 / bytes_per_sec).min(f64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_grow_never_ends() {
        let smallest = f64::from_bits(1);
        for (headroom_bytes, bytes_per_sec, secs) in [
            (1000, 10.0, Some(100.0)),
            (0, 10.0, Some(0.0)),
            (1000, 0.0, None),
            (1000, -0.0, None),
            (0, 0.0, None),
            (1000, -10.0, None),
            (1000, f64::NAN, None),
            (1000, f64::INFINITY, Some(0.0)),
            (1000, f64::NEG_INFINITY, None),
            (1000, smallest, Some(f64::MAX)),
            (0, smallest, Some(0.0)),
            (u64::MAX, 1.0, Some(18446744073709551616.0)),
        ] {
            let found = secs_until(headroom_bytes, bytes_per_sec);
            assert_eq!(found, secs, "{headroom_bytes} at {bytes_per_sec}");
        }
    }

    #[test]
    fn the_highest_rate_ends_soonest() {
        let slope = Slope {
            median: 50.0,
            low: -1.0,
            high: 100.0,
        };
        let expected = Forecast {
            soonest_secs: Some(10.0),
            likely_secs: Some(20.0),
            latest_secs: None,
        };
        assert_eq!(Forecast::new(slope, 1000), expected);
    }

    proptest! {
        #[test]
        fn the_three_are_in_order(rates in proptest::array::uniform3(any::<f64>()), headroom_bytes: u64) {
            let mut rates = rates.map(|rate| if rate.is_nan() { 0.0 } else { rate });
            rates.sort_by(f64::total_cmp);
            let [low, median, high] = rates;
            let forecast = Forecast::new(Slope { median, low, high }, headroom_bytes);
            let in_order = [forecast.soonest_secs, forecast.likely_secs, forecast.latest_secs]
                .map(|secs| secs.unwrap_or(f64::INFINITY));
            prop_assert!(in_order.is_sorted(), "{forecast:?}");
            prop_assert!(in_order.iter().all(|secs| *secs >= 0.0));
        }
    }
}
