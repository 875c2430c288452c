use std::fmt;
use std::str::FromStr;

use super::{Unreadable, as_text, split_number, write_short};

/// A size in bytes.
///
/// Units are binary (`KiB`, `MiB`, `GiB`, `TiB`, also `K`, `M`, `G`, `T`) or `B`. The short form
/// (`{}`) rounds to what a person reads, the exact form (`{:#}`) reads back as the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let unreadable = || {
            Unreadable(format!(
                "{text:?} is not a size: write a number and a unit, such as \"64MiB\""
            ))
        };
        let (number, unit) = split_number(text).ok_or_else(unreadable)?;
        let (_, scale) = UNITS
            .iter()
            .find(|(name, _)| *name == unit || (unit.len() == 1 && name.starts_with(unit)))
            .ok_or_else(unreadable)?;
        let bytes = number * *scale as f64;
        if bytes >= u64::MAX as f64 {
            return Err(Unreadable(format!("{text:?} is more than any machine has")));
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let (name, scale) = UNITS
                .iter()
                .find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale))
                .unwrap_or(&UNITS[4]);
            return write!(f, "{}{name}", self.0 / scale);
        }
        let (name, scale) = UNITS
            .iter()
            .find(|(_, scale)| self.0 >= *scale)
            .unwrap_or(&UNITS[4]);
        write_short(f, self.0 as f64 / *scale as f64)?;
        write!(f, " {name}")
    }
}

as_text!(Bytes, "a size such as \"64MiB\"");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_units_and_refuses_others() {
        for (text, bytes) in [
            ("0B", 0),
            ("64MiB", 64 << 20),
            (" 64 MiB ", 64 << 20),
            ("1.5K", 1536),
            ("2T", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in [
            "",
            "64",
            "MiB",
            "-1MiB",
            "64MB",
            "64mib",
            "1.2.3K",
            "nanMiB",
            "99999999TiB",
            "5MiB/min",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn short_form_is_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (100 << 20, "100 MiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn exact_form_reads_back(bytes in 0u64..1 << 50) {
            prop_assert_eq!(format!("{:#}", Bytes(bytes)).parse(), Ok(Bytes(bytes)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = text.parse::<Bytes>();
        }
    }
}
