//! The words of bubbles: short, for a person who is doing something else.

use super::Bubble;
use crate::alert::message::{forecast, text};
use crate::alert::{Alert, Cause, State};
use crate::config::Severity;
use crate::quantity::{Bytes, Rate, Span};
use crate::sample::{Source, printable};
use crate::site::culprit::chief;
use crate::site::words::{place, shorten};

/// Characters of a bubble's first line.
const MAX_SUMMARY: usize = 100;
/// Characters of the rest of it.
const MAX_BODY: usize = 300;
/// The same where the person has asked for all.
const MAX_DETAILS: usize = 4000;
/// So many alerts are listed where the person has asked for all.
const MAX_LISTED: usize = 10;
/// Characters of each of these.
const MAX_LINE: usize = 120;

/// The bubble of one alert.
pub(super) fn alert(alert: &Alert, is_detailed: bool) -> Bubble {
    let who = match alert.processes {
        0 | 1 => alert.comm.clone(),
        n => format!("{} ({n} processes)", alert.comm),
    };
    let does = match (alert.state, alert.source, alert.cause) {
        (State::Stale, ..) => "leaked memory, and is not seen any more",
        (_, Source::Kernel, _) => "leaks kernel memory",
        (_, _, Cause::Retention) => "keeps more and more memory",
        _ => "leaks memory",
    };
    let is_urgent = alert.state != State::Stale && alert.severity == Severity::Critical;
    let urgently = if is_urgent { " and runs out of it" } else { "" };
    Bubble {
        summary: line(&format!("{who} {does}{urgently}"), MAX_SUMMARY),
        body: match is_detailed {
            true => block(&details(alert)),
            false => line(&figures(alert), MAX_BODY),
        },
        severity: alert.severity,
    }
}

/// The bubble for many, the worst of which comes first.
pub(super) fn group(alerts: &[&Alert], is_detailed: bool) -> Option<Bubble> {
    let worst = match alerts {
        [] => return None,
        [only] => return Some(alert(only, is_detailed)),
        [worst, ..] => worst,
    };
    let n = alerts.len();
    let is_critical = |alert: &&&Alert| alert.severity == Severity::Critical;
    let n_critical = alerts.iter().filter(is_critical).count();
    let critical = match n_critical {
        0 => String::new(),
        n_critical => format!(", {n_critical} critically"),
    };
    let body = match is_detailed {
        false => line(
            &format!("The worst is {}: {}", worst.comm, figures(worst)),
            MAX_BODY,
        ),
        true => {
            let listed = alerts.iter().take(MAX_LISTED);
            let lines =
                listed.map(|alert| line(&format!("{}: {}", alert.comm, figures(alert)), MAX_LINE));
            let rest = n.saturating_sub(MAX_LISTED);
            let more = (rest > 0).then(|| format!("and {rest} more"));
            let hint = "\"memleakctl alerts\" lists all of them".to_owned();
            let lines: Vec<_> = lines.chain(more).chain([hint]).collect();
            block(&lines.join("\n"))
        }
    };
    Some(Bubble {
        summary: line(&format!("{n} programs leak memory{critical}"), MAX_SUMMARY),
        body,
        severity: worst.severity,
    })
}

/// The bubble that memleakd's own test of the way to the screen shows.
pub(super) fn test() -> Bubble {
    Bubble {
        summary: "This is a test of memleakd".to_owned(),
        body: "A program that leaks memory would be told of like this. Nothing is wrong."
            .to_owned(),
        severity: Severity::Warning,
    }
}

/// The bubble that says why something was not done.
pub(super) fn failure(what: &str, why: &str) -> Bubble {
    Bubble {
        summary: line(what, MAX_SUMMARY),
        body: line(why, MAX_BODY),
        severity: Severity::Warning,
    }
}

/// Where most of what stays is allocated; nothing if that is not known, or over.
pub(super) fn site(alert: &Alert) -> Option<String> {
    let chief = chief(&alert.sites).filter(|chief| chief.grows_again != Some(false))?;
    Some(place(chief.frame))
}

/// Text for a server that reads markup (`body-markup`) so that it is shown as it is.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn figures(alert: &Alert) -> String {
    let size = Bytes(alert.bytes);
    if alert.state == State::Stale {
        return match alert.unseen_since {
            Some(since) => {
                let secs = alert.time.duration_since(since).as_secs();
                let unseen = Span::from_secs(secs.max(0).cast_unsigned());
                format!("Nothing has been seen of it for {unseen}. It held {size}.")
            }
            None => format!("It held {size}."),
        };
    }
    let rate = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec);
    let left = match forecast(alert) {
        Some(left) => format!(", {left} left"),
        None => String::new(),
    };
    let site = match site(alert) {
        Some(site) => format!(". In {site}"),
        None => String::new(),
    };
    format!("{rate}, {size} now{left}{site}")
}

/// All that there is to tell. What matters comes first, as servers cut what is too long for them,
/// and without columns, which neither a narrow bubble nor its letters keep.
fn details(alert: &Alert) -> String {
    let mut details = format!("{}\nmemleakctl show {}\n", alert.message, alert.id);
    for line in text(alert).lines() {
        let line = line.strip_prefix("  ").unwrap_or(line);
        match line.split_once("  ") {
            Some((label, value)) if !label.is_empty() => {
                details += &format!("{label}: {}\n", value.trim_start());
            }
            _ => details += &format!("{line}\n"),
        }
    }
    details
}

