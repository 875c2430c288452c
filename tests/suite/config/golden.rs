//! The cases of `tests/config`: a directory each, with what would be in `/usr/lib`, `/run` and
//! `/etc`, and either `expected.toml`, keys that the effective configuration has, or
//! `expected.error`, what is said instead.

use std::fs;
use std::path::{Path, PathBuf};

use memleakd::config::{Fault, Search, load_file};

use super::flat;

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let entries = fs::read_dir(directory).expect("tests/config is there");
    let mut cases: Vec<_> = entries
        .map(|entry| entry.expect("can be listed").path())
        .collect();
    cases.sort();
    cases
}

/// A fault as its file is seen from within the root.
fn seen_from(root: &Path, fault: &Fault) -> String {
    let file = fault
        .file
        .as_ref()
        .map(|file| file.strip_prefix(root).expect("is in the root").to_owned());
    Fault {
        file,
        ..fault.clone()
    }
    .to_string()
}

/// What is wrong with a case; nothing if it is as expected.
fn check(root: &Path) -> Result<(), String> {
    let found = Search {
        root: root.to_owned(),
    }
    .load();
    let expected = |file| fs::read_to_string(root.join(file)).ok();
    match (expected("expected.toml"), expected("expected.error"), found) {
        (Some(expected), None, Ok(config)) => {
            let expected = flat(&expected.parse().map_err(|error| format!("{error}"))?);
            let effective = flat(&config.to_toml().parse().expect("is TOML"));
            for (key, value) in expected {
                if effective.get(&key) != Some(&value) {
                    let found = effective.get(&key);
                    return Err(format!("{key} should be {value} and is {found:?}"));
                }
            }
            Ok(())
        }
        (None, Some(expected), Err(fault)) => {
            let said = seen_from(root, &fault) + "\n";
            match said == expected {
                true => Ok(()),
                false => Err(format!("should say\n  {expected}and says\n  {said}")),
            }
        }
        (Some(_), None, Err(fault)) => Err(format!("is refused: {fault}")),
        (None, Some(expected), Ok(_)) => Err(format!("is taken, and should say\n  {expected}")),
        _ => Err("needs one of expected.toml and expected.error".to_owned()),
    }
}

#[test]
fn every_case_is_as_expected() {
    let cases = cases();
    assert!(cases.len() > 100, "only {} cases are found", cases.len());
    let failures: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let name = case.file_name().expect("has a name").to_string_lossy();
            check(case).err().map(|failure| format!("{name} {failure}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whatever is in force can be written down in one file.
#[test]
fn every_effective_configuration_reads_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("effective.toml");
    for root in cases() {
        let Ok(config) = Search { root: root.clone() }.load() else {
            continue;
        };
        fs::write(&file, config.to_toml()).expect("can be written");
        assert_eq!(load_file(&file), Ok(config), "{}", root.display());
    }
}

/// All but syntax errors name a key; all but errors of whole files name a line.
#[test]
fn every_fault_is_one_line_and_names_its_place() {
    for root in cases() {
        let Err(fault) = Search { root: root.clone() }.load() else {
            continue;
        };
        let text = fault.to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(fault.file.is_some(), "{text}");
        let is_whole = text.contains("cannot be read");
        assert_eq!(fault.line.is_none(), is_whole, "{text}");
        let is_syntax = ["is not TOML", "second time", "not UTF-8"]
            .iter()
            .any(|words| text.contains(words));
        assert_eq!(fault.key.is_empty(), is_whole || is_syntax, "{text}");
    }
}
