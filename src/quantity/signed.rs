//! Sizes and rates that may be below zero, as net allocations are.

use super::{Bytes, Rate};

/// A size, with a minus sign if it is below zero.
pub fn size(bytes: i64) -> String {
    signed(bytes < 0, Bytes(bytes.unsigned_abs()).to_string())
}

/// A rate, with a minus sign if it is below zero.
pub fn rate(bytes_per_sec: f64) -> String {
    let rate = Rate::from_bytes_per_sec(bytes_per_sec.abs());
    signed(bytes_per_sec < 0.0, rate.to_string())
}

/// What is rounded to nothing has no sign.
fn signed(is_negative: bool, text: String) -> String {
    match is_negative && !text.starts_with("0 ") {
        true => format!("-{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_zero_there_is_a_sign() {
        for (bytes, text) in [
            (0, "0 B"),
            (1536, "1.5 KiB"),
            (-1, "-1 B"),
            (-(3 << 20), "-3 MiB"),
            (i64::MIN, "-8388608 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (bytes_per_sec, text) in [
            (0.0, "0 B/min"),
            (-0.0, "0 B/min"),
            (-1e-9, "0 B/min"),
            (-1048576.0, "-60 MiB/min"),
            (1048576.0, "60 MiB/min"),
            (f64::NAN, "0 B/min"),
        ] {
            assert_eq!(rate(bytes_per_sec), text);
        }
    }
}
