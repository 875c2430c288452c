use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::capture::captured;
use super::{Progress, columns, json};
use crate::alert::{Alert, message};
use crate::bus::Client;
use crate::collect::Host;
use crate::quantity::Span;
use crate::report::{self, Report, StackCapture, flame, folded, is_id, page, pprof, text};
use crate::sample::printable;
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

/// The end of the name of a file that is a page.
const HTML: &str = "html";
/// A process id has fewer digits than an alert's id: the kernel has no more than 4194304 processes.
const MAX_PID_DIGITS: usize = 10;

/// Gives the report of an alert by its id, that of a process, or one in a file, to the terminal or
/// into a file.
///
/// Without a format it is text, and in a file whose name ends in `.html` a page. Of a process, stacks
/// are captured first for a time, if one is given.
pub fn report(
    output: &mut impl Write,
    of: &str,
    format: Option<Format>,
    file: Option<&Path>,
    time: Option<Span>,
) -> Result<()> {
    let is_page = file
        .and_then(Path::extension)
        .is_some_and(|end| end == HTML);
    let format = format.unwrap_or(if is_page { Format::Html } else { Format::Text });
    // A capture shows by itself how far it is.
    let progress = time.is_none().then(|| {
        Progress::begin(|past| {
            let past = Span::from_secs(past.as_secs());
            format!("collecting the report for {past}")
        })
    });
    let mut report = find(of, time)?;
    // A debug file may have come since.
    stacks::name_again(&mut report.sites);
    drop(progress);
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

/// Whoever has named a file on purpose writes its path: `./0123456789ab`, `./812`. Twelve digits are
/// an alert's id, as no process has so many.
fn find(of: &str, time: Option<Span>) -> Result<Report> {
    if is_id(of) {
        ensure!(
            time.is_none(),
            "memleakd captures stacks of alert {of} by itself: --capture is for a process"
        );
        return of_alert(&Client::connect()?, of);
    }
    let is_number =
        (1..=MAX_PID_DIGITS).contains(&of.len()) && of.bytes().all(|c| c.is_ascii_digit());
    if is_number && let Ok(pid) = of.parse() {
        return of_process(&Client::connect()?, pid, time);
    }
    let path = Path::new(of);
    if let Ok(false) = path.try_exists() {
        bail!(
            "{of:?} is neither an alert's id, which has 12 hexadecimal digits, nor a process id, nor a file"
        );
    }
    ensure!(
        time.is_none(),
        "{of:?} is a saved report: --capture is for a process that runs"
    );
    report::read(path, MAX_BYTES)
}

/// The report of an alert, as it stands now if it is open.
fn of_alert(client: &Client, id: &str) -> Result<Report> {
    let kept = client.report(id);
    // One that is over is known by its report alone.
    let Ok(alert) = client.alert(id) else {
        return kept;
    };
    let mut report = kept.unwrap_or_else(|_| Report::of(&alert));
    if report.is_of(&alert) {
        let now = Timestamp::now();
        report.tell(&as_of(alert, now), None);
        report.time = Some(now);
        // One that is not kept is in the alert, coarser.
        report.curve = client.curve(report.pid, report.start_time).ok();
    }
    Ok(report)
}

/// An alert with the words for what it comes to now: its own are of when it last changed.
fn as_of(alert: Alert, now: Timestamp) -> Alert {
    let message = message::sentence(&Alert {
        time: now,
        ..alert.clone()
    });
    Alert { message, ..alert }
}

/// What is known of a process that runs: what its gates find, and the report of its open alert.
fn of_process(client: &Client, pid: u32, time: Option<Span>) -> Result<Report> {
    let captured = time.map(|time| captured(client, pid, time)).transpose()?;
    let explained = client.explain(pid)?;
    let now = Timestamp::now();
    // It may be another one's, or over by now: then there is what was explained.
    let reports = explained.alerts.iter().flat_map(|id| of_alert(client, id));
    let known = reports.into_iter().find(|report| report.pid == pid);
    let age = SignedDuration::try_from_secs_f64(explained.age_secs).ok();
    let mut report = match known {
        Some(mut report) => {
            let mut sources = explained.sources.iter();
            let of_rule = sources.find(|source| source.rule.as_ref() == Some(&report.rule));
            let thresholds = of_rule.and_then(|source| source.thresholds.clone());
            report.thresholds = report.thresholds.or(thresholds);
            report.explained = Some(Box::new(explained));
            report
        }
        None => {
            let host = printable(rustix::system::uname().nodename().to_bytes());
            // A process that may not be looked at has shown itself to memleakd alone.
            let start_time = Host::new("/").start_time_ticks(pid).unwrap_or(0);
            Report::of_process(explained, host, start_time)
        }
    };
    report.time = Some(now);
    report.curve = client.curve(pid, 0).ok();
    report.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    report.started = report
        .started
        .or(age.and_then(|age| now.checked_sub(age).ok()));
    if let Some(captured) = captured {
        report.add(StackCapture {
            time: now,
            secs: captured.secs,
            span_secs: captured.secs,
            method: captured.method,
            sites: captured.sites,
            loss: captured.loss,
        });
    }
    Ok(report)
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
