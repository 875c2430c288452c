//! The verdict on a process in one sentence, and what would change it.

use super::{Explained, ExplainedSource};
use crate::config::Sustained;
use crate::detect::{Bound, Check, Gate, Lane, Look, Verdict};
use crate::quantity::{Span, signed};
use crate::sample::Source;

/// What takes longer than a month says no more than that it is far.
const MOST_SECS: f64 = 30.0 * 86400.0;
/// The same of what would have to be faster.
const MOST_TIMES: f64 = 1000.0;

/// What it comes to, and what would have to happen for another verdict.
pub fn sentence(explained: &Explained, source: &ExplainedSource) -> String {
    let what = match source.source {
        Source::Pages => "",
        Source::Heap => "the heap of ",
        Source::Kernel => "the kernel memory of ",
    };
    let who = format!("{what}{} (pid {})", explained.comm, explained.pid);
    let (Some(rule), Some(thresholds)) = (&source.rule, &source.thresholds) else {
        return format!("not watched: no rule matches {who}");
    };
    let Some((explanation, look)) = source
        .explanation
        .as_ref()
        .and_then(|explanation| Some((explanation, explanation.best()?)))
    else {
        return format!("ignored: rule {rule} says that {who} is to be left alone");
    };
    let since = Span::from_secs_f64(look.window_secs.unwrap_or_default());
    let rate = signed::rate(look.growth_bytes_per_sec.unwrap_or_default());
    let mut sentence = match (explanation.verdict, look.failed()) {
        (Verdict::Leaking, _) if source.doubted => format!(
            "doubted: {who} grows like a leak, by {rate} since {since}, but its exact size does not show it"
        ),
        (Verdict::Leaking, _) => {
            let next = match explained.alerts.is_empty() {
                true => "; an alert is raised when these are tested again",
                false => "",
            };
            format!("leaking: {who} grows by {rate} since {since} and passes every gate{next}")
        }
        (Verdict::Pending, _) => {
            let left = Span::from_secs_f64(explanation.pending_secs.unwrap_or_default());
            let is_auto = thresholds.sustained == Sustained::Auto;
            let or_earlier = match is_auto && explanation.lane == Lane::Slow {
                true => ", or earlier if a limit comes near",
                false => "",
            };
            format!(
                "pending: {who} grows like a leak since {since}, by {rate}; an alert is raised if this goes on for {left} more{or_earlier}"
            )
        }
        (Verdict::Quiet, Some(check)) => {
            let missing = missing(look, check).map(|missing| format!("; {missing}"));
            format!(
                "quiet: {who} does not grow like a leak: {} ({}, {} is asked){}",
                check.gate.failure(),
                check.found(),
                check.asked(),
                missing.unwrap_or_default()
            )
        }
        (Verdict::Quiet, None) => format!("quiet: {who} does not grow like a leak"),
    };
    if explanation.verdict != Verdict::Leaking && !explained.alerts.is_empty() {
        sentence += "; its alert is still open";
    }
    sentence
}

/// What is missing for a gate to pass, if more of the same would do: how much longer, or how much
/// faster.
pub fn missing(look: &Look, check: &Check) -> Option<String> {
    let Bound::Least(least) = check.bound else {
        return None;
    };
    let secs = match check.gate {
        Gate::Remembered | Gate::Sustained => least - check.value,
        // How much must be gained also depends on how sure it is by then.
        Gate::Gain => (least - check.value) / look.growth_bytes_per_sec?,
        Gate::Rate => {
            let times = least / check.value;
            let is_telling = (1.0..=MOST_TIMES).contains(&times);
            return is_telling.then(|| format!("it would have to be {times:.1} times as fast"));
        }
        _ => return None,
    };
    let span = Span::from_secs_f64(secs.ceil());
    let is_foreseeable = secs > 0.0 && secs <= MOST_SECS;
    is_foreseeable.then(|| match check.gate {
        Gate::Gain => format!("at this rate that takes about {span} more"),
        Gate::Sustained => format!("an alert is raised if this goes on for {span} more"),
        _ => format!("that takes {span} more"),
    })
}
