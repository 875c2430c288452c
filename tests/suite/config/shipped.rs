//! `config/memleakd.toml`, which is installed in `/etc/memleakd`.

use std::fs;
use std::path::{Path, PathBuf};

use memleakd::config::{Config, load_file};
use tempfile::TempDir;
use toml::Table;

use super::flat;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/memleakd.toml")
}

fn shipped_text() -> String {
    fs::read_to_string(shipped()).expect("is there")
}

/// A setting is commented out without a space, prose has one: `#key = value`, `# text`.
fn uncommented() -> String {
    let lines = shipped_text();
    let lines = lines.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn in_a_file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("memleakd.toml");
    fs::write(&file, text).expect("can be written");
    (directory, file)
}

/// The dotted keys of a text, in its order.
fn keys_in_order(text: &str) -> Vec<String> {
    let mut table = String::new();
    let mut keys = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']').to_owned() + ".";
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.push(table.clone() + key);
        }
    }
    keys
}

#[test]
fn changes_nothing_as_it_is() {
    assert_eq!(load_file(&shipped()), Ok(Config::default()));
}

#[test]
fn has_the_defaults_when_uncommented() {
    let (_directory, file) = in_a_file(&uncommented());
    assert_eq!(load_file(&file), Ok(Config::default()));
    // And all of them are really in it.
    let written: Table = uncommented().parse().expect("is TOML");
    let effective: Table = Config::default().to_toml().parse().expect("is TOML");
    assert_eq!(flat(&written), flat(&effective));
}

#[test]
fn has_every_key_in_the_order_of_the_source() {
    let effective = keys_in_order(&Config::default().to_toml());
    assert_eq!(keys_in_order(&uncommented()), effective);
}

/// Each setting stands below a comment of its own, of up to three lines.
#[test]
fn explains_each_key() {
    let text = shipped_text();
    let paragraphs = text.split("\n\n").map(str::trim);
    let mut n_explained = 0;
    for paragraph in paragraphs {
        let (prose, rest): (Vec<_>, Vec<_>) =
            paragraph.lines().partition(|line| line.starts_with("# "));
        let settings: Vec<_> = rest
            .iter()
            .filter(|line| line.starts_with('#') && line.len() > 1)
            .collect();
        assert!(settings.len() <= 1, "{paragraph}");
        if let [setting] = settings[..] {
            assert!(
                (1..=3).contains(&prose.len()),
                "{setting}: {} lines",
                prose.len()
            );
            assert_eq!(paragraph.lines().last(), Some(*setting), "{paragraph}");
            n_explained += 1;
        }
    }
    assert_eq!(n_explained, keys_in_order(&uncommented()).len());
    for line in text.lines() {
        assert!(line.len() <= 100, "{line}");
    }
}

/// The examples in its prose are indented by three.
#[test]
fn has_examples_that_can_be_used() {
    let text = shipped_text();
    let examples: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#   "))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .collect();
    let (_directory, file) = in_a_file(&examples.join("\n"));
    let config = load_file(&file).expect("can be loaded");
    let names: Vec<_> = config.rule.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["backup", "default", "payments"]);
    assert!(config.rule.0["backup"].ignore);
}
