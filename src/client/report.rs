use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use jiff::tz::TimeZone;

use super::{columns, json};
use crate::bus::Client;
use crate::report::{self, Report, flame, folded, is_id, page, pprof, text};
use crate::stacks;

/// The largest file that is read: the daemon's have 1 MiB, and indented they are larger.
const MAX_BYTES: u64 = 16 << 20;

/// How a report is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// Folded stacks, for flamegraph.pl, inferno and speedscope.
    Folded,
    /// A gzipped profile, for go tool pprof.
    Pprof,
    /// A page for a browser, which needs nothing beside it.
    Html,
    /// A flame graph alone, for a browser.
    Svg,
    /// All that is known, which this command reads again, also on another machine.
    Json,
}

/// Gives the report of an alert, by its id, or one in a file, to the terminal or into a file.
pub fn report(
    output: &mut impl Write,
    of: &str,
    format: Format,
    file: Option<&Path>,
) -> Result<()> {
    let mut report = find(of)?;
    // A debug file may have come since.
    stacks::name_again(&mut report.sites);
    let is_terminal = file.is_none() && stdout().is_terminal();
    ensure!(
        format != Format::Pprof || !is_terminal,
        "a profile for pprof is not for a terminal: write it to a file with --output FILE"
    );
    let width = if is_terminal { columns() } else { usize::MAX };
    let bytes = bytes(&report, format, width)?;
    match file {
        Some(file) => fs::write(file, bytes).with_context(|| format!("writing {}", file.display())),
        None => output.write_all(&bytes).context("writing"),
    }
}

/// Whoever has named a file on purpose writes its path: `./0123456789ab`.
fn find(of: &str) -> Result<Report> {
    if is_id(of) {
        return Client::connect()?.report(of);
    }
    let path = Path::new(of);
    if let Ok(false) = path.try_exists() {
        bail!("{of:?} is neither an alert's id, which has 12 hexadecimal digits, nor a file");
    }
    report::read(path, MAX_BYTES)
}

fn bytes(report: &Report, format: Format, width: usize) -> Result<Vec<u8>> {
    Ok(match format {
        Format::Text => text::text(report, width).into_bytes(),
        Format::Folded => folded::folded(report).into_bytes(),
        Format::Pprof => pprof::pprof(report),
        Format::Html => page::page(report, &TimeZone::system()).into_bytes(),
        Format::Svg => flame::svg(report)?.into_bytes(),
        Format::Json => {
            let mut bytes = Vec::new();
            json(&mut bytes, report)?;
            bytes
        }
    })
}
