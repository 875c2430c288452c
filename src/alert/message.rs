//! The words: one sentence for a tired person, and the longer text for a screen.

use std::fmt::Write;

use super::{Alert, Cause, Change, Reason, State};
use jiff::Timestamp;

use crate::collect::LimitKind;
use crate::quantity::{Bytes, Rate, Span};
use crate::sample::Source;
use crate::site::words::{self, whereabouts};

/// Times that differ by less than such a part of them are as good as the same.
const ROUNDING: u64 = 20;

/// The sentence of an alert, from its other fields.
pub fn sentence(alert: &Alert) -> String {
    let who = who(alert);
    let leaks = match (alert.source, alert.cause) {
        (Source::Kernel, _) => "leaks kernel memory",
        (_, Cause::Retention) => "keeps more and more memory although it frees what it allocates",
        _ => "leaks memory",
    };
    let size = Bytes(alert.bytes);
    let gained = Bytes(alert.growth_bytes);
    let rate = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec);
    let least = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec_low);
    let since = elapsed(alert.since, alert);
    let unseen = alert
        .unseen_since
        .filter(|_| alert.change != Change::Cleared)
        .map(|since| elapsed(since, alert));
    let what = match alert.source {
        Source::Pages => "",
        Source::Heap => "the heap of ",
        Source::Kernel => "the kernel memory of ",
    };
    let known = [
        time_left(alert),
        peers(alert),
        whereabouts(&alert.sites),
        shortage(alert),
        attention(alert),
    ];
    let known = known.into_iter().flatten();
    let known: String = known.map(|known| format!("; {known}")).collect();
    match (alert.change, alert.state, unseen) {
        (_, State::Stale, Some(unseen)) => format!(
            "nothing has been seen of {what}{who} for {unseen}: whether it still leaks is not known; it held {size}"
        ),
        (Change::Updated, _, Some(unseen)) => format!(
            "{what}{who} is seen again, after {unseen}: it grew by {rate} before, and holds {size}"
        ),
        (Change::Raised, ..) => format!(
            "{who} {leaks}: it grows by {rate} (at least {least}), has gained {gained} in {since} and holds {size}{known}"
        ),
        (Change::Escalated, ..) => format!(
            "{who} {leaks} and is running out of it: it grows by {rate} (at least {least}) and holds {size}{known}"
        ),
        (Change::Reminded, ..) => format!(
            "{who} still {leaks}: {rate} (at least {least}), {gained} gained in {since}, it holds {size}{known}"
        ),
        (Change::Updated, ..) => {
            format!("{who} {leaks}: {rate} (at least {least}), it holds {size}{known}")
        }
        (Change::Cleared, ..) => match alert.reason {
            Some(Reason::Exited) => {
                format!("{who} has ended, after it had gained {gained} in {since}")
            }
            Some(Reason::Restarted) => {
                format!("{who} was restarted, after it had gained {gained} in {since}")
            }
            Some(Reason::OomKilled) => format!(
                "{who} was killed by the kernel for lack of memory, after it had gained {gained} in {since}"
            ),
            Some(Reason::RuleChanged) => format!(
                "{who} is no longer watched by rule {}, it holds {size}",
                alert.rule
            ),
            Some(Reason::StoppedGrowing) | None => {
                format!("{who} has stopped growing, after it had gained {gained}; it holds {size}")
            }
        },
    }
}

