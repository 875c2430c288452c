//! Numbers in the kernel's text files. Pure: bytes in, numbers out.
//!
//! The kernel writes these files, but whoever starts a process chooses some of what is in them,
//! so that anything is expected and nothing but a number is a number.

use std::str;

/// The number that is all a file has, as in `memory.current`; none for `max`.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    parse(text.trim_ascii())
}

/// The number behind a word that starts a line, as in `memory.stat`.
pub(super) fn keyed(text: &[u8], key: &str) -> Option<u64> {
    lines(text).find_map(|line| {
        let mut words = words(line);
        if words.next() != Some(key.as_bytes()) {
            return None;
        }
        parse(words.next()?)
    })
}

/// The last number in a line that starts with a word, as in `NSpid:` of `/proc/PID/status`.
pub(super) fn last_keyed(text: &[u8], key: &str) -> Option<u64> {
    let line = lines(text).find_map(|line| line.strip_prefix(key.as_bytes()))?;
    parse(words(line).last()?)
}

/// The size in bytes behind a word that starts a line, as in `MemTotal: 12 kB`.
pub(super) fn sized(text: &[u8], key: &str) -> Option<u64> {
    // What the kernel calls kB are 1024 bytes.
    keyed(text, key)?.checked_mul(1024)
}

/// The number behind `avg60=` in the first line of a file of pressure stall information, in percent.
pub(super) fn share_of_minute(text: &[u8]) -> Option<f64> {
    let some = lines(text).find_map(|line| line.strip_prefix(b"some "))?;
    let value = words(some).find_map(|word| word.strip_prefix(b"avg60="))?;
    let percent: f64 = str::from_utf8(value).ok()?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

/// A soft limit of `/proc/PID/limits`, by the name that starts its line; none if unlimited.
pub(super) fn soft_limit(text: &[u8], name: &str) -> Option<u64> {
    let values = lines(text).find_map(|line| line.strip_prefix(name.as_bytes()))?;
    parse(words(values).next()?)
}

/// Field 22 of `/proc/PID/stat`.
///
/// Field 2 is the name in parentheses and may itself have parentheses, blanks and newlines, so
/// that only what is behind the last parenthesis can be counted.
pub(super) fn start_time_ticks(stat: &[u8]) -> Option<u64> {
    stat_field(stat, 22)
}

/// Fields 14 and 15 of `/proc/PID/stat`: ticks in user and in kernel mode, in all.
pub(super) fn cpu_ticks(stat: &[u8]) -> Option<u64> {
    stat_field(stat, 14)?.checked_add(stat_field(stat, 15)?)
}

/// Field 28 of `/proc/PID/stat`: where the stack began when the program was started.
pub(super) fn stack_start(stat: &[u8]) -> Option<u64> {
    stat_field(stat, 28)
}

fn stat_field(stat: &[u8], number: usize) -> Option<u64> {
    const FIRST_BEHIND_NAME: usize = 3;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    parse(words(&stat[end + 1..]).nth(number - FIRST_BEHIND_NAME)?)
}

/// The lines of a file, without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

fn parse(word: &[u8]) -> Option<u64> {
    str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_number_or_none() {
        for (text, expected) in [
            ("0\n", Some(0)),
            ("18446744073709551615\n", Some(u64::MAX)),
            ("max\n", None),
            ("", None),
            ("-1\n", None),
            ("18446744073709551616\n", None),
            ("1 2\n", None),
            ("1\n2\n", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn key_is_a_whole_word() {
        let text = b"inactive_file 12\nactive_file 34\nfile x\nactive_files 1\nempty\nlast 5";
        for (key, expected) in [
            ("inactive_file", Some(12)),
            ("active_file", Some(34)),
            ("file", None),
            ("active", None),
            ("empty", None),
            ("last", Some(5)),
            ("absent", None),
        ] {
            assert_eq!(keyed(text, key), expected, "{key}");
        }
        assert_eq!(sized(b"VmData:\t     12 kB\n", "VmData:"), Some(12 << 10));
        let absurd = b"VmData: 18446744073709551615 kB\n";
        assert_eq!(sized(absurd, "VmData:"), None);
    }

    #[test]
    fn soft_limit_is_the_first_column() {
        let limits = b"\
Limit                     Soft Limit           Hard Limit           Units     \n\
Max data size             1048576              unlimited            bytes     \n\
Max processes             96343                96343                processes \n\
Max address space         unlimited            2097152              bytes     \n";
        assert_eq!(soft_limit(limits, "Max data size"), Some(1 << 20));
        assert_eq!(soft_limit(limits, "Max address space"), None);
        assert_eq!(soft_limit(limits, "Max stack size"), None);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            number(&text);
            keyed(&text, "a");
            sized(&text, "a");
            soft_limit(&text, "a");
            start_time_ticks(&text);
        }

        #[test]
        fn start_time_does_not_depend_on_the_name(
            name in proptest::collection::vec(any::<u8>(), 0..16),
            ticks in any::<u64>(),
        ) {
            let behind = format!(") S{} {ticks} 1 2\n", " 7".repeat(18));
            let stat = [b"1 (", name.as_slice(), behind.as_bytes()].concat();
            prop_assert_eq!(start_time_ticks(&stat), Some(ticks));
        }
    }
}
