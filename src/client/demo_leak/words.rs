//! What is told of a leak on purpose. All of it is asked of the daemon or known here.

use std::time::Duration;

use super::DemoLeak;
use crate::bus::{Explained, ExplainedSource};
use crate::config::Sustained;
use crate::detect::Verdict;
use crate::quantity::{Rate, Span};
use crate::sample::Source;

/// Why it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Interrupted,
    TimeIsOver,
    AllLeaked,
}

/// The first that is said.
pub(super) fn begins(leak: &DemoLeak, pid: u32) -> String {
    let most = leak.most;
    let until = match leak.time {
        Some(time) => format!("It ends after {time}, or with Ctrl-C."),
        None => "Ctrl-C ends it.".to_owned(),
    };
    format!(
        "process {pid}, memleakd-demo, leaks {} on purpose, {most} at the most.
{until}

Meanwhile, in another terminal:
  memleakctl top                 among what grows
  memleakctl explain {pid:<11} what memleakd thinks of it
  memleakctl alerts              what leaks
  journalctl -f -t memleakd      what is said of it
",
        leak.rate
    )
}

/// What is shown while it goes on.
pub(super) fn goes_on(leak: &DemoLeak, past: Duration, standing: &str) -> String {
    let leaked = leak.leaked(past);
    let past = Span::from_secs(past.as_secs());
    format!("about {leaked} leaked in {past}: {standing}")
}

/// How it stands, in a phrase.
pub(super) fn standing(explained: &Explained) -> String {
    if let Some(id) = explained.alerts.first() {
        return format!("alert {id} is open");
    }
    let explanations = explained.sources.iter();
    let mut explanations = explanations.filter_map(|source| source.explanation.as_ref());
    let Some(explanation) = explanations.next() else {
        return "memleakd is not to look at it".to_owned();
    };
    match (explanation.verdict, explanation.pending_secs) {
        (Verdict::Leaking, _) => "leaking, and about to be said".to_owned(),
        (Verdict::Pending, Some(secs)) => {
            let left = Span::from_secs_f64(secs.ceil());
            format!("grows like a leak, an alert in {left}")
        }
        _ => "does not grow like a leak yet".to_owned(),
    }
}

/// When there is to be an alert, by the rule that is for it.
pub(super) fn expected(leak: &DemoLeak, explained: &Explained) -> String {
    let mut sources = explained.sources.iter();
    let source = sources.find(|source| source.source == Source::Pages);
    let Some((source, name)) = source.and_then(|source| Some((source, source.rule.as_ref()?)))
    else {
        return "no rule of the configuration is for it: there will be no alert".to_owned();
    };
    let Some(rule) = source.thresholds.as_ref().filter(|rule| !rule.ignore) else {
        return format!("rule {name} says that it is to be left alone: there will be no alert");
    };
    if leak.rate.bytes_per_sec() < rule.growth.bytes_per_sec() {
        return format!(
            "rule {name} asks for growth of {} at least: there will be no alert",
            rule.growth
        );
    }
    format!(
        "rule {name} is for it: there will be an alert {}",
        soon(source, leak.rate)
    )
}

/// In how long.
fn soon(source: &ExplainedSource, rate: Rate) -> String {
    let rule = source.thresholds.as_ref();
    let Some(rule) = rule else {
        return String::new();
    };
    let warm_up = rule.warm_up.secs();
    let gained_secs = rule.min_growth.0 as f64 / rate.bytes_per_sec();
    let about = |least_secs: f64| {
        let secs = least_secs.max(gained_secs) + warm_up;
        Span::from_secs_f64((secs / 10.0).ceil() * 10.0)
    };
    match rule.sustained {
        Sustained::For(span) => {
            let least_secs = span.secs() * source.patience.max(1.0);
            format!("in {} or little more", about(least_secs))
        }
        // The least and the most that growth must last.
        Sustained::Auto => {
            let (least, most) = (about(600.0), about(10800.0 * source.patience.max(1.0)));
            format!("in {least} to {most}, as sustained is \"auto\"")
        }
    }
}

/// What there is to do with an alert.
pub(super) fn raised(id: &str, past: Duration) -> String {
    let past = Span::from_secs(past.as_secs());
    format!(
        "after {past} there is an alert: {id}
  memleakctl show {id}                  all that is known of it
  memleakctl report {id}                the code, a minute or two from now: memleakd_demo_leak
  memleakctl ack {id}                   seen: no more reminders
  memleakctl silence {id} --for 1h      nothing more of it, but in the journal
"
    )
}

/// The last that is said.
pub(super) fn ends(leak: &DemoLeak, past: Duration, end: End) -> String {
    let leaked = leak.leaked(past);
    let past = Span::from_secs(past.as_secs());
    let why = match end {
        End::Interrupted => "",
        End::TimeIsOver => ", as it was to go on no longer",
        End::AllLeaked => ", as it was to leak no more",
    };
    format!("ended after {past}, with about {leaked} leaked{why}: its memory is free again")
}
