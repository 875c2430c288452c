//! What is known of the process that is explained, by labels.

use crate::alert::message::cause;
use crate::bus::Explained;
use crate::config::Rule;
use crate::quantity::{Bytes, Span, signed};
use crate::sample::Source;

/// What is known of the process, by labels.
pub(super) fn facts(explained: &Explained) -> Vec<(&'static str, String)> {
    let age = Span::from_secs_f64(explained.age_secs);
    let process = format!("{} (pid {}), {age} old", explained.comm, explained.pid);
    let mut facts = vec![("process", process)];
    for (label, name) in [
        ("executable", &explained.exe),
        ("unit", &explained.unit),
        ("user unit", &explained.user_unit),
        ("container", &explained.container),
    ] {
        facts.extend(name.clone().map(|name| (label, name)));
    }
    for source in &explained.sources {
        let label = match source.source {
            Source::Pages => "size",
            Source::Heap => "net heap",
            Source::Kernel => "kernel",
        };
        facts.push((label, Bytes(source.bytes).to_string()));
        if let (Some(name), Some(thresholds)) = (&source.rule, &source.thresholds) {
            facts.push(("rule", rule(name, thresholds)));
        }
    }
    facts.extend(limit(explained).map(|limit| ("limit", limit)));
    facts.extend(past(explained).map(|past| ("past", past)));
    if let Some(rate) = explained.heap_bytes_per_sec {
        let method = explained.heap_method.as_deref().unwrap_or("unknown");
        let rate = signed::rate(rate);
        facts.push(("heap", format!("net growth of {rate} ({method})")));
    }
    let label = match explained.heap_bytes_per_sec {
        Some(_) => "not seen",
        None => "heap",
    };
    let of_heap = explained.heap_loss.iter().map(|why| match label {
        "heap" => (label, format!("not measured: {why}")),
        _ => (label, why.clone()),
    });
    facts.extend(of_heap);
    let causes = explained
        .sources
        .iter()
        .filter_map(|source| cause(source.cause));
    facts.extend(causes.map(|cause| ("cause", cause.to_owned())));
    let alerts = explained.alerts.iter();
    facts.extend(alerts.map(|id| ("alert", format!("{id} is open"))));
    facts
}

/// What a rule says, in the words of the configuration.
fn rule(name: &str, rule: &Rule) -> String {
    match rule.ignore {
        true => format!("{name}: ignore"),
        false => format!(
            "{name}: growth {:#}, min_growth {:#}, sustained {}, warm_up {:#}",
            rule.growth, rule.min_growth, rule.sustained, rule.warm_up
        ),
    }
}

fn limit(explained: &Explained) -> Option<String> {
    let (kind, limit) = (explained.limit_kind?, Bytes(explained.limit_bytes?));
    let left = Bytes(explained.headroom_bytes?);
    let mut sources = explained.sources.iter();
    let at = sources
        .find_map(|source| source.exhausts_in_secs)
        .map(|secs| format!(", used up in {} at this rate", Span::from_secs(secs)));
    Some(format!(
        "{kind} ({limit}): {left} left{}",
        at.unwrap_or_default()
    ))
}

/// What the program did before, and what that means.
fn past(explained: &Explained) -> Option<String> {
    let mut past = Vec::new();
    if let Some(bytes) = explained.plateau_bytes {
        let after = explained.plateau_after_secs.map(Span::from_secs_f64);
        let after = after.map(|after| format!(", {after} after its start"));
        let bytes = Bytes(bytes);
        past.push(format!(
            "has levelled off at {bytes} before{}",
            after.unwrap_or_default()
        ));
    }
    if explained.leaked_before {
        past.push("has leaked before".to_owned());
    }
    let patience = explained
        .sources
        .first()
        .map_or(1.0, |source| source.patience);
    if patience != 1.0 {
        past.push(format!("growth must last {patience} times as long"));
    }
    (!past.is_empty()).then(|| past.join("; "))
}
