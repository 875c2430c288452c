//! packaging/debian/copyright against the crates that cargo links into the programs.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::{TOP, read};

const WHAT_TO_DO: &str = "run `make copyright`, and look at what it has changed";

#[test]
fn every_crate_that_is_linked_has_its_licence() {
    let text = read("packaging/debian/copyright");
    let mut licences = BTreeMap::new();
    for stanza in text
        .split("\n\n")
        .filter(|stanza| stanza.starts_with("Files: "))
    {
        let licence = stanza
            .lines()
            .find_map(|line| line.strip_prefix("License: "));
        let files = stanza.split("\nCopyright:").next().expect("the first part");
        for file in files.split_whitespace().skip(1) {
            licences.insert(file, licence.expect(stanza));
        }
    }
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let crates = linked(target);
        assert!(crates.len() > 100, "{target}: {crates:?}");
        for (name, expression) in crates {
            let licence = licences.get(&*format!("vendor/{name}/*"));
            let licence = licence.unwrap_or_else(|| panic!("{name} is missing: {WHAT_TO_DO}"));
            let found = words(&licence.replace("with LLVM exception", "LLVM-exception"));
            assert_eq!(
                found,
                words(&in_debians_names(&expression)),
                "{name}: {WHAT_TO_DO}"
            );
        }
    }
}

#[test]
fn every_licence_has_its_text() {
    let text = read("packaging/debian/copyright");
    let (with_text, without): (Vec<_>, Vec<_>) = text
        .split("\n\n")
        .filter_map(|stanza| stanza.split_once("License: "))
        .partition(|(before, _)| before.is_empty());
    let named: BTreeSet<&str> = without
        .iter()
        .flat_map(|(_, licence)| licence.lines().next().expect("a name").split(" or "))
        .flat_map(|part| part.trim_end_matches(',').split(" and "))
        .map(|name| name.trim_end_matches(','))
        .collect();
    let explained: BTreeMap<&str, &str> = with_text
        .iter()
        .map(|(_, licence)| licence.split_once('\n').expect("a name and a text"))
        .collect();
    assert_eq!(explained.keys().copied().collect::<BTreeSet<_>>(), named);
    for (name, text) in explained {
        // Debian has some on every system, and the shortest of the others has three lines.
        let is_common = text.contains(" /usr/share/common-licenses/");
        assert!(is_common || text.len() > 150, "{name}: {text}");
    }
}

/// The crates whose code is in the programs, with their licences. cargo tree knows which features are
/// on, which its metadata do not.
fn linked(target: &str) -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--target", target, "--prefix", "none"])
        .args(["--edges", "normal,no-proc-macro", "--format", "{p}\t{l}"])
        .current_dir(TOP)
        .output()
        .expect("cargo runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    assert!(output.status.success(), "{}", text(output.stderr));
    text(output.stdout)
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('\t'))
        .map(|(package, licence)| {
            let name = package.split(' ').next().expect("a name");
            (name.to_owned(), licence.to_owned())
        })
        .filter(|(name, _)| name != "memleakd")
        .collect()
}

fn in_debians_names(expression: &str) -> String {
    expression
        .replace("MIT", "Expat")
        .replace("-Clause", "-clause")
        .replace("-only", "")
        .replace(['/', '(', ')'], " ")
        .replace(" WITH ", " ")
}

/// An expression without what joins its parts.
fn words(expression: &str) -> BTreeSet<String> {
    expression
        .split(|letter: char| letter.is_whitespace() || letter == ',')
        .filter(|word| !["", "or", "OR", "and", "AND"].contains(word))
        .map(str::to_owned)
        .collect()
}
