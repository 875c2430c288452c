//! The text of a mail, for a tired person with a telephone.
//!
//! First one sentence that says it all, then the facts, then what to do.

use super::page::{Page, Step};
use super::text::{shorten, wrap};

/// Longer lines would have to be encoded, and are broken anyhow on a small screen.
pub(super) const WIDTH: usize = 74;

/// The column where values begin.
const INDENT: usize = 11;

/// The whole text.
pub(super) fn text(page: &Page) -> String {
    let opening = format!("{}: {}", page.tone.word(), page.sentence);
    let mut lines = wrap(&opening, WIDTH);
    lines.push(String::new());
    for (label, value) in &page.facts {
        let value = shorten(value, WIDTH - INDENT);
        lines.push(format!("{label:<INDENT$}{value}"));
    }
    if !page.sites.is_empty() {
        lines.push(String::new());
    }
    lines.extend(page.sites.iter().map(|line| shorten(line, WIDTH)));
    if let Some(calm) = page.calm {
        lines.push(String::new());
        lines.extend(wrap(calm, WIDTH));
    }
    lines.push(String::new());
    lines.extend(steps(&page.steps));
    for sentence in &page.outlook {
        lines.push(String::new());
        lines.extend(wrap(sentence, WIDTH));
    }
    lines.join("\n")
}

/// Commands are never broken, as they are for copying.
pub(super) fn steps(steps: &[Step]) -> Vec<String> {
    let mut lines = Vec::new();
    for step in steps {
        lines.push(step.what.to_owned());
        let commands = step.commands.iter();
        lines.extend(commands.map(|command| format!("  {command}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::alert::{Alert, Cause, Change, Check, Gate, Reason};
    use crate::config::Severity;
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
            host_available_bytes: Some(1 << 30),
            host_total_bytes: Some(31 << 30),
            host_pressure_percent: Some(12.4),
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

    fn text(alert: &Alert) -> String {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("is a time zone");
        super::text(&Page::of(alert, &berlin))
    }

    #[test]
    fn a_leak_first_in_a_sentence_then_in_numbers_then_what_to_do() {
        let next = "2026-11-23T02:01:07Z".parse().expect("is a time");
        let expected = "\
CRITICAL: postgres (pid 812, postgresql.service) leaks memory: it grows by
12 MiB/min (at least 10 MiB/min), has gained 118 MiB in 10 min and holds
1.2 GiB; memory.max of its cgroup (2 GiB) would be reached in 1 h 10 min.

Process    postgres (812), the fastest of 4 that leak
Program    /usr/lib/postgresql/15/bin/postgres
Unit       postgresql.service
Host       db1: 1 GiB of its 31 GiB left, tasks wait 12% of the time
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
See every place that allocates, here or in a browser:
  memleakctl report 5c0f3a91d27e
  memleakctl report 5c0f3a91d27e --output leak.html
Take note of it, which ends its reminders:
  memleakctl ack 5c0f3a91d27e
Hear nothing of the kind for a while:
  memleakctl silence --unit postgresql.service --for 8h
See what was said about it before:
  journalctl MEMLEAKD_ID=5c0f3a91d27e

If it goes on, you will be told again at Mon 2026-11-23 03:01 CET, and at
once when it is over.";
        let reminded = Alert {
            next_reminder: Some(next),
            severity: Severity::Critical,
            ..leak()
        };
        assert_eq!(text(&reminded), expected);
    }

    #[test]
    fn what_somebody_looks_after_is_not_to_be_taken_note_of_again() {
        let time = "2026-11-22T01:00:00Z".parse().expect("is a time");
        let text = text(&Alert {
            acknowledged: Some(time),
            acknowledged_by: Some("ann\nBcc:".to_owned()),
            next_reminder: None,
            ..leak()
        });
        assert!(!text.contains("memleakctl ack"), "{text}");
        assert!(
            text.ends_with("ann\\u{a}Bcc: has taken note of it at 02:00 CET: there are no reminders,\nonly what is new."),
            "{text}"
        );
    }

    #[test]
    fn what_is_over_needs_no_doing_and_shows_no_hurry() {
        for (reason, why) in [
            (Reason::StoppedGrowing, "it no longer grows"),
            (Reason::Exited, "the process has ended"),
            (Reason::RuleChanged, "the rules no longer cover it"),
        ] {
            let text = text(&Alert {
                change: Change::Cleared,
                reason: Some(reason),
                ..leak()
            });
            assert!(text.starts_with("CLEARED: "), "{text}");
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
        let text = text(&Alert {
            id: name.clone(),
            unit: Some("a;reboot'.service".to_owned()),
            ..leak()
        });
        let quoted = name.replace('\'', r"'\''");
        for command in [
            format!("\n  memleakctl show '{quoted}'\n"),
            format!("\n  journalctl 'MEMLEAKD_ID={quoted}'"),
            "\n  memleakctl silence --unit 'a;reboot'\\''.service' --for 8h\n".to_owned(),
        ] {
            assert!(text.contains(&command), "{text}");
        }
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
                host_pressure_percent: Some(f64::NAN),
                host_available_bytes: Some(u64::MAX),
                host_total_bytes: Some(0),
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
            let text = text(&reminded);
            assert!(
                text.lines().all(|line| line.chars().count() <= WIDTH),
                "{text}"
            );
        }
    }
}
