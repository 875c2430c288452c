//! memleakd.toml(5) against the configuration: keys, defaults, bounds.

use std::collections::BTreeMap;
use std::fs;

use memleakd::config::{Config, Fault, Route, load_file};
use memleakd::quantity::{Bytes, Span};
use tempfile::NamedTempFile;
use toml::{Table, Value};

use super::page::{Item, Page};

/// Every key with its default, a table's name and a dot before it.
type Keys = BTreeMap<String, Value>;

fn items() -> Vec<Item> {
    Page::named("memleakd.toml.5").items_of("TABLES AND KEYS")
}

/// The name of a key, and what it is by itself.
fn key(item: &Item) -> (String, Value) {
    let table = item.subsection.trim_matches(['[', ']']);
    // Those with any name have what the default one has.
    let table = table.replace("NAME", "default");
    let head = item.line.strip_prefix("Cm ").expect("a key");
    let (name, value) = head.split_once(" No = ").expect("a value");
    let parsed: Table = format!("value = {value}").parse().expect(value);
    (format!("{table}.{name}"), parsed["value"].clone())
}

fn flatten(table: Table, before: &str, keys: &mut Keys) {
    for (name, value) in table {
        let name = format!("{before}{name}");
        match value {
            Value::Table(table) => flatten(table, &format!("{name}."), keys),
            value => drop(keys.insert(name, value)),
        }
    }
}

#[test]
fn each_key_is_there_with_its_default_and_no_other() {
    let mut config = Config::default();
    config
        .mail
        .route
        .insert("default".to_owned(), Route::default());
    let mut expected = Keys::new();
    flatten(Table::try_from(config).expect("a table"), "", &mut expected);
    let found: Vec<_> = items().iter().map(key).collect();
    let n_found = found.len();
    assert_eq!(Keys::from_iter(found), expected);
    assert_eq!(n_found, expected.len(), "a key is there twice");
}

/// What loading a file with one key says.
fn load(key: &str, value: &str) -> Result<Config, Fault> {
    let file = NamedTempFile::new().expect("a file");
    fs::write(&file, format!("{key} = {value}\n")).expect("written");
    load_file(file.path())
}

/// The least and the greatest value that the first sentence tells, as written in a file, and what is
/// next beyond each.
fn bounds(item: &Item) -> Vec<(String, String)> {
    let sentence = item.body.lines().nth(1).unwrap_or_default();
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
    let Some((kind, range)) = sentence.split_once(", ") else {
        return Vec::new();
    };
    // The next smaller (-1) or greater (1) value of its kind.
    let beyond = |value: &str, step: i64| -> String {
        let stepped = |value: f64| value as i64 + step;
        match kind {
            "Time" => {
                let time: Span = value.parse().expect(value);
                format!("{}ms", stepped(time.secs() * 1000.0))
            }
            "Size" => {
                let size: Bytes = value.parse().expect(value);
                format!("{}B", stepped(size.0 as f64))
            }
            "Number" => stepped(value.parse().expect(value)).to_string(),
            _ => panic!("{kind} has no bounds: {sentence}"),
        }
    };
    let quoted = |value: String| match kind {
        "Number" => value,
        _ => format!("{value:?}"),
    };
    let pair = |value: &str, step| (quoted(value.to_owned()), quoted(beyond(value, step)));
    if let Some(least) = range.strip_prefix("at least ") {
        vec![pair(least, -1)]
    } else if let Some(most) = range.strip_prefix("at most ") {
        vec![pair(most, 1)]
    } else if let Some((least, most)) = range.split_once(" to ") {
        vec![pair(least, -1), pair(most, 1)]
    } else {
        Vec::new()
    }
}

#[test]
fn bounds_are_what_is_taken_and_no_more() {
    let mut n_bounds = 0;
    for item in items() {
        let (key, _) = key(&item);
        for (taken, refused) in bounds(&item) {
            n_bounds += 1;
            if let Err(fault) = load(&key, &taken) {
                panic!("{key} = {taken} is to be taken: {fault}");
            }
            assert!(load(&key, &refused).is_err(), "{key} = {refused} is taken");
        }
    }
    assert!(n_bounds >= 10, "{n_bounds}");
}

/// What a choice offers is in quotes in its item.
#[test]
fn each_choice_is_told_and_no_other() {
    let mut n_choices = 0;
    for item in items() {
        let (key, _) = key(&item);
        let Err(fault) = load(&key, "\"no such choice\"") else {
            continue;
        };
        let said = fault.to_string();
        let Some((_, choices)) = said.split_once("expected one of ").or(said
            .contains("unknown value")
            .then(|| said.split_once("expected "))
            .flatten())
        else {
            continue;
        };
        n_choices += 1;
        let quoted = |text: &str| -> Vec<String> {
            let parts = text.split('"').skip(1).step_by(2);
            let mut parts: Vec<_> = parts.map(str::to_owned).collect();
            parts.sort();
            parts.dedup();
            parts
        };
        if item.body.contains("As above.") {
            continue;
        }
        let lines = item.body.lines().skip(1);
        let told: Vec<_> = lines.filter(|line| line.starts_with(".Cm \"")).collect();
        assert_eq!(quoted(&told.join("\n")), quoted(choices), "{key}: {said}");
    }
    assert!(n_choices >= 6, "{n_choices}");
}

#[test]
fn each_example_can_be_loaded() {
    let page = Page::named("memleakd.toml.5");
    let examples = page.examples().into_iter();
    let ours = examples.filter(|text| text.starts_with('[') && !text.starts_with("[Service]"));
    let mut n_loaded = 0;
    for text in ours {
        let file = NamedTempFile::new().expect("a file");
        fs::write(&file, &text).expect("written");
        let config = load_file(file.path()).unwrap_or_else(|fault| panic!("{text}{fault}"));
        assert_ne!(config, Config::default(), "{text}");
        n_loaded += 1;
    }
    assert!(n_loaded >= 8, "{n_loaded}");
}

#[test]
fn each_directory_that_is_read_is_named() {
    let page = Page::named("memleakd.toml.5");
    // As the shipped file names them, and as `Search` is tested to read them.
    for path in [
        "/usr/lib/memleakd/memleakd.toml",
        "/etc/memleakd/memleakd.toml",
        "/usr/lib/memleakd/memleakd.toml.d/*.toml",
        "/run/memleakd/memleakd.toml.d/*.toml",
        "/etc/memleakd/memleakd.toml.d/*.toml",
    ] {
        assert!(page.text().contains(&format!(".Pa {path}\n")), "{path}");
    }
}
