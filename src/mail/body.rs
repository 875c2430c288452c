//! The text of a mail, for a tired person with a telephone.
//!
//! First one sentence that says it all, then the facts, then what to do.

use jiff::tz::TimeZone;

use super::facts::{Clock, facts};
use super::text::{clean, shell_word, shorten, wrap};
use crate::alert::{Alert, Change, Reason};
use crate::site::words;

/// Longer lines would have to be encoded, and are broken anyhow on a small screen.
const WIDTH: usize = 74;

/// The column where values begin.
const INDENT: usize = 11;

/// The whole text. Its times are told in the given zone.
pub(super) fn text(alert: &Alert, zone: &TimeZone) -> String {
    let clock = Clock {
        zone,
        now: alert.time,
    };
    let mut sentence = shorten(&clean(&alert.message), 1000);
    if !sentence.ends_with(['.', '…']) {
        sentence.push('.');
    }
    let mut lines = wrap(&sentence, WIDTH);
    lines.push(String::new());
    for (label, value) in facts(alert, &clock) {
        let value = shorten(&clean(&value), WIDTH - INDENT);
        lines.push(format!("{label:<INDENT$}{value}"));
    }
    let sites = words::lines(&alert.sites, words::IN_ALERT);
    if !sites.is_empty() {
        lines.push(String::new());
    }
    lines.extend(sites.iter().map(|line| fit(line)));
    lines.push(String::new());
    lines.extend(advice(alert, &clock));
    lines.join("\n")
}

/// A line with its indentation, cut to what there is room for.
fn fit(line: &str) -> String {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    format!("{indent}{}", shorten(&clean(text), WIDTH - indent.len()))
}

