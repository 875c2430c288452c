//! Reading a report that may come from anywhere.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use super::Report;
use crate::quantity::Bytes;
use crate::sample::printable;

/// Reads a file of at most so many bytes. Errors name the file.
pub fn read(path: &Path, max_bytes: u64) -> Result<Report> {
    let reading = || format!("reading {}", path.display());
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(max_bytes.saturating_add(1))
                .read_to_end(&mut text)
        })
        .with_context(reading)?;
    if text.len() as u64 > max_bytes {
        bail!(
            "{} is no report: it has more than {}",
            path.display(),
            Bytes(max_bytes)
        );
    }
    parse(&text).with_context(reading)
}

/// Reads a report's JSON. Whoever wrote it, names are harmless afterwards.
pub fn parse(text: &[u8]) -> Result<Report> {
    let json: Json = serde_json::from_slice(text).context("this is no JSON, and no report")?;
    serde_json::from_value(harmless(json))
        .context("this is no report as \"memleakctl report --format json\" writes it")
}

fn harmless(json: Json) -> Json {
    match json {
        Json::String(text) => Json::String(printable(text.as_bytes())),
        Json::Array(items) => Json::Array(items.into_iter().map(harmless).collect()),
        Json::Object(fields) => {
            let fields = fields.into_iter().map(|(key, item)| (key, harmless(item)));
            Json::Object(fields.collect())
        }
        other => other,
    }
}