/// The alert as labelled lines, for a terminal or a mail. Ends in a newline.
pub fn text(alert: &Alert) -> String {
    let rate = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec);
    let least = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec_low);
    // What was worked out of figures that are old says nothing.
    let is_over = alert.change == Change::Cleared || alert.state != State::Firing;
    let left = time_left(alert).unwrap_or_else(|| "unknown, there is no limit to reach".to_owned());
    let unseen = alert
        .unseen_since
        .filter(|_| alert.state == State::Stale)
        .map(|since| format!("since {}: nothing has been seen of it", local(since)));
    let lines = [
        (
            "process",
            Some(format!("{} (pid {})", alert.comm, alert.pid)),
        ),
        ("executable", alert.exe.clone()),
        ("unit", alert.unit.clone()),
        ("user unit", alert.user_unit.clone()),
        ("container", alert.container.clone()),
        ("host", Some(alert.host.clone())),
        ("rate", Some(format!("{rate}, at least {least}"))),
        (
            "gained",
            Some(format!(
                "{} since {}",
                Bytes(alert.growth_bytes),
                local(alert.since)
            )),
        ),
        ("size", Some(Bytes(alert.bytes).to_string())),
        ("heap", heap(alert)),
        ("cause", cause(alert.cause).map(str::to_owned)),
        ("workers", peers(alert)),
        ("time left", Some(left).filter(|_| !is_over)),
        ("why", why(alert).filter(|_| !is_over)),
        ("host memory", shortage(alert).filter(|_| !is_over)),
        ("severity", Some(alert.severity.to_string())),
        ("attention", attention(alert)),
        ("stale", unseen),
        ("rule", Some(alert.rule.clone())),
        ("alert", Some(alert.id.clone())),
        (
            "not seen",
            Some(alert.loss.join("; ")).filter(|loss| !loss.is_empty()),
        ),
    ];
    let mut text = String::new();
    for (label, value) in lines {
        if let Some(value) = value {
            writeln!(text, "  {label:<11} {value}").expect("a String takes any text");
        }
    }
    for line in words::lines(&alert.sites, words::IN_ALERT) {
        writeln!(text, "  {line}").expect("a String takes any text");
    }
    if !alert.sites.is_empty() {
        let id = &alert.id;
        writeln!(text, "  more: memleakctl report {id}").expect("a String takes any text");
    }
    text
}

/// A time as the host's own clock shows it, to the minute.
pub fn local(time: Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%d %H:%M %Z")
        .to_string()
}

/// What was measured beside the pages.
fn heap(alert: &Alert) -> Option<String> {
    let rate = alert.heap_bytes_per_sec?;
    let method = alert.heap_method.as_deref().unwrap_or("unknown");
    let grows = match rate > 0.0 {
        true => format!("net growth of {}", Rate::from_bytes_per_sec(rate)),
        false => "no net growth".to_owned(),
    };
    Some(format!("{grows} ({method})"))
}

/// How it compares with the others of its program; nothing if that is not known.
pub fn peers(alert: &Alert) -> Option<String> {
    match (alert.peers, alert.peers_growing) {
        (0, _) | (_, 0) => None,
        (n, 1) => Some(format!("it alone of {n} like it grows")),
        (2, 2) => Some("both of its workers grow alike".to_owned()),
        (n, n_growing) if n_growing == n => Some(format!("all {n} of its workers grow alike")),
        (n, n_growing) => Some(format!("{n_growing} of its {n} workers grow alike")),
    }
}

/// That the whole host is short of memory; nothing if it is not. It is if less than a tenth is
/// left, or if tasks waited for memory for a tenth of the last minute.
pub fn shortage(alert: &Alert) -> Option<String> {
    let (available, total) = (alert.host_available_bytes?, alert.host_total_bytes?);
    let pressure = alert
        .host_pressure_percent
        .filter(|percent| *percent >= 10.0);
    let is_full = available < total / 10;
    let left = format!("{} of {} left", Bytes(available), Bytes(total));
    match (is_full, pressure) {
        (false, None) => None,
        (true, None) => Some(format!("the host is short of memory: {left}")),
        (_, Some(percent)) => Some(format!(
            "the host is short of memory: {left}, and tasks waited for it for {percent:.0} % of the last minute"
        )),
    }
}

