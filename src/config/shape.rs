//! Whether a file has the keys, and the kinds of values, that the configuration has.
//!
//! This is told apart from what serde tells, as a struct of serde's also takes a list for a table,
//! and its words are those of a programmer.

use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::key::Key;
use super::{Config, Fault, Route};

/// The first key of a document that is unknown or has a value of another kind. The caller knows
/// the file, and the line of the offset.
pub(super) fn check(document: &DeTable<'_>) -> Result<(), (Fault, usize)> {
    let known = known();
    let mut misfits = Vec::new();
    walk(document, &known, &Key::default(), &mut misfits);
    match misfits.into_iter().min_by_key(|(_, at)| *at) {
        None => Ok(()),
        Some(((key, message), at)) => Err((
            Fault {
                file: None,
                line: None,
                key: key.to_string(),
                message,
            },
            at,
        )),
    }
}

/// Every key there is, with a value of its kind.
fn known() -> Table {
    let mut pattern = Config::default();
    let route = ("default".to_owned(), Route::default());
    pattern.mail.route.extend([route]);
    Table::try_from(pattern).expect("the defaults have a TOML form")
}

type Misfit = ((Key, String), usize);

fn walk(found: &DeTable<'_>, known: &Table, path: &Key, misfits: &mut Vec<Misfit>) {
    for (name, value) in found {
        let key = path.join(name.get_ref());
        let mut misfit =
            |span: Range<usize>, message| misfits.push(((key.clone(), message), span.start));
        // Rules and routes may have any name, and all have the keys of the default one.
        let pattern = if path.0 == ["rule"] || path.0 == ["mail", "route"] {
            "default"
        } else {
            name.get_ref()
        };
        match (known.get(pattern), value.get_ref()) {
            (None, _) => misfit(name.span(), unknown(known)),
            (Some(Value::Table(known)), DeValue::Table(found)) => walk(found, known, &key, misfits),
            (Some(Value::Table(_)), found) => {
                misfit(
                    value.span(),
                    format!("expected a table, [{key}], found {}", kind(found)),
                );
            }
            (Some(expected), _) => {
                if let Some((stranger, message)) = mismatch(expected, value) {
                    misfit(stranger.span(), message);
                }
            }
        }
    }
}

fn unknown(known: &Table) -> String {
    let names: Vec<_> = known.keys().map(String::as_str).collect();
    match &names[..] {
        [only] => format!("unknown key, expected {only}"),
        [most @ .., last] => format!("unknown key, expected {} or {last}", most.join(", ")),
        [] => "unknown key".to_owned(),
    }
}

/// The value, or the item in it, that is of another kind than the default in its place, and what
/// would be right. All lists are lists of texts.
fn mismatch<'v, 'i>(
    expected: &Value,
    found: &'v Spanned<DeValue<'i>>,
) -> Option<(&'v Spanned<DeValue<'i>>, String)> {
    let (stranger, wanted) = match (expected, found.get_ref()) {
        (Value::String(_), DeValue::String(_))
        | (Value::Boolean(_), DeValue::Boolean(_))
        | (Value::Integer(_), DeValue::Integer(_)) => return None,
        (Value::Array(_), DeValue::Array(items)) => (
            items.iter().find(|item| !item.get_ref().is_str())?,
            "text in quotes".to_owned(),
        ),
        (Value::Array(_), _) => (found, "a list of texts, [\"…\", \"…\"]".to_owned()),
        (Value::String(default), _) if default.is_empty() => (found, "text in quotes".to_owned()),
        (Value::String(default), _) => (found, format!("text in quotes, such as {default:?}")),
        (Value::Boolean(_), _) => (found, "true or false".to_owned()),
        (default, _) => (found, format!("a whole number, such as {default}")),
    };
    Some((
        stranger,
        format!("expected {wanted}, found {}", kind(stranger.get_ref())),
    ))
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time of day",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
