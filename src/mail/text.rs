//! Text that fits: harmless, shortened, wrapped, quoted for a shell.

use crate::sample::printable;
pub(super) use crate::site::words::shorten;

/// Text from outside as one line with single spaces.
///
/// It should be harmless already; a mail is the last place to learn that it was not.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::new();
    for word in printable(text.as_bytes()).split_whitespace() {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.push_str(word);
    }
    clean
}

/// The same for the value of a header field: nothing in it is taken for an encoded word
/// (RFC 2047), behind which anything could hide.
pub(super) fn clean_for_header(text: &str) -> String {
    clean(text).replace("=?", "= ?")
}

/// Lines of at most so many characters, but no word is broken, nor a number from its unit.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if is_number(last) => *last = format!("{last} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let mut n_chars = 0;
    for word in words {
        let n_word = word.chars().count();
        match lines.last_mut() {
            Some(line) if n_chars + 1 + n_word <= width => {
                line.push(' ');
                line.push_str(&word);
                n_chars += 1 + n_word;
            }
            _ => {
                lines.push(word);
                n_chars = n_word;
            }
        }
    }
    lines
}

/// One word for a shell: what stands in a command to be copied does nothing of its own.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn is_number(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_harmless_line() {
        for (text, expected) in [
            ("nginx", "nginx"),
            ("  a \u{a0} b  ", "a b"),
            ("a\r\nBcc: x@y", "a\\u{d}\\u{a}Bcc: x@y"),
            ("=?utf-8?q?=0A?=", "= ?utf-8?q?=0A?="),
        ] {
            assert_eq!(clean_for_header(text), expected);
        }
    }

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrap("a bb ccc dddddd e", 6), ["a bb", "ccc", "dddddd", "e"]);
        assert_eq!(
            wrap("it has gained 118 MiB in 1 h 30 min", 16),
            ["it has gained", "118 MiB in 1 h", "30 min"]
        );
        assert_eq!(wrap(" ", 6), Vec::<String>::new());
    }

    #[test]
    fn a_shell_gets_one_word() {
        for (text, expected) in [
            (
                "default:/usr/bin/x@1.service",
                "default:/usr/bin/x@1.service",
            ),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("x';reboot #", r"'x'\'';reboot #'"),
            ("~", "'~'"),
        ] {
            assert_eq!(shell_word(text), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_fits(text in "\\PC*", max in 1usize..80) {
            prop_assert!(shorten(&text, max).chars().count() <= max);
            for line in wrap(&text, max) {
                prop_assert!(line.chars().count() <= max || line.split(' ').filter(|word| !is_number(word)).count() <= 1);
            }
        }
    }
}
