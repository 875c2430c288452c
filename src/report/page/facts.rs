//! Why it is taken for a leak, what is known of the process, what was configured, and what could not
//! be seen.

use std::collections::BTreeMap;

use super::section;
use super::times::Times;
use crate::alert::Check;
use crate::alert::message::{attention, peers, shortage};
use crate::html::Writer;
use crate::quantity::{Bytes, count};
use crate::report::Report;

/// Writes these parts.
pub(super) fn write(writer: &mut Writer, report: &Report, times: &Times<'_>) {
    gates(writer, report);
    writer.within("div", &[("class", "pair")], |writer| {
        section(writer, "process", "Process", |writer| {
            writer.within("dl", &[("class", "facts")], |writer| {
                process(writer, report, times);
            });
        });
        configuration(writer, report);
    });
    losses(writer, report);
}

/// The gates that it has passed, or of a process that somebody asks about those of the best lane.
fn gates(writer: &mut Writer, report: &Report) {
    let explained = report.explained.as_ref();
    let looks = explained
        .into_iter()
        .flat_map(|explained| &explained.sources);
    let look = looks
        .filter_map(|source| source.explanation.as_ref()?.best())
        .next();
    let (heading, checks) = match (&report.alert, look) {
        (Some(alert), _) if !alert.gates.is_empty() => ("Why it is taken for a leak", &alert.gates),
        (_, Some(look)) => ("What the gates find", &look.gates),
        _ => return,
    };
    section(writer, "gates", heading, |writer| {
        writer.within("table", &[("class", "gates")], |writer| {
            writer.within("thead", &[], |writer| {
                writer.within("tr", &[], |writer| {
                    for (heading, class) in [
                        ("", ""),
                        ("Gate", ""),
                        ("Found", "number"),
                        ("Asked", "number"),
                        ("Meaning", "wide"),
                    ] {
                        let attributes = [("scope", "col"), ("class", class)];
                        match heading.is_empty() {
                            true => writer.element("td", &[], ""),
                            false => writer.element("th", &attributes, heading),
                        }
                    }
                });
            });
            writer.within("tbody", &[], |writer| {
                for check in checks {
                    writer.within("tr", &[], |writer| gate(writer, check));
                }
            });
        });
    });
}

fn gate(writer: &mut Writer, check: &Check) {
    let (class, sign, words) = match check.passes() {
        true => ("passes", "✓", "passes"),
        false => ("fails", "✗", "does not pass"),
    };
    writer.within("td", &[("class", class)], |writer| {
        writer.element("span", &[("role", "img"), ("aria-label", words)], sign);
    });
    writer.element("th", &[("scope", "row")], &check.gate.to_string());
    writer.element("td", &[("class", "number")], &check.found());
    writer.element("td", &[("class", "number")], &check.asked());
    writer.element("td", &[("class", "wide")], check.gate.meaning());
}

fn process(writer: &mut Writer, report: &Report, times: &Times<'_>) {
    let alert = report.alert.as_deref();
    fact(writer, "Host", &report.host);
    let more = match alert.map_or(1, |alert| alert.processes) {
        0 | 1 => String::new(),
        n => format!(", the fastest of {n} that leak"),
    };
    fact(
        writer,
        "Process",
        &format!("{} (pid {}){more}", report.comm, report.pid),
    );
    if let Some(started) = report.started {
        moment(writer, "Started", times, started);
    }
    for (label, value) in [
        ("Executable", &report.exe),
        ("Unit", &report.unit),
        ("User unit", &report.user_unit),
        ("Container", &report.container),
    ] {
        if let Some(value) = value {
            fact(writer, label, value);
        }
    }
    let uid = alert.map_or(report.uid, |alert| alert.uid);
    let user = alert.and_then(|alert| alert.user.as_ref());
    fact(
        writer,
        "User",
        &user.map_or_else(|| uid.to_string(), |user| format!("{user} ({uid})")),
    );
    let explained = report.explained.as_deref();
    let cgroup = alert
        .map(|alert| alert.cgroup.as_str())
        .filter(|cgroup| !cgroup.is_empty());
    let limit = match (alert, explained) {
        (Some(alert), _) => alert.limit_bytes.zip(alert.limit_kind),
        (None, Some(explained)) => explained.limit_bytes.zip(explained.limit_kind),
        (None, None) => None,
    };
    let limit = limit.map(|(bytes, kind)| format!("{} ({kind})", Bytes(bytes)));
    let heap = alert.and_then(|alert| alert.heap_method.clone());
    let heap = heap.or(explained.and_then(|explained| explained.heap_method.clone()));
    for (label, value) in [
        ("Cgroup", cgroup.map(str::to_owned)),
        ("Nearest limit", limit),
        ("Workers", alert.and_then(peers)),
        ("Heap", heap),
        ("Host memory", alert.and_then(shortage)),
        ("Attention", alert.and_then(attention)),
    ] {
        if let Some(value) = value {
            fact(writer, label, &value);
        }
    }
    if let Some(alert) = alert {
        moment(writer, "Grows since", times, alert.since);
        if let Some(unseen) = alert.unseen_since {
            moment(writer, "Not seen since", times, unseen);
        }
        moment(writer, "Last change", times, alert.time);
    }
    if !report.id.is_empty() {
        fact(writer, "Alert", &report.id);
    }
}

