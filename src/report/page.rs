//! A report as a page for a browser: one file that needs no network, and no script to be read.
//!
//! All that comes from outside is text (see `html::Writer`); the policy in its head lets a browser load
//! nothing, and run nothing but the script that is shipped.

mod chart;
mod facts;
mod figure;
mod flame;
mod scale;
mod sites;
mod times;
mod trend;

use jiff::tz::TimeZone;

use super::{Report, text};
use crate::alert::Alert;
use crate::bus;
use crate::config::Severity;
use crate::html::Writer;
use crate::mail::{Step, Tone, steps};
use crate::sample::Source;
use times::Times;

/// What it looks like.
const STYLE: &str = include_str!("page/style.css");
/// What makes the flame graph zoom and search. No name is in it.
const SCRIPT: &str = include_str!("page/script.js");
/// The digests of both as a policy names them. A test holds them.
const STYLE_DIGEST: &str = "sha256-g91JJ9lDj9Qg+WbJCk/Cqd4gtMCmRPKy50lUHH7FRYM=";
const SCRIPT_DIGEST: &str = "sha256-1S/ySW3bPkEP5KMA/w5s8T7yjPvDAFImFotL5PBRDzs=";

/// The whole page. Times are told in the given zone, and in UTC where somebody points at them.
pub fn page(report: &Report, zone: &TimeZone) -> String {
    let times = Times { zone };
    let mut writer = Writer::default();
    writer.raw("<!DOCTYPE html>\n");
    writer.within("html", &[("lang", "en")], |writer| {
        writer.within("head", &[], |writer| head(writer, report));
        writer.raw("\n");
        writer.within("body", &[], |writer| body(writer, report, &times));
    });
    writer.raw("\n");
    writer.finish()
}

fn head(writer: &mut Writer, report: &Report) {
    let policy = format!(
        "default-src 'none'; style-src '{STYLE_DIGEST}'; script-src '{SCRIPT_DIGEST}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    );
    writer.empty("meta", &[("charset", "utf-8")]);
    writer.raw("\n");
    let name = ("http-equiv", "Content-Security-Policy");
    writer.empty("meta", &[name, ("content", &policy)]);
    writer.raw("\n");
    let width = "width=device-width, initial-scale=1";
    writer.empty("meta", &[("name", "viewport"), ("content", width)]);
    writer.empty(
        "meta",
        &[("name", "color-scheme"), ("content", "light dark")],
    );
    writer.empty("meta", &[("name", "referrer"), ("content", "no-referrer")]);
    // Nobody is asked for one.
    writer.empty("link", &[("rel", "icon"), ("href", "data:,")]);
    let title = format!(
        "{} (pid {}) on {}: memleakd",
        report.comm, report.pid, report.host
    );
    writer.element("title", &[], &title);
    writer.raw("\n<style>");
    writer.raw(STYLE);
    writer.raw("</style>");
}

fn body(writer: &mut Writer, report: &Report, times: &Times<'_>) {
    writer.within("main", &[], |writer| {
        writer.within("header", &[], |writer| header(writer, report, times));
        trend::write(writer, report, times);
        section(writer, "next", "What to do next", |writer| {
            write_steps(writer, &next(report));
        });
        section(writer, "memory", "Where the memory is", |writer| {
            let conclusion = sentence_of(&text::conclusion(report));
            writer.element("p", &[("class", "lead")], &conclusion);
            flame::write(writer, report);
        });
        sites::write(writer, report, times);
        facts::write(writer, report, times);
    });
    writer.within("footer", &[], |writer| {
        let version = report.version.as_deref();
        let version = version.unwrap_or(env!("CARGO_PKG_VERSION"));
        writer.text(&format!(
            "memleakd {version}. This file is complete: it loads nothing and sends nothing."
        ));
    });
    writer.raw("\n<script>");
    writer.raw(SCRIPT);
    writer.raw("</script>");
}

/// How bad it is, what has happened, and the figures that are asked for first.
fn header(writer: &mut Writer, report: &Report, times: &Times<'_>) {
    let (class, word) = match report.alert.as_deref().map(Tone::of) {
        Some(Tone::Critical) => ("tone critical", "critical"),
        Some(Tone::Warning) => ("tone warning", "warning"),
        Some(Tone::Unknown) => ("tone unknown", "not seen any more"),
        Some(Tone::Cleared) => ("tone cleared", "cleared"),
        None => ("tone unknown", "no alert"),
    };
    writer.within("p", &[("class", "state")], |writer| {
        writer.element("strong", &[("class", class)], word);
        if let Some(alert) = report.alert.as_deref() {
            if class == "tone cleared" && alert.severity == Severity::Critical {
                writer.text(" was critical");
            }
            writer.text(" raised ");
            times.write(writer, alert.raised);
            writer.text(", as of ");
            times.write(writer, report.time.unwrap_or(alert.time));
        } else if let Some(time) = report.time {
            writer.text(" as of ");
            times.write(writer, time);
        }
        writer.text(" on ");
        writer.element("b", &[], &report.host);
    });
    writer.element("h1", &[], &sentence(report));
    figure::write(writer, report);
}

/// What has happened, or is to be feared.
fn sentence(report: &Report) -> String {
    if let Some(alert) = &report.alert
        && !alert.message.is_empty()
    {
        return sentence_of(&alert.message);
    }
    if let Some(explained) = &report.explained
        && let Some(source) = explained.sources.first()
    {
        return sentence_of(&bus::sentence(explained, source));
    }
    let what = match report.source {
        Source::Pages | Source::Heap => "memory",
        Source::Kernel => "kernel memory",
    };
    sentence_of(&format!(
        "{} (pid {}) leaks {what}, as rule {} has found",
        report.comm, report.pid, report.rule
    ))
}

/// With the end of a sentence. What begins with a small letter may be a name, and stays so.
fn sentence_of(text: &str) -> String {
    match text.ends_with(['.', '…']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

/// What can be done: of an alert what its mail says, but to ask for its report.
fn next(report: &Report) -> Vec<Step> {
    if let Some(alert) = &report.alert {
        let is_for_report = |command: &String| command.starts_with("memleakctl report");
        let mut steps = steps(&Alert {
            sites: report.sites.first().cloned().into_iter().collect(),
            ..(**alert).clone()
        });
        steps.retain(|step| !step.commands.iter().any(is_for_report));
        return steps;
    }
    let pid = report.pid;
    let step = |what, command| Step {
        what,
        commands: vec![command],
    };
    let mut steps = vec![step(
        "See what each condition of a leak finds, as it is now:",
        format!("memleakctl explain {pid}"),
    )];
    if report.sites.is_empty() {
        steps.push(step(
            "See where what it keeps is allocated:",
            format!("memleakctl report {pid} --capture 1min --output report.html"),
        ));
    }
    steps
}

fn write_steps(writer: &mut Writer, steps: &[Step]) {
    writer.within("dl", &[("class", "steps")], |writer| {
        for step in steps {
            writer.element("dt", &[], step.what);
            writer.within("dd", &[], |writer| {
                for command in &step.commands {
                    writer.element("code", &[], command);
                }
            });
        }
    });
}

/// A part with its heading.
fn section(writer: &mut Writer, id: &'static str, heading: &str, write: impl FnOnce(&mut Writer)) {
    writer.raw("\n");
    let label = format!("{id}-heading");
    writer.within("section", &[("aria-labelledby", &label)], |writer| {
        writer.element("h2", &[("id", &label)], heading);
        write(writer);
    });
}

#[cfg(test)]
mod tests;
