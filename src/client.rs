//! What `memleakctl` prints: the daemon's answers as tables for people and as JSON for scripts.

mod capture;
mod demo_leak;
mod doctor;
mod explain;
mod following;
mod measured;
mod progress;
mod record;
mod reload;
mod report;
mod silences;
mod table;
mod top;

pub use capture::{capture, capture_time};
pub use demo_leak::{DemoLeak, demo_leak, demo_rate, leak_on_purpose, memleakd_demo_leak};
pub use doctor::{Answers, Asked, Finding, Machine, Outcome, Unit, doctor};
pub use explain::{Marks, explain, gates};
pub use following::follow;
pub use progress::Progress;
pub use record::{Wanted, record, record_interval};
pub use reload::reload;
pub use report::{Format, report};
pub use silences::{Silenced, silence, silence_time, silences};
pub use top::{Listed, Renewal, keys, top};

use std::fmt;
use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::alert::{Alert, State, message};
use crate::bus::Status;
use crate::quantity::{Bytes, Rate, Span, count};
use table::Table;

/// Prints anything as JSON, indented.
pub fn json(output: &mut impl Write, thing: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(thing).context("writing JSON")?;
    writeln!(output, "{text}").context("writing")
}

/// Prints the daemon's figures.
pub fn status(output: &mut impl Write, status: &Status) -> Result<()> {
    let mut text = format!("memleakd {} is running\n", status.version);
    text += &figure("watching", count(status.processes, "process", "processes"));
    text += &figure("suspects", status.suspects.to_string());
    text += &figure("measuring", count(status.measured, "heap", "heaps"));
    text += &figure(
        "alerts",
        format!(
            "{} open, {} of them critical",
            status.alerts, status.critical
        ),
    );
    let interval = Span::from_secs_f64(status.interval_secs);
    let round_millis = status.round_secs * 1000.0;
    text += &figure(
        "scan",
        format!("every {interval}, the last one took {round_millis:.1} ms"),
    );
    for (label, count, meaning) in [
        (
            "stale",
            status.stale,
            "of these are stale: nothing is seen of their processes any more",
        ),
        (
            "held back",
            status.held_back,
            "changes wait for their mail or hook, as alert.group_wait or alert.max_per_hour asks",
        ),
        (
            "undelivered",
            status.undelivered,
            "changes wait for a sink that does not work: see the log",
        ),
        (
            "dropped",
            status.dropped,
            "changes were given up, as too many waited",
        ),
    ] {
        if count > 0 {
            text += &figure(label, format!("{count} {meaning}"));
        }
    }
    output.write_all(text.as_bytes()).context("writing")
}

/// Prints the open alerts as a table, and how many processes may become one.
pub fn alerts(
    output: &mut impl Write,
    alerts: &[Alert],
    status: &Status,
    columns: usize,
) -> Result<()> {
    let pending = match status.suspects {
        0 => String::new(),
        n => format!(
            "{} like a leak, but may not have done so for long enough: see \"memleakctl top\"\n",
            count(n, "process grows", "processes grow")
        ),
    };
    if alerts.is_empty() {
        return write!(output, "no open alerts\n{pending}").context("writing");
    }
    let mut table = Table::new(&[
        "ALERT",
        "SEVERITY",
        "PID",
        ">SIZE",
        ">GROWTH",
        ">AT LEAST",
        ">TIME LEFT",
        "PROCESS",
    ]);
    for alert in alerts {
        let left = alert
            .exhausts_in_secs
            .filter(|_| alert.state == State::Firing)
            .map(|secs| Span::from_secs(secs).to_string());
        let place = alert
            .user_unit
            .as_ref()
            .or(alert.unit.as_ref())
            .or(alert.container.as_ref());
        table.row([
            alert.id.clone(),
            severity(alert),
            alert.pid.to_string(),
            Bytes(alert.bytes).to_string(),
            Rate::from_bytes_per_sec(alert.growth_bytes_per_sec).to_string(),
            Rate::from_bytes_per_sec(alert.growth_bytes_per_sec_low).to_string(),
            left.unwrap_or_else(|| "-".to_owned()),
            place.map_or_else(
                || alert.comm.clone(),
                |place| format!("{} ({place})", alert.comm),
            ),
        ]);
    }
    let text = table.render(columns) + &pending;
    output.write_all(text.as_bytes()).context("writing")
}

/// How bad it is, and whether anybody is told.
fn severity(alert: &Alert) -> String {
    let marks = [
        (alert.state == State::Stale, "stale"),
        (alert.acknowledged.is_some(), "acknowledged"),
        (alert.silenced_until.is_some(), "silenced"),
        (alert.inhibited_by.is_some(), "inhibited"),
    ];
    let marks = marks.into_iter().filter(|(is, _)| *is);
    let marks: Vec<_> = marks.map(|(_, mark)| mark).collect();
    match marks.is_empty() {
        true => alert.severity.to_string(),
        false => format!("{} ({})", alert.severity, marks.join(", ")),
    }
}

/// Prints one alert in full.
pub fn alert(output: &mut impl Write, alert: &Alert) -> Result<()> {
    write!(
        output,
        "{}: {}\n{}",
        alert.severity,
        alert.message,
        message::text(alert)
    )
    .context("writing")
}

fn figure(label: &str, value: impl fmt::Display) -> String {
    format!("{label:<12} {value}\n")
}

/// How wide the terminal is; endless if it is none.
pub fn columns() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => usize::MAX,
    }
}
