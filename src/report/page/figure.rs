//! The figures that are asked for first, in a row.

use jiff::Timestamp;

use super::trend::is_gone;
use crate::alert::message::{cause, forecast};
use crate::alert::{Alert, State};
use crate::html::Writer;
use crate::quantity::{Bytes, Rate, Span, signed};
use crate::report::Report;
use crate::sample::Source;

/// Writes them, as far as they are known.
pub(super) fn write(writer: &mut Writer, report: &Report) {
    let figures = match (&report.alert, &report.explained) {
        (Some(alert), _) => of_alert(alert, report.time.unwrap_or(alert.time)),
        (None, Some(explained)) => {
            let mut figures = Vec::new();
            for source in &explained.sources {
                let label = match source.source {
                    Source::Pages => "holds",
                    Source::Heap => "net heap",
                    Source::Kernel => "kernel memory",
                };
                figures.push((label, Bytes(source.bytes).to_string(), String::new()));
            }
            figures.push((
                "age",
                Span::from_secs_f64(explained.age_secs).to_string(),
                String::new(),
            ));
            figures
        }
        (None, None) => return,
    };
    writer.within("dl", &[("class", "figures")], |writer| {
        for (label, value, more) in figures {
            writer.within("div", &[], |writer| {
                writer.element("dt", &[], label);
                writer.within("dd", &[], |writer| {
                    writer.element("b", &[], &value);
                    if !more.is_empty() {
                        writer.text(" ");
                        writer.element("small", &[], &more);
                    }
                });
            });
        }
    });
    let kind = report
        .alert
        .as_ref()
        .map_or(report.cause, |alert| alert.cause);
    if let Some(cause) = cause(kind) {
        writer.element("p", &[("class", "cause")], &format!("Cause: {cause}."));
    }
}

fn of_alert(alert: &Alert, now: Timestamp) -> Vec<(&'static str, String, String)> {
    let rate = |bytes_per_sec| Rate::from_bytes_per_sec(bytes_per_sec).to_string();
    let secs = now.duration_since(alert.since).as_secs_f64();
    let mut figures = Vec::new();
    if alert.state == State::Firing {
        let low = format!("at least {}", rate(alert.growth_bytes_per_sec_low));
        figures.push(("grows by", rate(alert.growth_bytes_per_sec), low));
    }
    let span = format!("in {}", Span::from_secs_f64(secs));
    figures.push(("has gained", Bytes(alert.growth_bytes).to_string(), span));
    let holds = if is_gone(alert) { "held" } else { "holds" };
    figures.push((holds, Bytes(alert.bytes).to_string(), String::new()));
    if let Some(heap) = alert
        .heap_bytes_per_sec
        .filter(|_| alert.state == State::Firing)
    {
        figures.push(("net heap grows by", signed::rate(heap), String::new()));
    }
    if let Some(left) = forecast(alert).filter(|_| alert.state == State::Firing) {
        let limit = alert
            .limit_bytes
            .map(|limit| format!("to {}", Bytes(limit)));
        figures.push(("time left", left, limit.unwrap_or_default()));
    }
    figures
}