/// One line, harmless and not longer than so many characters. What the bus brings should be so
/// already; a screen is the last place to learn that it was not.
fn line(text: &str, max: usize) -> String {
    shorten(&printable(text.as_bytes()), max)
}

/// The same with several lines.
fn block(text: &str) -> String {
    let mut block = String::new();
    let mut room = MAX_DETAILS;
    for text in text.lines() {
        if room == 0 {
            break;
        }
        let text = line(text.trim_end(), room);
        room -= room.min(text.chars().count() + 1);
        block.push_str(&text);
        block.push('\n');
    }
    block.truncate(block.trim_end().len());
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;
    use crate::site::{Frame, Site};

    fn site() -> Site {
        let frame = Frame {
            function: Some("leak".to_owned()),
            file: Some("query.c".to_owned()),
            line: Some(120),
            ..Frame::default()
        };
        Site {
            bytes: 1 << 20,
            frames: vec![frame],
            ..Site::default()
        }
    }

    #[test]
    fn bubbles_are_short() {
        let critical = Alert {
            severity: Severity::Critical,
            exhausts_in_secs: Some(4200),
            sites: vec![site()],
            ..alert()
        };
        let stale = |unseen_since: &str| Alert {
            state: State::Stale,
            severity: Severity::Critical,
            unseen_since: Some(unseen_since.parse().expect("a time")),
            ..alert()
        };
        for (of, summary, body) in [
            (
                alert(),
                "postgres leaks memory",
                "8 MiB/min, 1 GiB now, 6 h 23 min left",
            ),
            (
                critical,
                "postgres leaks memory and runs out of it",
                "8 MiB/min, 1 GiB now, 1 h 10 min left. In leak (query.c:120)",
            ),
            (
                Alert {
                    source: Source::Kernel,
                    processes: 3,
                    exhausts_in_secs: None,
                    ..alert()
                },
                "postgres (3 processes) leaks kernel memory",
                "8 MiB/min, 1 GiB now",
            ),
            (
                Alert {
                    cause: Cause::Retention,
                    ..alert()
                },
                "postgres keeps more and more memory",
                "8 MiB/min, 1 GiB now, 6 h 23 min left",
            ),
            (
                stale("2026-03-01T10:00:00Z"),
                "postgres leaked memory, and is not seen any more",
                "Nothing has been seen of it for 2 h. It held 1 GiB.",
            ),
        ] {
            let bubble = super::alert(&of, false);
            assert_eq!(
                (bubble.summary.as_str(), bubble.body.as_str()),
                (summary, body)
            );
        }
    }

    #[test]
    fn details_begin_with_what_matters_and_have_no_columns() {
        let alert = Alert {
            sites: vec![site()],
            ..alert()
        };
        let details = super::alert(&alert, true).body;
        let begin = format!(
            "{}\nmemleakctl show 0123456789ab\nprocess: postgres (pid 812)\n",
            alert.message
        );
        assert!(details.starts_with(&begin), "{details}");
        let site = "\n1 MiB in 0 blocks, allocated by\n  leak (query.c:120)\n";
        assert!(details.contains(site), "{details}");
    }

    #[test]
    fn what_no_longer_grows_there_is_not_named() {
        let warm = Site {
            grows_again: Some(false),
            ..site()
        };
        let alert = Alert {
            sites: vec![warm],
            ..alert()
        };
        assert_eq!(super::site(&alert), None);
    }

    #[test]
    fn many_are_counted_and_the_worst_is_named() {
        let worst = Alert {
            severity: Severity::Critical,
            comm: "java".to_owned(),
            ..alert()
        };
        let other = alert();
        let of = |n: usize| {
            let others = vec![&other; n - 1];
            [vec![&worst], others].concat()
        };
        let bubble = group(&of(12), false).expect("a bubble");
        assert_eq!(bubble.summary, "12 programs leak memory, 1 critically");
        assert_eq!(
            bubble.body,
            "The worst is java: 8 MiB/min, 1 GiB now, 6 h 23 min left"
        );
        assert_eq!(bubble.severity, Severity::Critical);
        let body = group(&of(12), true).expect("a bubble").body;
        assert_eq!(body.lines().count(), 12, "{body}");
        assert!(body.contains("\nand 2 more\n"), "{body}");
        assert_eq!(group(&of(1), false), Some(super::alert(&worst, false)));
        assert_eq!(group(&[], false), None);
    }

    #[test]
    fn hostile_names_are_shown_as_they_are_and_are_bounded() {
        let alert = Alert {
            comm: "<b>&\"\u{202e}\n".to_owned() + &"x".repeat(5000),
            message: "y".repeat(10_000) + &"\nz".repeat(10_000),
            loss: vec!["l".repeat(100_000)],
            ..alert()
        };
        let bubble = super::alert(&alert, false);
        assert!(
            bubble.summary.starts_with("<b>&\"\\u{202e}\\u{a}x"),
            "{bubble:?}"
        );
        assert_eq!(bubble.summary.chars().count(), MAX_SUMMARY);
        let details = super::alert(&alert, true).body;
        assert!(details.chars().count() <= MAX_DETAILS);
        assert_eq!(escape("<b>&\"x"), "&lt;b&gt;&amp;\"x");
        let bubble = failure(&"f".repeat(1000), &"<i>".repeat(1000));
        assert!(bubble.summary.chars().count() == MAX_SUMMARY);
        assert!(bubble.body.chars().count() == MAX_BODY);
    }
}
