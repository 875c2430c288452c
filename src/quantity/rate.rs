use std::fmt;
use std::str::FromStr;

use super::{Bytes, Span, Unreadable, as_text};

/// A rate of growth: a size in each second, minute, hour or day.
///
/// `8MiB/min` and `512KiB/h` keep the period they were written in, so that an effective
/// configuration shows what its author wrote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    size: Bytes,
    period: Period,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }

    fn secs(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Minute => 60.0,
            Self::Hour => 3600.0,
            Self::Day => 86400.0,
        }
    }
}

impl Rate {
    /// So many bytes a minute.
    pub const fn per_minute(size: Bytes) -> Self {
        Self {
            size,
            period: Period::Minute,
        }
    }

    /// The period that gives a measured rate a readable number. Negative rates are shown as none.
    pub fn from_bytes_per_sec(bytes_per_sec: f64) -> Self {
        let readable = |period: &Period| bytes_per_sec * period.secs() >= 1024.0;
        let period = [Period::Minute, Period::Hour, Period::Day]
            .into_iter()
            .find(readable)
            .unwrap_or(Period::Minute);
        let size = Bytes((bytes_per_sec.max(0.0) * period.secs()).round() as u64);
        Self { size, period }
    }

    /// Bytes a second.
    pub fn bytes_per_sec(self) -> f64 {
        self.size.0 as f64 / self.period.secs()
    }

    /// What accumulates in a time at this rate.
    pub fn over(self, span: Span) -> Bytes {
        Bytes((self.bytes_per_sec() * span.secs()) as u64)
    }
}

impl FromStr for Rate {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let unreadable = || {
            Unreadable(format!(
                "{text:?} is not a rate: write a size and a period (s, min, h, d), such as \"8MiB/min\""
            ))
        };
        let (size, period) = text.split_once('/').ok_or_else(unreadable)?;
        let size = size.parse().map_err(|_| unreadable())?;
        let period = Period::ALL
            .into_iter()
            .find(|known| known.name() == period.trim())
            .ok_or_else(unreadable)?;
        Ok(Self { size, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.size, f)?;
        write!(f, "/{}", self.period.name())
    }
}

as_text!(Rate, "a rate such as \"8MiB/min\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for text in ["8MiB/min", "512KiB/h", "1B/s", "3GiB/d"] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(format!("{rate:#}"), text);
        }
        assert_eq!(
            "60MiB/min".parse::<Rate>().expect("reads").bytes_per_sec(),
            1048576.0
        );
        for text in [
            "8MiB",
            "8MiB/fortnight",
            "/min",
            "MiB/min",
            "8/min",
            "8MiB/min/min",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn measured_rates_find_their_period() {
        for (bytes_per_sec, text) in [
            (1048576.0, "60 MiB/min"),
            (17.07, "1 KiB/min"),
            (1.0, "3.5 KiB/h"),
            (0.02, "1.7 KiB/d"),
            (0.0, "0 B/min"),
            (-5.0, "0 B/min"),
        ] {
            assert_eq!(Rate::from_bytes_per_sec(bytes_per_sec).to_string(), text);
        }
    }
}
