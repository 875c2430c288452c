//! Configuration: which files are read, what they add up to, and what is said of a bad one.

mod golden;
mod hostile;
mod programs;
mod shipped;

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Every value by its dotted key.
fn flat(table: &Table) -> BTreeMap<String, Value> {
    let mut flattened = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                let inner = flat(inner).into_iter();
                flattened.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => {
                flattened.insert(key.clone(), value.clone());
            }
        }
    }
    flattened
}
