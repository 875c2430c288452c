use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quantity::{Span, Unreadable};

/// For how long growth must last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sustained {
    /// As long as growth of its kind takes to be told from work: see [`crate::detect::Patience`].
    Auto,
    /// For this time.
    For(Span),
}

impl FromStr for Sustained {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => match text.parse() {
                Ok(span) => Ok(Self::For(span)),
                Err(unreadable) => Err(unreadable.or("auto")),
            },
        }
    }
}

impl fmt::Display for Sustained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::For(span) => write!(f, "{span:#}"),
        }
    }
}

impl TryFrom<String> for Sustained {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl From<Sustained> for String {
    fn from(sustained: Sustained) -> Self {
        sustained.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_time_or_auto() {
        for text in ["auto", "10min", "1h30min"] {
            let sustained: Sustained = text.parse().expect(text);
            assert_eq!(sustained.to_string(), text);
        }
    }

    #[test]
    fn is_nothing_else() {
        let units = "write numbers with units (ms, s, min, h, d), such as \"10min\"";
        for text in ["soon", "", "Auto", "auto 10min", "x is not y"] {
            let said = text.parse::<Sustained>().expect_err(text).to_string();
            let expected = format!("{text:?} is neither \"auto\" nor a time: {units}");
            assert_eq!(said, expected);
        }
        let said = "99999999999999d".parse::<Sustained>().expect_err("long");
        assert!(
            said.to_string()
                .ends_with("is longer than any machine runs")
        );
    }
}
