//! What windows of measuring say of the whole time. Pure.

/// Windows from which on their spread is believed.
const FEWEST: f64 = 3.0;
/// Standard errors that are taken off for doubt: the two-sided 95 % quantile of Student's t, by
/// degrees of freedom from 2 on, and for more of them the normal distribution's, a little up.
const DOUBT: [f64; 9] = [4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
const DOUBT_OF_MANY: f64 = 2.1;

/// Net growth over windows of time, between which nothing was seen.
///
/// A net is unbiased if it counts the frees of what was allocated while nobody looked: then what
/// happens in windows that come by the clock is a fair sample of what happens.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Tally {
    n: f64,
    seen_secs: f64,
    net_bytes: f64,
    /// Mean and summed squared deviation of the windows' rates (Welford 1962).
    mean: f64,
    deviation: f64,
}

impl Tally {
    /// Takes a window in.
    pub fn add(&mut self, secs: f64, net_bytes: f64) {
        if secs <= 0.0 {
            return;
        }
        let rate = net_bytes / secs;
        self.n += 1.0;
        self.seen_secs += secs;
        self.net_bytes += net_bytes;
        let before = rate - self.mean;
        self.mean += before / self.n;
        self.deviation += before * (rate - self.mean);
    }

    /// How long it was looked.
    pub fn seen_secs(&self) -> f64 {
        self.seen_secs
    }

    /// Net growth in bytes a second of time in which it was looked.
    pub fn bytes_per_sec(&self) -> f64 {
        match self.seen_secs > 0.0 {
            true => self.net_bytes / self.seen_secs,
            false => 0.0,
        }
    }

    /// The same, nearer to nothing by what is in doubt: that of a leak is too low rather than too
    /// high. Nothing, as long as there are too few windows to tell.
    pub fn bytes_per_sec_sure(&self) -> f64 {
        if self.n < FEWEST {
            return 0.0;
        }
        let error = (self.deviation / (self.n - 1.0) / self.n).sqrt() * doubt(self.n);
        let rate = self.bytes_per_sec();
        rate.signum() * (rate.abs() - error).max(0.0)
    }

    /// Net growth over a span of time of which the windows are a part: what was seen, and for the
    /// rest what is sure.
    pub fn net_bytes_over(&self, span_secs: f64) -> f64 {
        let unseen_secs = (span_secs - self.seen_secs).max(0.0);
        self.net_bytes + unseen_secs * self.bytes_per_sec_sure()
    }
}

/// By the number of windows.
fn doubt(n: f64) -> f64 {
    let index = (n - FEWEST).max(0.0) as usize;
    DOUBT.get(index).copied().unwrap_or(DOUBT_OF_MANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(windows: &[(f64, f64)]) -> Tally {
        let mut tally = Tally::default();
        for (secs, net_bytes) in windows {
            tally.add(*secs, *net_bytes);
        }
        tally
    }

    #[test]
    fn what_was_seen_counts_as_it_is() {
        let seen = tally(&[(10.0, 1000.0), (10.0, -400.0)]);
        assert_eq!(seen.net_bytes_over(20.0), 600.0);
        assert_eq!(seen.bytes_per_sec(), 30.0);
        assert_eq!(Tally::default().net_bytes_over(100.0), 0.0);
        assert_eq!(tally(&[(0.0, 5.0)]), Tally::default());
    }

    #[test]
    fn a_steady_leak_is_seen_whole_through_windows() {
        let leak = tally(&[(1.0, 500.0); 6]);
        assert_eq!(leak.net_bytes_over(600.0), 300_000.0);
    }

    #[test]
    fn noise_around_nothing_is_no_leak() {
        let noise = tally(&[(1.0, 9e6), (1.0, -8e6), (1.0, 7e6), (1.0, -7e6), (1.0, 1e6)]);
        assert!(noise.bytes_per_sec() > 0.0);
        assert_eq!(noise.bytes_per_sec_sure(), 0.0);
        assert_eq!(noise.net_bytes_over(500.0), 2e6);
    }

    #[test]
    fn doubt_is_on_the_side_of_the_process() {
        let leak = tally(&[(1.0, 900.0), (1.0, 1100.0), (1.0, 1000.0), (1.0, 1000.0)]);
        let sure = leak.bytes_per_sec_sure();
        assert!((850.0..1000.0).contains(&sure), "{sure}");
        let falling = tally(&[(1.0, -900.0), (1.0, -1100.0), (1.0, -1000.0)]);
        assert!((-1000.0..=-700.0).contains(&falling.bytes_per_sec_sure()));
        assert_eq!(tally(&[(1.0, 1e9), (1.0, 1e9)]).bytes_per_sec_sure(), 0.0);
    }
}
