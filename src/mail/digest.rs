//! Many alerts in one mail: what has happened to each in a line or two, the worst first.

use jiff::tz::TimeZone;

use super::body::{WIDTH, steps};
use super::facts::{Clock, span};
use super::html;
use super::letter::Story;
use super::page::{Step, Tone};
use super::text::{clean, clean_for_header, shorten, wrap};
use crate::alert::message::forecast;
use crate::alert::{Alert, Change, Reason};
use crate::quantity::{Bytes, Rate, count};

/// So many incidents are shown; how many more there are is said.
const MAX_ROWS: usize = 30;

/// What a subject has room for, in characters.
const MAX_HOST: usize = 30;

/// What a digest says, before it becomes text or HTML.
#[derive(Debug)]
pub(super) struct Digest {
    /// Its own subject: it belongs to no one incident.
    pub subject: String,
    /// How bad the worst of it is.
    pub tone: Tone,
    sentence: String,
    rows: Vec<Row>,
    more: Option<String>,
    steps: Vec<Step>,
}

/// One incident.
#[derive(Debug)]
struct Row {
    tone: Tone,
    /// What has happened to it, such as `raised, escalated`.
    changes: String,
    who: String,
    figures: String,
    id: String,
}

impl Digest {
    /// Of at least one incident. Times are told in the given zone.
    pub fn of(stories: &[Story<'_>], zone: &TimeZone) -> Self {
        let mut alerts: Vec<_> = stories.iter().map(|story| (story.last(), story)).collect();
        let last = stories[stories.len() - 1].last();
        let clock = Clock {
            zone,
            now: last.time,
        };
        // What has become critical just now is more urgent than what has been so for days.
        alerts.sort_by_key(|(alert, _)| (Tone::of(alert), alert.change));
        let tone = Tone::of(alerts[0].0);
        let host = clean(&last.host);
        let sentence = summary(&alerts.iter().map(|(alert, _)| *alert).collect::<Vec<_>>());
        let rows = alerts.iter().take(MAX_ROWS);
        let rows = rows.map(|(_, story)| row(story, &clock)).collect();
        let n_more = alerts.len().saturating_sub(MAX_ROWS);
        Self {
            subject: format!(
                "[memleakd] {}: {sentence}",
                shorten(&clean_for_header(&host), MAX_HOST)
            ),
            tone,
            sentence: format!("{sentence}, on {}.", shorten(&host, 60)),
            rows,
            more: (n_more > 0).then(|| format!("And {n_more} more, which are not shown here.")),
            steps: advice(last),
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        let mut lines = wrap(&format!("{}: {}", self.tone.word(), self.sentence), WIDTH);
        for row in &self.rows {
            lines.push(String::new());
            let start = format!("{:<9} {:<9} ", row.tone.word(), row.changes);
            let room = WIDTH.saturating_sub(start.chars().count());
            lines.push(format!("{start}{}", shorten(&row.who, room)));
            let end = format!("  [{}]", shorten(&row.id, 20));
            let room = WIDTH.saturating_sub(20 + end.chars().count());
            lines.push(format!("{:<20}{}{end}", "", shorten(&row.figures, room)));
        }
        if let Some(more) = &self.more {
            lines.extend([String::new(), more.clone()]);
        }
        lines.push(String::new());
        lines.extend(steps(&self.steps));
        lines.join("\n")
    }

    /// As HTML.
    pub fn html(&self) -> String {
        let mut body = html::banner(self.tone, &self.sentence);
        let mut rows = String::new();
        for row in &self.rows {
            let (ground, letters) = html::colours(row.tone);
            rows.push_str(&format!(
                "<tr><td class=\"line\" valign=\"top\" width=\"84\" style=\"padding:8px 10px 8px 0;border-bottom:1px solid #e4e7eb\">\
<span style=\"background-color:{ground};color:{letters};font-size:11px;font-weight:bold;padding:2px 6px;border-radius:3px\">{}</span>\
<div class=\"dim\" style=\"color:#57606a;font-size:12px;padding-top:3px\">{}</div></td>\
<td class=\"line\" valign=\"top\" style=\"padding:8px 0;word-break:break-word;overflow-wrap:anywhere;border-bottom:1px solid #e4e7eb\">\
<div style=\"font-weight:bold\">{}</div><div>{}</div>\
<div class=\"dim\" style=\"color:#57606a;font-size:12px\">{}</div></td></tr>\n",
                row.tone.word(),
                html::escape(&row.changes),
                html::escape(&shorten(&row.who, 120)),
                html::escape(&row.figures),
                html::escape(&shorten(&row.id, 60)),
            ));
        }
        body.push_str(&html::row(&format!(
            "<table cellpadding=\"0\" cellspacing=\"0\" border=\"0\" width=\"100%\" style=\"font-size:14px\">\n{rows}</table>"
        )));
        if let Some(more) = &self.more {
            body.push_str(&html::paragraph(more));
        }
        body.push_str(&html::steps(&self.steps));
        html::document(&body)
    }
}

/// `9 leaks, 2 of them critical, and 3 that are over`, of at least one.
fn summary(alerts: &[&Alert]) -> String {
    let n = |tone| {
        let alike = alerts.iter().filter(|alert| Tone::of(alert) == tone);
        alike.count()
    };
    let n_over = n(Tone::Cleared);
    let n_open = alerts.len() - n_over;
    let open = count(n_open, "leak", "leaks");
    let critical = match (n(Tone::Critical), n_open) {
        (0, _) => String::new(),
        (1, 1) => ", critical".to_owned(),
        (n, n_open) if n == n_open => ", all of them critical".to_owned(),
        (n, _) => format!(", {n} of them critical"),
    };
    match (n_open, n_over) {
        (_, 0) => format!("{open}{critical}"),
        (0, 1) => "1 leak is over".to_owned(),
        (0, n_over) => format!("{n_over} leaks are over"),
        (_, 1) => format!("{open}{critical}, and 1 that is over"),
        (_, n_over) => format!("{open}{critical}, and {n_over} that are over"),
    }
}

fn row(story: &Story<'_>, clock: &Clock<'_>) -> Row {
    let alert = story.last();
    let mut changes: Vec<String> = Vec::new();
    for change in &story.changes {
        let change = change.change.to_string();
        // What became known in between is in what is told.
        if change != "updated" && !changes.contains(&change) {
            changes.push(change);
        }
    }
    let place = alert.user_unit.as_ref().or(alert.unit.as_ref());
    let place = place.or(alert.container.as_ref());
    let place = place.map(|place| format!(", {}", clean(place)));
    Row {
        tone: Tone::of(alert),
        changes: match changes.is_empty() {
            true => Change::Updated.to_string(),
            false => changes.join(", "),
        },
        who: format!(
            "{} ({}){}",
            shorten(&clean(&alert.comm), 32),
            alert.pid,
            place.unwrap_or_default()
        ),
        figures: figures(alert, clock),
        id: clean(&alert.id),
    }
}

/// The few figures that say most.
fn figures(alert: &Alert, clock: &Clock<'_>) -> String {
    let size = Bytes(alert.bytes);
    let gained = Bytes(alert.growth_bytes);
    let rate = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec);
    match (Tone::of(alert), alert.reason) {
        (Tone::Cleared, Some(Reason::Exited)) => format!("has ended, {gained} gained"),
        (Tone::Cleared, Some(Reason::Restarted)) => format!("was restarted, {gained} gained"),
        (Tone::Cleared, Some(Reason::OomKilled)) => {
            format!("killed for lack of memory, {gained} gained")
        }
        (Tone::Cleared, Some(Reason::RuleChanged)) => format!("no longer watched, {size}"),
        (Tone::Cleared, _) => format!("stopped growing, {size}"),
        (Tone::Unknown, _) => match alert.unseen_since {
            Some(since) => format!("not seen since {}, held {size}", clock.tell(since)),
            None => format!("not seen any more, held {size}"),
        },
        _ => {
            let left = forecast(alert).filter(|_| alert.exhausts_in_secs.is_some_and(is_soon));
            let left = left
                .map(|left| format!(", {left} left"))
                .unwrap_or_default();
            format!("{rate}, {size}{left}")
        }
    }
}

/// A week: what is later is no news.
fn is_soon(secs: u64) -> bool {
    span(secs as f64) < span(7.0 * 86_400.0)
}

fn advice(last: &Alert) -> Vec<Step> {
    let step = |what, command: String| Step {
        what,
        commands: vec![command],
    };
    let day = last.time.strftime("%Y-%m-%d");
    vec![
        step("See all that stand:", "memleakctl alerts".to_owned()),
        step("See one of them:", "memleakctl show ID".to_owned()),
        step(
            "See what was said, also of those that are over:",
            format!("journalctl -t memleakd --since {day}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::State;
    use crate::config::Severity;
    use crate::mail::fixture::leak;
    use crate::mail::thread::Thread;

    fn numbered(number: u32, change: Change, severity: Severity) -> Alert {
        Alert {
            id: format!("{number:012x}"),
            pid: number,
            change,
            severity,
            reason: (change == Change::Cleared).then_some(Reason::Exited),
            ..leak()
        }
    }

    fn of(alerts: &[Alert]) -> Digest {
        let stories: Vec<_> = alerts
            .iter()
            .map(|alert| Story {
                thread: Thread::of(alert),
                changes: vec![alert],
                is_first: true,
            })
            .collect();
        Digest::of(&stories, &TimeZone::UTC)
    }

    #[test]
    fn the_worst_first_and_what_is_over_last() {
        let stale = Alert {
            state: State::Stale,
            unseen_since: Some(leak().since),
            ..numbered(3, Change::Updated, Severity::Warning)
        };
        let digest = of(&[
            numbered(1, Change::Cleared, Severity::Critical),
            numbered(2, Change::Raised, Severity::Warning),
            stale,
            numbered(4, Change::Escalated, Severity::Critical),
        ]);
        assert_eq!(
            digest.subject,
            "[memleakd] db1: 3 leaks, 1 of them critical, and 1 that is over"
        );
        let expected = "\
CRITICAL: 3 leaks, 1 of them critical, and 1 that is over, on db1.

CRITICAL  escalated postgres (4), postgresql.service
                    12 MiB/min, 1.2 GiB, 1 h 10 min left  [000000000004]

WARNING   raised    postgres (2), postgresql.service
                    12 MiB/min, 1.2 GiB, 1 h 10 min left  [000000000002]

UNKNOWN   updated   postgres (3), postgresql.service
                    not seen since 01:51 UTC, held 1.2 GiB  [000000000003]

CLEARED   cleared   postgres (1), postgresql.service
                    has ended, 118 MiB gained  [000000000001]

See all that stand:
  memleakctl alerts
See one of them:
  memleakctl show ID
See what was said, also of those that are over:
  journalctl -t memleakd --since 2026-11-22";
        assert_eq!(digest.text(), expected);
        let html = digest.html();
        for expected in [
            "CRITICAL: </span>",
            "postgres (4)",
            "has ended, 118 MiB gained",
        ] {
            assert!(html.contains(expected), "{html}");
        }
    }

    #[test]
    fn several_changes_of_one_are_one_row() {
        let changes = [
            numbered(1, Change::Raised, Severity::Warning),
            numbered(1, Change::Updated, Severity::Warning),
            numbered(1, Change::Escalated, Severity::Critical),
        ];
        let story = Story {
            thread: Thread::of(&changes[0]),
            changes: changes.iter().collect(),
            is_first: true,
        };
        let text = Digest::of(&[story], &TimeZone::UTC).text();
        assert!(
            text.contains("\nCRITICAL  raised, escalated postgres (1)"),
            "{text}"
        );
    }

    #[test]
    fn of_two_hundred_some_are_shown_and_the_others_counted() {
        let alerts: Vec<_> = (0..200)
            .map(|number| numbered(number, Change::Raised, Severity::Warning))
            .collect();
        let digest = of(&alerts);
        assert_eq!(digest.subject, "[memleakd] db1: 200 leaks");
        for text in [digest.text(), digest.html()] {
            assert!(text.contains("And 170 more"), "{text}");
            assert_eq!(text.matches("postgres (").count(), MAX_ROWS);
            assert!(text.len() < 40_000, "{}", text.len());
        }
    }

    #[test]
    fn what_it_is_about_in_few_words() {
        let (warning, critical) = (Severity::Warning, Severity::Critical);
        for (alerts, expected) in [
            (&[(Change::Raised, critical)][..], "1 leak, critical"),
            (
                &[(Change::Raised, critical); 2],
                "2 leaks, all of them critical",
            ),
            (&[(Change::Cleared, critical)], "1 leak is over"),
            (&[(Change::Cleared, warning); 3], "3 leaks are over"),
            (
                &[
                    (Change::Raised, warning),
                    (Change::Cleared, warning),
                    (Change::Cleared, warning),
                ],
                "1 leak, and 2 that are over",
            ),
        ] {
            let alerts: Vec<_> = alerts
                .iter()
                .map(|&(change, severity)| numbered(1, change, severity))
                .collect();
            assert_eq!(summary(&alerts.iter().collect::<Vec<_>>()), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_name_is_more_than_a_name(name in "(\\PC|[<>&\"'\r\n\u{1b}\u{202e}]|</td>){1,60}") {
            let alert = Alert {
                comm: name.clone(), unit: Some(name.clone()), host: name.clone(), id: name, ..leak()
            };
            let digest = of(&[alert.clone(), alert]);
            let (text, html) = (digest.text(), digest.html());
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{}", text);
            prop_assert!(!text.contains(|c: char| c != '\n' && c.is_control()));
            prop_assert_eq!(text.lines().filter(|line| line.is_empty()).count(), 3);
            prop_assert_eq!(html.matches('<').count(), html.matches('>').count());
            prop_assert_eq!(html.matches("<td").count(), 9);
        }
    }
}