/// Who has taken note of it, and who is not told of it.
pub fn attention(alert: &Alert) -> Option<String> {
    let acknowledged = alert.acknowledged.map(|_| {
        let by = alert.acknowledged_by.as_deref().unwrap_or("somebody");
        format!("acknowledged by {by}")
    });
    let silenced = alert.silenced_until.map(|until| {
        let secs = until.duration_since(alert.time).as_secs().max(0);
        format!("silenced for {}", Span::from_secs(secs.cast_unsigned()))
    });
    let inhibited = alert.inhibited_by.as_ref();
    let inhibited = inhibited.map(|id| format!("said by critical alert {id} of its unit as well"));
    let known = [acknowledged, silenced, inhibited].into_iter().flatten();
    let known: Vec<_> = known.collect();
    (!known.is_empty()).then(|| known.join("; "))
}

/// What the gates found, in short.
fn why(alert: &Alert) -> Option<String> {
    let checks: Vec<_> = alert.gates.iter().map(ToString::to_string).collect();
    (!checks.is_empty()).then(|| checks.join("; "))
}

/// A cause in words; nothing if it is not known.
pub fn cause(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Heap => Some("the program allocates and does not free"),
        Cause::Retention => Some("the program frees, but its allocator keeps the memory"),
        Cause::Mapping => Some("growth outside the allocator: mappings, stacks, a runtime"),
        Cause::Kernel => Some("kernel memory that it has caused"),
        Cause::Unknown => None,
    }
}

/// The process, and where it runs.
pub fn who(alert: &Alert) -> String {
    // A user's unit lies within a system unit, which is the user's whole manager.
    let unit = alert
        .user_unit
        .as_ref()
        .or(alert.unit.as_ref())
        .or(alert.container.as_ref());
    let place = unit.map(|unit| format!(", {unit}")).unwrap_or_default();
    match alert.processes {
        0 | 1 => format!("{} (pid {}{place})", alert.comm, alert.pid),
        n => format!(
            "{} (pid {} and {} more{place})",
            alert.comm,
            alert.pid,
            n - 1
        ),
    }
}

/// The time until the nearest limit: from the soonest to the latest where both are known and are
/// not as good as the same, else the likely one.
pub fn forecast(alert: &Alert) -> Option<String> {
    let likely = Span::from_secs(alert.exhausts_in_secs?);
    let ends = (alert.exhausts_in_secs_low, alert.exhausts_in_secs_high);
    Some(match ends {
        (Some(low), Some(high)) if low < high - high / ROUNDING => {
            format!("{} to {}", Span::from_secs(low), Span::from_secs(high))
        }
        (Some(low), None) => format!("{} or later", Span::from_secs(low)),
        _ => likely.to_string(),
    })
}

fn elapsed(since: Timestamp, alert: &Alert) -> Span {
    let secs = alert.time.duration_since(since).as_secs();
    Span::from_secs(secs.max(0).cast_unsigned())
}