fn advice(alert: &Alert, clock: &Clock<'_>) -> Vec<String> {
    // Whole, and quoted: an identity is made of names that anybody may have chosen, and these
    // lines are for copying.
    let id = shell_word(&clean(&alert.id));
    let field = shell_word(&format!("MEMLEAKD_ID={}", clean(&alert.id)));
    if alert.change == Change::Cleared {
        let why = match alert.reason {
            Some(Reason::Exited) => {
                "Nothing needs doing: the process has ended, its memory is free again."
            }
            Some(Reason::Restarted) => {
                "Its memory is free again. Its leak is not mended: the process that runs now will grow as well."
            }
            Some(Reason::OomKilled) => {
                "The process is gone and its memory is free again. Its leak is not mended: if it is started again, so does that."
            }
            Some(Reason::RuleChanged) => "Nothing needs doing: the rules no longer cover it.",
            Some(Reason::StoppedGrowing) | None => {
                "Nothing needs doing: it no longer grows. What it has gained it may keep until it is restarted."
            }
        };
        let mut lines = wrap(why, WIDTH);
        lines.extend([
            String::new(),
            "What was said about it:".to_owned(),
            format!("  journalctl {field}"),
        ]);
        return lines;
    }
    let mut lines = match alert.sites.is_empty() {
        true => vec![
            "See the details, and where it leaks once that is known:".to_owned(),
            format!("  memleakctl show {id}"),
        ],
        false => vec![
            "See the details:".to_owned(),
            format!("  memleakctl show {id}"),
            "See every place that allocates, or draw a flame graph:".to_owned(),
            format!("  memleakctl report {id}"),
            format!("  memleakctl report {id} --format svg --output leak.svg"),
        ],
    };
    lines.extend([
        "See what was said about it before:".to_owned(),
        format!("  journalctl {field}"),
    ]);
    if let Some(next) = alert.next_reminder {
        let again = format!(
            "If it goes on, you will be told again at {}.",
            clock.tell(next)
        );
        lines.push(String::new());
        lines.extend(wrap(&again, WIDTH));
    }
    lines
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::alert::{Cause, Check, Gate};
    use crate::detect::Bound;
    use crate::mail::fixture;
    use crate::site::{Frame, Site};

    /// With everything that there can be to tell.
    fn leak() -> Alert {
        let unnamed = Frame {
            function: None,
            file: None,
            ..frame()
        };
        Alert {
            since: "2026-11-21T22:51:07Z".parse().expect("is a time"),
            processes: 4,
            cause: Cause::Heap,
            gates: vec![
                check(Gate::Gain, 118.0 * 1048576.0, 1e7),
                check(Gate::Pace, 1.0, 0.5),
                check(Gate::Sustained, 11400.0, 9000.0),
            ],
            sites: vec![Site {
                bytes: 80 << 20,
                count: 1200,
                grows_again: Some(true),
                frames: vec![frame(), unnamed],
                ..Site::default()
            }],
            loss: vec!["12 allocations came while the map was full".to_owned()],
            ..fixture::leak()
        }
    }

    fn check(gate: Gate, value: f64, least: f64) -> Check {
        let bound = Bound::Least(least);
        Check { gate, value, bound }
    }

    fn frame() -> Frame {
        Frame {
            function: Some("parse_row".to_owned()),
            module: Some("/usr/lib/libquery.so".to_owned()),
            offset: Some(0x4711),
            file: Some("query.c".to_owned()),
            line: Some(120),
            ..Frame::default()
        }
    }

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("is a time zone")
    }

    #[test]
    fn a_leak_first_in_a_sentence_then_in_numbers_then_what_to_do() {
        let next = "2026-11-23T02:01:07Z".parse().expect("is a time");
        let expected = "\
postgres (pid 812, postgresql.service) leaks memory: it grows by
12 MiB/min (at least 10 MiB/min), has gained 118 MiB in 10 min and holds
1.2 GiB; memory.max of its cgroup (2 GiB) would be reached in 1 h 10 min.

Process    postgres (812), the fastest of 4 that leak
Program    /usr/lib/postgresql/15/bin/postgres
Unit       postgresql.service
Host       db1
Rate       12 MiB/min, at least 10 MiB/min
Gained     118 MiB in 3 h 10 min, since Sat 2026-11-21 23:51 CET
Size       1.2 GiB
Limit      2 GiB, memory.max of its cgroup
Time left  1 h 10 min, until about 04:11 CET
Cause      the program allocates and does not free
Why        gain 118 MiB, at least 9.5 MiB is asked
Why        lasted 3 h 10 min, at least 2 h 30 min is asked
Not seen   12 allocations came while the map was full
Rule       default
Id         5c0f3a91d27e
Time       Sun 2026-11-22 03:01:07 CET

80 MiB in 1200 blocks, grew again, allocated by
  parse_row (query.c:120)
  libquery.so+0x4711

See the details:
  memleakctl show 5c0f3a91d27e
See every place that allocates, or draw a flame graph:
  memleakctl report 5c0f3a91d27e
  memleakctl report 5c0f3a91d27e --format svg --output leak.svg
See what was said about it before:
  journalctl MEMLEAKD_ID=5c0f3a91d27e

If it goes on, you will be told again at Mon 2026-11-23 03:01 CET.";
        let reminded = Alert {
            next_reminder: Some(next),
            ..leak()
        };
        assert_eq!(text(&reminded, &berlin()), expected);
    }

    #[test]
    fn what_is_over_needs_no_doing_and_shows_no_hurry() {
        for (reason, why) in [
            (Reason::StoppedGrowing, "it no longer grows"),
            (Reason::Exited, "the process has ended"),
            (Reason::RuleChanged, "the rules no longer cover it"),
        ] {
            let text = text(
                &Alert {
                    change: Change::Cleared,
                    reason: Some(reason),
                    ..leak()
                },
                &berlin(),
            );
            assert!(
                text.contains(&format!("\nNothing needs doing: {why}")),
                "{text}"
            );
            for hurry in ["Rate", "Time left", "memleakctl", "told again"] {
                assert!(!text.contains(hurry), "{text}");
            }
        }
    }

    #[test]
    fn a_command_to_copy_is_whole_and_does_nothing_else() {
        let name = format!("default:/{} $(reboot)'", "x".repeat(300));
        let text = text(
            &Alert {
                id: name.clone(),
                ..leak()
            },
            &berlin(),
        );
        let quoted = name.replace('\'', r"'\''");
        assert!(
            text.contains(&format!("\n  memleakctl show '{quoted}'\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("\n  journalctl 'MEMLEAKD_ID={quoted}'")),
            "{text}"
        );
    }

    #[test]
    fn numbers_beyond_all_reason_are_told_too() {
        for alert in [
            Alert {
                exhausts_in_secs: Some(u64::MAX),
                growth_bytes: u64::MAX,
                bytes: u64::MAX,
                ..leak()
            },
            Alert {
                growth_bytes_per_sec: f64::NAN,
                growth_bytes_per_sec_low: f64::INFINITY,
                ..leak()
            },
            Alert {
                time: Timestamp::MIN,
                since: Timestamp::MAX,
                ..leak()
            },
            Alert {
                time: Timestamp::MAX,
                since: Timestamp::MIN,
                ..leak()
            },
        ] {
            let reminded = Alert {
                next_reminder: Some(Timestamp::MAX),
                ..alert.clone()
            };
            let text = text(&reminded, &berlin());
            assert!(
                text.lines().all(|line| line.chars().count() <= WIDTH),
                "{text}"
            );
        }
    }
}
