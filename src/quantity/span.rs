use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Unreadable, as_text, split_number};

/// A length of time, to the millisecond.
///
/// Written as numbers with units (`ms`, `s`, `min`, `h`, `d`) that add up: `90s`, `1h30min`.
/// The short form (`{}`) gives the two largest units, the exact form (`{:#}`) reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    millis: u64,
}

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1000),
    ("ms", 1),
];

impl Span {
    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self {
            millis: secs.saturating_mul(1000),
        }
    }

    /// A measured time; negative or not finite is none, and beyond what can be told the longest.
    pub fn from_secs_f64(secs: f64) -> Self {
        Self {
            millis: (secs * 1000.0).round() as u64,
        }
    }

    /// So many minutes.
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins * 60)
    }

    /// Seconds, for arithmetic.
    pub fn secs(self) -> f64 {
        self.millis as f64 / 1000.0
    }

    /// As the standard library has it.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

impl FromStr for Span {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let unreadable = || {
            Unreadable(format!(
                "{text:?} is not a time: write numbers with units (ms, s, min, h, d), such as \"10min\""
            ))
        };
        let mut rest = text.trim();
        let mut millis = 0.0;
        if rest.is_empty() {
            return Err(unreadable());
        }
        while !rest.is_empty() {
            let (number, tail) = split_number(rest).ok_or_else(unreadable)?;
            let end = tail
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(tail.len());
            let (_, scale) = UNITS
                .iter()
                .find(|(name, _)| *name == &tail[..end])
                .ok_or_else(unreadable)?;
            millis += number * *scale as f64;
            rest = tail[end..].trim_start();
        }
        if millis > 1e15 {
            return Err(Unreadable(format!(
                "{text:?} is longer than any machine runs"
            )));
        }
        Ok(Self {
            millis: millis.round() as u64,
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut millis, n_units, smallest) = match f.alternate() {
            true => (self.millis, UNITS.len(), 1),
            // Milliseconds matter to nobody who reads seconds.
            false if self.millis >= 1000 => {
                (self.millis.saturating_add(500) / 1000 * 1000, 2, 1000)
            }
            false => (self.millis, 2, 1),
        };
        let mut written = 0;
        let mut first = UNITS.len();
        for (index, (name, scale)) in UNITS.iter().enumerate() {
            let count = millis / scale;
            if count > 0 {
                first = first.min(index);
            }
            if count > 0 && index < first.saturating_add(n_units) && *scale >= smallest {
                if written > 0 && !f.alternate() {
                    f.write_str(" ")?;
                }
                match f.alternate() {
                    true => write!(f, "{count}{name}")?,
                    false => write!(f, "{count} {name}")?,
                }
                written += 1;
            }
            millis %= scale;
        }
        match (written, f.alternate()) {
            (0, true) => f.write_str("0s"),
            (0, false) => f.write_str("0 s"),
            _ => Ok(()),
        }
    }
}

as_text!(Span, "a time such as \"10min\"");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_units_and_refuses_others() {
        for (text, secs) in [
            ("5s", 5.0),
            ("10min", 600.0),
            ("1h30min", 5400.0),
            ("1h 30min", 5400.0),
            ("1.5d", 129_600.0),
            ("250ms", 0.25),
            ("0s", 0.0),
        ] {
            assert_eq!(text.parse::<Span>().expect(text).secs(), secs, "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5m",
            "5 parsecs",
            "1h-",
            "9999999999999999d",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn short_form_is_for_people() {
        for (secs, text) in [
            (0.0, "0 s"),
            (0.25, "250 ms"),
            (59.7, "1 min"),
            (5400.0, "1 h 30 min"),
            (90_061.0, "1 d 1 h"),
            (86_400.0 + 60.0, "1 d"),
            (f64::NAN, "0 s"),
            (f64::INFINITY, "213503982334 d 14 h"),
        ] {
            assert_eq!(Span::from_secs_f64(secs).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn exact_form_reads_back(millis in 0u64..1 << 45) {
            let span = Span { millis };
            prop_assert_eq!(format!("{span:#}").parse(), Ok(span));
        }
    }
}
