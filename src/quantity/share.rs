use std::fmt;
use std::str::FromStr;

use super::{Unreadable, as_text, split_number};

/// A share of a whole, `0%` to `100%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share {
    /// As it is written, so that what is printed reads back as the same.
    percent: f64,
}

impl Share {
    /// So many per cent.
    pub const fn percent(percent: f64) -> Self {
        Self { percent }
    }

    /// So many times as much, but not more than the whole.
    pub fn times(self, factor: f64) -> Self {
        Self::percent((self.percent * factor).min(100.0))
    }

    /// From 0.0 to 1.0.
    pub fn fraction(self) -> f64 {
        self.percent / 100.0
    }
}

impl FromStr for Share {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match split_number(text) {
            Some((percent, "%")) if percent <= 100.0 => Ok(Self::percent(percent)),
            _ => Err(Unreadable(format!(
                "{text:?} is not a share: write \"0%\" to \"100%\", such as \"1%\""
            ))),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

as_text!(Share, "a share such as \"1%\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_share_is_more_than_the_whole() {
        for (percent, factor, expected) in [(1.0, 5.0, 5.0), (50.0, 5.0, 100.0), (0.0, 5.0, 0.0)] {
            let times = Share::percent(percent).times(factor);
            assert_eq!(times, Share::percent(expected));
        }
    }

    #[test]
    fn reads_and_prints() {
        for text in ["0%", "1%", "0.5%", "7%", "0.12345678901%", "100%"] {
            assert_eq!(text.parse::<Share>().expect(text).to_string(), text);
        }
        for text in ["", "1", "%", "101%", "-1%", "1 percent"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
