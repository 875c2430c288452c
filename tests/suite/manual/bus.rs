//! org.memleakd.Memleakd1(5) against the interface that is shipped, and against what is told by it.

use std::fs;
use std::path::Path;

use memleakd::alert::{Alert, Silence};
use memleakd::bus::{Explained, Measured, Process, Status};
use memleakd::collect::Capture;
use memleakd::curve::Curve;
use memleakd::report::Report;
use memleakd::site::{Frame, Site};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::page::{Item, Page};

const PAGE: &str = "org.memleakd.Memleakd1.5";

/// The value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let (_, rest) = tag.split_once(&format!(" {name}=\"")).expect(tag);
    rest.split('"').next().unwrap_or_default()
}

/// How the page is to head each method, signal and property of an interface. A test of the bus
/// holds the file against the live object.
fn heads(interface: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/usr/share/dbus-1/interfaces")
        .join(interface);
    let text = fs::read_to_string(path).expect("an interface");
    let mut heads = Vec::new();
    let mut call: Option<(String, Vec<String>, Vec<String>)> = None;
    for tag in text.lines().map(str::trim) {
        if tag.starts_with("<method ") || tag.starts_with("<signal ") {
            call = Some((attribute(tag, "name").to_owned(), Vec::new(), Vec::new()));
        } else if tag.starts_with("<arg ") {
            let (_, taken, given) = call.as_mut().expect("a method");
            let argument = format!("{} {}", attribute(tag, "type"), attribute(tag, "name"));
            match tag.contains("direction=\"out\"") {
                true => given.push(argument),
                false => taken.push(argument),
            }
        } else if tag == "</method>" || tag == "</signal>" {
            let (name, taken, given) = call.take().expect("a method");
            let taken = match taken.is_empty() {
                true => "()".to_owned(),
                false => format!("( {} )", taken.join(" , ")),
            };
            let given = match given.is_empty() {
                true => String::new(),
                false => format!(" \\(-> {}", given.join(" , ")),
            };
            heads.push(format!("Cm {name} No {taken}{given}"));
        } else if tag.starts_with("<property ") {
            let (name, kind) = (attribute(tag, "name"), attribute(tag, "type"));
            heads.push(format!("Cm {name} No : {kind}"));
        }
    }
    heads
}