fn time_left(alert: &Alert) -> Option<String> {
    let kind = alert.limit_kind?;
    let left = forecast(alert)?;
    let limit = alert
        .limit_bytes
        .map(|bytes| format!(" ({})", Bytes(bytes)))
        .unwrap_or_default();
    Some(match kind {
        LimitKind::Host => format!("the host's memory and swap{limit} would be used up in {left}"),
        kind => format!("{kind}{limit} would be reached in {left}"),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Severity;
    use crate::site::{Frame, Site};

    /// An alert with every figure set.
    pub fn alert() -> Alert {
        let time = "2026-03-01T12:00:00Z".parse().expect("a time");
        let mut alert = Alert {
            change: Change::Raised,
            state: State::Firing,
            id: "0123456789ab".to_owned(),
            time,
            raised: time,
            time_secs: None,
            host: "db1".to_owned(),
            rule: "default".to_owned(),
            severity: Severity::Warning,
            reason: None,
            acknowledged: None,
            acknowledged_by: None,
            silenced_until: None,
            inhibited_by: None,
            pid: 812,
            start_time: 4711,
            comm: "postgres".to_owned(),
            exe: Some("/usr/lib/postgresql/15/bin/postgres".to_owned()),
            unit: Some("postgresql.service".to_owned()),
            user_unit: None,
            uid: 105,
            user: Some("postgres".to_owned()),
            cgroup: "/system.slice/postgresql.service".to_owned(),
            container: None,
            processes: 1,
            peers: 0,
            peers_growing: 0,
            source: Source::Pages,
            cause: Cause::Unknown,
            bytes: 1 << 30,
            heap_bytes_per_sec: None,
            heap_method: None,
            growth_bytes: 118 << 20,
            growth_bytes_per_sec: 140_000.0,
            growth_bytes_per_sec_low: 130_000.0,
            since: "2026-03-01T11:46:00Z".parse().expect("a time"),
            unseen_since: None,
            limit_bytes: Some(4 << 30),
            limit_kind: Some(LimitKind::CgroupMax),
            exhausts_in_secs: Some(23_000),
            exhausts_in_secs_low: None,
            exhausts_in_secs_high: None,
            host_available_bytes: None,
            host_total_bytes: None,
            host_pressure_percent: None,
            curve: Vec::new(),
            next_reminder: None,
            sites: Vec::new(),
            sites_missing: None,
            gates: Vec::new(),
            loss: Vec::new(),
            message: String::new(),
        };
        alert.message = sentence(&alert);
        alert
    }

    fn leaking_site() -> Site {
        let frame = |function: &str, line| Frame {
            function: Some(function.to_owned()),
            file: Some("query.c".to_owned()),
            line: Some(line),
            ..Frame::default()
        };
        Site {
            bytes: 12 << 20,
            count: 340,
            grows_again: Some(true),
            frames: vec![frame("xmalloc", 7), frame("parse_row", 120)],
            ..Site::default()
        }
    }

    #[test]
    fn the_text_ends_in_the_first_sites() {
        let alert = Alert {
            sites: vec![leaking_site()],
            ..alert()
        };
        let expected = "
  alert       0123456789ab
  12 MiB in 340 blocks, grew again, allocated by
    xmalloc (query.c:7)
    parse_row (query.c:120)
  more: memleakctl report 0123456789ab
";
        let text = text(&alert);
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn sentences_can_be_read_by_a_tired_person() {
        let cleared = |reason| Alert {
            change: Change::Cleared,
            state: State::Cleared,
            reason: Some(reason),
            ..alert()
        };
        let unseen = |change, state| Alert {
            change,
            state,
            unseen_since: Some("2026-03-01T11:40:00Z".parse().expect("a time")),
            ..alert()
        };
        for (alert, expected) in [
            (
                alert(),
                "postgres (pid 812, postgresql.service) leaks memory: it grows by 8 MiB/min (at least 7.4 MiB/min), \
                 has gained 118 MiB in 14 min and holds 1 GiB; memory.max of its cgroup (4 GiB) would be reached in 6 h 23 min",
            ),
            (
                Alert {
                    processes: 3,
                    limit_kind: None,
                    ..alert()
                },
                "postgres (pid 812 and 2 more, postgresql.service) leaks memory: it grows by 8 MiB/min (at least 7.4 MiB/min), \
                 has gained 118 MiB in 14 min and holds 1 GiB",
            ),
            (
                Alert {
                    processes: 6,
                    peers: 8,
                    peers_growing: 6,
                    ..alert()
                },
                "postgres (pid 812 and 5 more, postgresql.service) leaks memory: it grows by 8 MiB/min (at least 7.4 MiB/min), \
                 has gained 118 MiB in 14 min and holds 1 GiB; memory.max of its cgroup (4 GiB) would be reached in 6 h 23 min; \
                 6 of its 8 workers grow alike",
            ),
            (
                Alert {
                    change: Change::Reminded,
                    limit_kind: None,
                    peers: 8,
                    peers_growing: 1,
                    ..alert()
                },
                "postgres (pid 812, postgresql.service) still leaks memory: 8 MiB/min (at least 7.4 MiB/min), \
                 118 MiB gained in 14 min, it holds 1 GiB; it alone of 8 like it grows",
            ),
            (
                Alert {
                    change: Change::Updated,
                    limit_kind: None,
                    peers: 2,
                    peers_growing: 2,
                    ..alert()
                },
                "postgres (pid 812, postgresql.service) leaks memory: 8 MiB/min (at least 7.4 MiB/min), \
                 it holds 1 GiB; both of its workers grow alike",
            ),
            (
                Alert {
                    change: Change::Updated,
                    limit_kind: None,
                    sites: vec![leaking_site()],
                    ..alert()
                },
                "postgres (pid 812, postgresql.service) leaks memory: 8 MiB/min (at least 7.4 MiB/min), \
                 it holds 1 GiB; most of what stays is allocated in parse_row (query.c:120)",
            ),
            (
                cleared(Reason::Exited),
                "postgres (pid 812, postgresql.service) has ended, after it had gained 118 MiB in 14 min",
            ),
            (
                cleared(Reason::OomKilled),
                "postgres (pid 812, postgresql.service) was killed by the kernel for lack of memory, after it had gained 118 MiB in 14 min",
            ),
            (
                unseen(Change::Updated, State::Stale),
                "nothing has been seen of postgres (pid 812, postgresql.service) for 20 min: whether it still leaks is not known; it held 1 GiB",
            ),
            (
                Alert {
                    source: Source::Heap,
                    ..unseen(Change::Reminded, State::Stale)
                },
                "nothing has been seen of the heap of postgres (pid 812, postgresql.service) for 20 min: whether it still leaks is not known; it held 1 GiB",
            ),
            (
                unseen(Change::Updated, State::Firing),
                "postgres (pid 812, postgresql.service) is seen again, after 20 min: it grew by 8 MiB/min before, and holds 1 GiB",
            ),
            (
                Alert {
                    unseen_since: unseen(Change::Cleared, State::Cleared).unseen_since,
                    ..cleared(Reason::Exited)
                },
                "postgres (pid 812, postgresql.service) has ended, after it had gained 118 MiB in 14 min",
            ),
            (
                cleared(Reason::StoppedGrowing),
                "postgres (pid 812, postgresql.service) has stopped growing, after it had gained 118 MiB; it holds 1 GiB",
            ),
        ] {
            assert_eq!(sentence(&alert), expected);
        }
    }

    #[test]
    fn the_text_says_nothing_of_the_time_left_when_all_is_over() {
        let over = Alert {
            change: Change::Cleared,
            reason: Some(Reason::Exited),
            ..alert()
        };
        let stale = Alert {
            change: Change::Updated,
            state: State::Stale,
            unseen_since: Some(alert().since),
            ..alert()
        };
        for (alert, has_left, has_stale) in [
            (alert(), true, false),
            (over, false, false),
            (stale, false, true),
        ] {
            let text = text(&alert);
            assert_eq!(text.contains("time left"), has_left, "{text}");
            assert_eq!(text.contains("\n  stale "), has_stale, "{text}");
        }
    }

    #[test]
    fn a_forecast_is_as_wide_as_it_is_unsure() {
        for (low, high, expected) in [
            (None, None, "50 min"),
            (None, Some(4200), "50 min"),
            (Some(2400), Some(4200), "40 min to 1 h 10 min"),
            (Some(2400), None, "40 min or later"),
            (Some(2990), Some(3010), "50 min"),
            (Some(0), Some(0), "50 min"),
            (Some(0), Some(10), "0 s to 10 s"),
            (Some(4200), Some(2400), "50 min"),
        ] {
            let alert = Alert {
                exhausts_in_secs: Some(3000),
                exhausts_in_secs_low: low,
                exhausts_in_secs_high: high,
                ..alert()
            };
            assert_eq!(
                forecast(&alert).as_deref(),
                Some(expected),
                "{low:?} {high:?}"
            );
        }
        assert!(
            sentence(&Alert {
                exhausts_in_secs_low: Some(2400),
                exhausts_in_secs_high: Some(4200),
                ..alert()
            })
            .ends_with("memory.max of its cgroup (4 GiB) would be reached in 40 min to 1 h 10 min")
        );
    }
}
