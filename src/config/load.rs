//! Reads the files, merges them, and tells where a fault lies.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use toml::{Table, Value};

use super::check::Impossible;
use super::key::Key;
use super::{Config, Fault, shape};
use crate::quantity::Bytes;

/// More than this is no configuration, whatever was meant by it.
const MAX_FILE: Bytes = Bytes(1 << 20);

/// Reads one file, which must exist, and no other.
pub fn load_file(path: &Path) -> Result<Config, Fault> {
    load(&[path.to_owned()])
}

/// Reads files and merges them, the later one winning.
pub(super) fn load(paths: &[PathBuf]) -> Result<Config, Fault> {
    let layers = paths
        .iter()
        .map(|path| Layer::read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut table = Table::try_from(Config::default()).expect("the defaults have a TOML form");
    for layer in &layers {
        merge(&mut table, layer.table.clone());
    }
    inherit(&mut table);
    let config: Config = table.try_into().map_err(|error: toml::de::Error| Fault {
        file: None,
        line: None,
        key: String::new(),
        message: error.message().to_owned(),
    })?;
    config
        .check()
        .map_err(|impossible| locate(impossible, &layers))?;
    Ok(config)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    fault(path, None, format!("cannot be read: {error}"))
}

/// One file: its text is kept to find the line of a fault that only shows after merging.
struct Layer {
    path: PathBuf,
    text: String,
    table: Table,
}

impl Layer {
    /// Reads a file and checks it by itself, so that what is wrong in it is told with its line.
    fn read(path: &Path) -> Result<Self, Fault> {
        let text = read(path)?;
        let document = DeTable::parse(&text).map_err(|error| not_toml(path, &text, &error))?;
        shape::check(document.get_ref()).map_err(|(misfit, at)| Fault {
            file: Some(path.to_owned()),
            line: Some(line_of(&text, at)),
            ..misfit
        })?;
        toml::from_str::<Config>(&text)
            .map_err(|error| not_valid(path, &text, document.get_ref(), &error))?;
        let table = text
            .parse()
            .map_err(|error| not_toml(path, &text, &error))?;
        drop(document);
        Ok(Self {
            path: path.to_owned(),
            text,
            table,
        })
    }
}

/// The text of a file, up to [`MAX_FILE`].
fn read(path: &Path) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE.0 + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_FILE.0 {
        return Err(fault(
            path,
            None,
            format!("is larger than {MAX_FILE}, which no configuration is"),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        fault(path, Some(line), "is not UTF-8 text".to_owned())
    })
}

/// Tables merge key by key; everything else is replaced.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Fills in what a rule does not say from `[rule.default]`.
fn inherit(table: &mut Table) {
    let Some(Value::Table(rules)) = table.get_mut("rule") else {
        return;
    };
    let Some(Value::Table(default)) = rules.get("default") else {
        return;
    };
    let mut inherited = default.clone();
    for own in ["match", "ignore", "enabled"] {
        inherited.remove(own);
    }
    for (_, rule) in rules.iter_mut().filter(|(name, _)| *name != "default") {
        let Value::Table(rule) = rule else { continue };
        let said = std::mem::replace(rule, inherited.clone());
        merge(rule, said);
    }
}

/// A text that the grammar does not allow.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().filter(|span| span.end <= text.len());
    let message = match error.message() {
        "duplicate key" => {
            let again = at.clone().and_then(|span| text.get(span));
            format!("{} is there for a second time", again.unwrap_or_default())
        }
        "recursion limit" | "cannot recurse further; max recursion depth met" => {
            "is nested more deeply than any configuration".to_owned()
        }
        words if words.starts_with("string values must be quoted") => {
            "is not TOML: text must be in quotes".to_owned()
        }
        words => format!("is not TOML: {}", words.replace('\n', ", ")),
    };
    fault(path, at.map(|span| line_of(text, span.start)), message)
}

/// A value that its key does not take.
fn not_valid(path: &Path, text: &str, document: &DeTable<'_>, error: &toml::de::Error) -> Fault {
    let at = error.span().map(|span| span.start);
    let key = at
        .and_then(|at| Key::at_offset(document, at))
        .unwrap_or_default();
    // What is left to serde after the check of kinds: the names of choices, and how large numbers may be.
    let message = match error.message() {
        "integer number overflowed" => "no number is that large".to_owned(),
        words if words.ends_with("expected u16") => {
            "expected a whole number from 0 to 65535".to_owned()
        }
        words if words.ends_with("expected u32") => {
            "expected a whole number from 0 to 4294967295".to_owned()
        }
        words => words
            .replace("unknown variant", "unknown value")
            .replace('`', "\"")
            .replace('\n', ", "),
    };
    Fault {
        key: key.to_string(),
        ..fault(path, at.map(|at| line_of(text, at)), message)
    }
}

/// Where what is impossible was set last: the first of its keys that a file has.
fn locate(impossible: Impossible, layers: &[Layer]) -> Fault {
    let Impossible { keys, message } = impossible;
    let place = keys.iter().find_map(|key| {
        layers.iter().rev().find_map(|layer| {
            let document = DeTable::parse(&layer.text).ok()?;
            let at = key.offset_in(document.get_ref())?;
            Some((layer.path.clone(), line_of(&layer.text, at)))
        })
    });
    let (file, line) = place.unzip();
    Fault {
        file,
        line,
        key: keys.first().map(Key::to_string).unwrap_or_default(),
        message,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn fault(path: &Path, line: Option<usize>, message: String) -> Fault {
    Fault {
        file: Some(path.to_owned()),
        line,
        key: String::new(),
        message,
    }
}