#[test]
fn each_method_signal_and_property_is_there_and_no_other() {
    let mut expected = heads("org.memleakd.Memleakd1.xml");
    expected.extend(heads("org.memleakd.Memleakd1.Alert.xml"));
    assert!(expected.len() >= 25, "{expected:?}");
    let page = Page::named(PAGE);
    let sections = ["METHODS", "SIGNALS", "PROPERTIES"];
    let items = sections.iter().flat_map(|section| page.items_of(section));
    let mut found: Vec<_> = items.map(|item| item.line).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

/// What it takes is told of each method that asks polkit, in the words of the policy.
#[test]
fn each_method_says_what_it_takes() {
    for (method, action) in [
        ("ListAlerts", Some("view-details")),
        ("GetAlert", Some("view-details")),
        ("GetReport", Some("view-details")),
        ("Acknowledge", Some("manage")),
        ("Silence", Some("manage")),
        ("Unsilence", Some("manage")),
        ("ListSilences", Some("view-details")),
        ("GetProcesses", Some("view-details")),
        ("GetMeasured", None),
        ("Explain", Some("view-details")),
        ("GetCurve", Some("view-details")),
        ("Capture", Some("capture")),
        ("GetCapture", None),
        ("GetStatus", None),
        ("Reload", Some("manage")),
        ("TestSink", Some("manage")),
    ] {
        let items = Page::named(PAGE).items_of("METHODS");
        let item = items
            .iter()
            .find(|item| item.line.starts_with(&format!("Cm {method} ")));
        let item = item.unwrap_or_else(|| panic!("{method}"));
        let actions = ["view-details", "manage", "capture"];
        for other in actions {
            let is_told = item.body.lines().any(|line| {
                line.strip_prefix(".Li ")
                    .map(|line| line.trim_end_matches(" ."))
                    == Some(other)
            });
            assert_eq!(is_told, action == Some(other), "{method} {other}");
        }
    }
}

/// The keys of a dictionary, with their types, as the page has them.
fn fields(subsection: &str) -> Vec<(String, String)> {
    let items = Page::named(PAGE).items_of("DICTIONARIES").into_iter();
    let items = items.filter(|item: &Item| item.subsection == subsection);
    let fields = items.map(|item| {
        let head = item.line.strip_prefix("Va ").expect("a key");
        let (name, kind) = head.split_once(" No : ").expect("a type");
        (name.to_owned(), kind.to_owned())
    });
    fields.collect()
}

/// `GrowthBytesPerSec` as JSON has it.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Anything of a type that a key may have.
fn any(name: &str, kind: &str) -> Value {
    match (kind, name) {
        ("s", "change") => json!("raised"),
        ("s", "state") => json!("firing"),
        ("s", "severity") => json!("warning"),
        ("s", "reason") => json!("exited"),
        ("s", "source" | "cause") => json!("heap"),
        ("s", "limit_kind") => json!("host"),
        ("s", "attribution") => json!("paired"),
        (
            "s",
            "time" | "raised" | "since" | "until" | "acknowledged" | "silenced_until"
            | "unseen_since" | "next_reminder",
        ) => json!("2026-11-23T01:02:03Z"),
        ("s", _) => json!("text"),
        ("t", _) => json!(7),
        ("d", _) => json!(0.5),
        ("b", _) => json!(true),
        ("as", _) => json!(["text"]),
        ("aa{sv}", _) => json!([]),
        ("a{sv}", _) => json!({}),
        _ => panic!("{name} has the type {kind}"),
    }
}

/// What the page says of a dictionary, read as what it is, and written again: that has neither more
/// nor fewer keys, and none of another type.
fn holds<T: Serialize + DeserializeOwned>(fields: &[(String, String)]) {
    let told: Map<String, Value> = fields
        .iter()
        .map(|(name, kind)| (snake(name), any(&snake(name), kind)))
        .collect();
    assert_eq!(told.len(), fields.len(), "a key is there twice");
    let what = std::any::type_name::<T>();
    let thing: T = serde_json::from_value(Value::Object(told.clone()))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let written = serde_json::to_value(thing).expect("JSON");
    assert_eq!(written, Value::Object(told), "{what}");
}

#[test]
fn each_dictionary_has_the_keys_that_are_told() {
    let alert = fields("Alerts");
    holds::<Alert>(&alert);
    holds::<Site>(&fields("Sites"));
    holds::<Frame>(&fields("Frames"));
    holds::<Silence>(&fields("Silences"));
    holds::<Status>(&fields("Status"));
    holds::<Process>(&fields("Growing processes"));
    holds::<Curve>(&fields("Curves"));
    holds::<Measured>(&fields("Measured processes"));
    holds::<Capture>(&fields("Captures"));
    // These say which keys they share with alerts.
    for (subsection, is_report) in [("Reports", true), ("Explanations", false)] {
        let shared = shared(subsection);
        let of_alert = alert.iter().filter(|(name, _)| shared.contains(name));
        let mut all: Vec<_> = of_alert.cloned().collect();
        assert_eq!(all.len(), shared.len(), "{shared:?}");
        all.extend(fields(subsection));
        match is_report {
            true => holds::<Report>(&all),
            false => holds::<Explained>(&all),
        }
    }
}

/// The keys that are named before the list of a dictionary's own.
fn shared(subsection: &str) -> Vec<String> {
    let page = Page::named(PAGE);
    let lines = page.text().lines();
    let lines = lines.skip_while(|line| line.strip_prefix(".Ss ") != Some(subsection));
    let lines = lines.take_while(|line| !line.starts_with(".Bl "));
    let named = lines.filter_map(|line| line.strip_prefix(".Va "));
    let names = named.flat_map(|line| line.split([' ', ',']));
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}