fn fact(writer: &mut Writer, label: &str, value: &str) {
    writer.element("dt", &[], label);
    writer.element("dd", &[], value);
}

fn moment(writer: &mut Writer, label: &str, times: &Times<'_>, time: jiff::Timestamp) {
    writer.element("dt", &[], label);
    writer.within("dd", &[], |writer| times.write(writer, time));
}

fn configuration(writer: &mut Writer, report: &Report) {
    if report.rule.is_empty() {
        return;
    }
    section(
        writer,
        "rule",
        "Configuration that fired",
        |writer| match toml(report) {
            Some(text) => {
                // Who cannot point scrolls it by keys.
                let attributes = [("tabindex", "0"), ("role", "group"), ("aria-label", "TOML")];
                writer.within("pre", &attributes, |writer| {
                    writer.element("code", &[], text.trim_end());
                });
            }
            // What a rule says is only known to who had it in force.
            None => writer.element("p", &[], &format!("Rule {}.", report.rule)),
        },
    );
}

/// The rule as the configuration writes it, without what it does not ask.
fn toml(report: &Report) -> Option<String> {
    let mut rule = toml::Table::try_from(report.thresholds.as_ref()?).ok()?;
    if let Some(toml::Value::Table(matching)) = rule.get_mut("match") {
        matching.retain(|_, patterns| patterns.as_array().is_none_or(|list| !list.is_empty()));
    }
    let named = BTreeMap::from([(report.rule.as_str(), rule)]);
    toml::to_string(&BTreeMap::from([("rule", named)])).ok()
}

fn losses(writer: &mut Writer, report: &Report) {
    let alert = report.alert.iter().flat_map(|alert| &alert.loss);
    let missing = report
        .alert
        .iter()
        .filter_map(|alert| alert.sites_missing.as_ref());
    let heap = report.explained.iter().flat_map(|explained| {
        let losses = explained.heap_loss.iter();
        losses.map(|loss| match explained.heap_bytes_per_sec {
            Some(_) => loss.clone(),
            None => format!("its heap is not measured: {loss}"),
        })
    });
    let captures = report.captures.iter().flat_map(|capture| &capture.loss);
    let mut seen: Vec<(String, usize)> = Vec::new();
    let all = alert.chain(missing).chain(captures).cloned().chain(heap);
    let left_out = report.loss.iter().map(|loss| format!("left out: {loss}"));
    for loss in all.chain(left_out) {
        match seen.iter_mut().find(|(text, _)| *text == loss) {
            Some((_, n)) => *n += 1,
            None => seen.push((loss, 1)),
        }
    }
    section(writer, "loss", "What could not be seen", |writer| {
        if seen.is_empty() {
            writer.element("p", &[], "Nothing is known to be missing.");
            return;
        }
        writer.within("ul", &[], |writer| {
            for (text, n) in seen {
                let times = match n {
                    1 => String::new(),
                    n => format!(" ({})", count(n, "time", "times")),
                };
                writer.element("li", &[], &format!("{text}{times}"));
            }
        });
    });
}
