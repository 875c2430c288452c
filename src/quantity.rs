//! Sizes, rates, times and shares as the configuration writes them and people read them.
//!
//! Each is a type with one spelling: `64MiB`, `8MiB/min`, `1h30min`, `1%`. What a type prints
//! it also reads, and the same words appear in configuration, journal, mail and client.

mod bytes;
mod rate;
mod share;
pub mod signed;
mod span;

pub use bytes::Bytes;
pub use rate::Rate;
pub use share::Share;
pub use span::Span;

use std::fmt;

/// Why a text is not the quantity it should be: one phrase that says what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(String);

impl Unreadable {
    /// The same of what may be a certain word instead: it is neither that nor a quantity.
    #[must_use]
    pub fn or(self, word: &str) -> Self {
        // From the right, as what was written may hold any words.
        match self.0.rsplit_once(" is not ") {
            Some((text, rest)) => Self(format!("{text} is neither {word:?} nor {rest}")),
            None => self,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

/// Splits `12.5MiB` into 12.5 and `MiB`. The number is finite and not negative.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number
        .is_finite()
        .then(|| (number, text[end..].trim_start()))
}

/// A number of things, in the singular or plural: `1 suspect`, `2 suspects`.
pub fn count(n: usize, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}

/// A number with at most one decimal, and none where it says nothing.
fn write_short(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    let rounded = (value * 10.0).round() / 10.0;
    if rounded >= 100.0 || rounded.fract() == 0.0 {
        write!(f, "{rounded:.0}")
    } else {
        write!(f, "{rounded:.1}")
    }
}

/// Reads a quantity from a TOML or JSON string with its `FromStr`, prints it with its `Display`.
macro_rules! as_text {
    ($quantity:ty, $expected:literal) => {
        impl<'de> serde::Deserialize<'de> for $quantity {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $quantity;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!($expected, ", in quotes"))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$quantity, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl serde::Serialize for $quantity {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("{self:#}"))
            }
        }
    };
}
use as_text;
