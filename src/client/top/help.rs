//! What keys and signs mean, for the page of help, for `--help` and held against the manual page.

use super::page::{Text, Tone};

/// Keys, and what they do.
pub(super) const KEYS: [(&str, &str); 17] = [
    (
        "Up, Down, k, j",
        "select a line; PgUp, PgDn, Home and End as well",
    ),
    ("Enter", "open a process: curve, gates, sites; fold a unit"),
    ("Esc", "back; in the list: take the filter away"),
    ("1, 2, 3, Tab", "pages, heaps, kernel memory"),
    ("<, >, Left, Right", "sort by another column"),
    ("r", "turn the order around"),
    (
        "/",
        "show those with these words in name, unit, user, or as pid",
    ),
    ("t", "processes below their units, or a list"),
    ("Space", "hide or show the processes of a unit"),
    ("a", "acknowledge the alert: no more reminders"),
    ("s", "silence alerts like it for a time"),
    ("c", "measure for 30 s what the process allocates and frees"),
    ("?, h", "this help"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "to the shell, until it says to go on"),
    ("q, Ctrl-C", "quit"),
    ("y, n", "yes, no"),
];

/// Signs, and what they mean.
const SIGNS: [(&str, &str); 4] = [
    (
        "!!",
        "an alert is open, critical: a limit will be reached soon",
    ),
    ("!", "an alert is open, a warning"),
    (
        "?",
        "grows like a leak, but may not have done so for long enough",
    ),
    ("!a, !!a", "somebody has acknowledged or silenced it"),
];

/// What columns mean that do not say so themselves.
const COLUMNS: [(&str, &str); 7] = [
    ("AT LEAST", "the lower bound of growth, which rules go by"),
    ("SIZE", "pages that it holds"),
    (
        "NET HEAP",
        "allocated and not freed since its heap is measured",
    ),
    (
        "LAST HOUR",
        "how it came to its size; the range is a tenth of it or more",
    ),
    ("TIME LEFT", "until a limit is reached at this rate"),
    ("SEEN", "the part of the time in which it was measured"),
    (
        "CAUSE",
        "heap, retention (freed, and kept by the allocator), mapping",
    ),
];

/// The keys, for `memleakctl top --help`.
pub fn keys() -> String {
    let mut text = "Keys:\n".to_owned();
    for (keys, meaning) in KEYS {
        text += &format!("  {keys:<18} {meaning}\n");
    }
    text
}

/// The page of help.
pub(super) fn lines(columns: usize) -> Vec<Text> {
    let mut lines = Vec::new();
    let tables = [
        ("Keys", &KEYS[..]),
        ("Signs", &SIGNS[..]),
        ("Columns", &COLUMNS[..]),
    ];
    for (index, (title, table)) in tables.into_iter().enumerate() {
        if index > 0 {
            lines.push(plain(String::new()));
        }
        lines.push(Text {
            text: title.to_owned(),
            tone: Tone::Heading,
        });
        // On a narrow screen the meaning stands below.
        let is_narrow = columns < 60;
        for (what, meaning) in table {
            match is_narrow {
                true => {
                    lines.push(plain(format!("  {what}")));
                    lines.push(plain(format!("    {meaning}")));
                }
                false => lines.push(plain(format!("  {what:<18} {meaning}"))),
            }
        }
    }
    lines
}

fn plain(text: String) -> Text {
    Text {
        text,
        tone: Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        for (columns, most) in [(80, 80), (160, 80), (40, 80)] {
            for line in lines(columns) {
                assert!(line.text.chars().count() <= most, "{}", line.text);
            }
        }
        assert!(keys().lines().all(|line| line.chars().count() <= 80));
    }
}
