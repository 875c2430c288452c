//! What memleakd(8) says of the journal, against what is written there.

use std::fs;
use std::path::Path;

use memleakd::alert::{Alert, Change};
use memleakd::sink::message_id;

use super::page::{Page, pages};

const CHANGES: [Change; 5] = [
    Change::Raised,
    Change::Escalated,
    Change::Reminded,
    Change::Updated,
    Change::Cleared,
];

/// Words of 32 hexadecimal digits.
fn ids(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_id = |word: &&str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    words.filter(is_id).collect()
}

#[test]
fn each_message_id_is_told_and_no_other() {
    let items = Page::named("memleakd.8").items_of("DIAGNOSTICS");
    for change in CHANGES {
        let item = items
            .iter()
            .find(|item| item.line == format!("Cm {change}"));
        let item = item.unwrap_or_else(|| panic!("{change}"));
        assert_eq!(ids(&item.body), [message_id(change)], "{change}");
    }
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/usr/lib/systemd/catalog/memleakd.catalog");
    let catalog = fs::read_to_string(catalog).expect("the catalog");
    for path in pages() {
        for id in ids(Page::read(&path).text()) {
            let is_there = catalog.contains(&format!("-- {id}\n"));
            assert!(is_there, "{}: {id}", path.display());
        }
    }
}

#[test]
fn each_field_that_is_named_is_written() {
    let alert = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp/leak.json");
    let alert = fs::read_to_string(alert).expect("an alert");
    let alert: Alert = serde_json::from_str(&alert).expect("an alert");
    let fields = serde_json::to_value(alert).expect("JSON");
    let fields = fields.as_object().expect("fields");
    // Those that an entry has besides, and what is none.
    let others = ["SEQUENCE", "STACKS", "LOG"];
    let mut n_named = 0;
    for path in pages() {
        let page = Page::read(&path);
        let words = page
            .text()
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter_map(|word| word.strip_prefix("MEMLEAKD_")) {
            let is_field = fields.contains_key(&name.to_lowercase()) && name != "CURVE";
            let is_there = name.is_empty() || is_field || others.contains(&name);
            assert!(is_there, "{}: MEMLEAKD_{name}", path.display());
            n_named += 1;
        }
    }
    assert!(n_named >= 15, "{n_named}");
}
