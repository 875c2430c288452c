//! The one line of `systemctl status`, which somebody reads at night: what is wrong, what is watched,
//! and what cannot be done.

use super::Daemon;
use crate::alert::message::{forecast, who};
use crate::alert::{Alert, State};
use crate::bus::Status;
use crate::quantity::{Rate, count};
use crate::sample::printable;

/// How the line says that a configuration was refused, for who reads it.
pub const OLD_CONFIGURATION: &str = "the old configuration is in force";

/// A process and its unit are cut there: others choose their names.
const MAX_NAME: usize = 80;
/// What cannot be done is cut there, each.
const MAX_WANT: usize = 300;

impl Daemon {
    /// The line as of now.
    pub(super) fn summary(&self, status: &Status) -> String {
        summary(status, self.state.book.worst(), &self.wants())
    }

    /// What does not work, a phrase each.
    fn wants(&self) -> Vec<String> {
        let mut wants = Vec::new();
        if let Some(fault) = &self.refused {
            wants.push(format!("{OLD_CONFIGURATION}, because of {fault}"));
        }
        wants.extend(self.prober.failure());
        // Of heaps that was the reason.
        let failing: Vec<_> = self
            .complaints
            .names()
            .filter(|name| *name != "heap")
            .collect();
        if !failing.is_empty() {
            wants.push(format!("what fails, see the log: {}", failing.join(", ")));
        }
        if self.store.directory().is_none() {
            wants.push(
                "alerts are forgotten at a restart, as there is no state directory".to_owned(),
            );
        }
        wants
    }
}

fn summary(status: &Status, worst: Option<&Alert>, wants: &[String]) -> String {
    let alerts = match (worst, status.critical) {
        (None, _) => "no alerts".to_owned(),
        (Some(worst), n_critical) => {
            let critical = match n_critical {
                0 => String::new(),
                n => format!(", {n} critical"),
            };
            let n_open = count(status.alerts, "alert", "alerts");
            format!("{n_open} open{critical}: {}", told(worst, status.alerts))
        }
    };
    let mut line = format!(
        "{alerts}; watching {}, {}",
        count(status.processes, "process", "processes"),
        count(status.suspects, "suspect", "suspects"),
    );
    if status.dropped > 0 {
        line += &format!("; {} given up", count(status.dropped, "change", "changes"));
    }
    for want in wants {
        line += "; ";
        line += &cut(want, MAX_WANT);
    }
    // A line break would begin a field of the service manager's protocol.
    printable(line.as_bytes())
}

/// The worst alert in a few words.
fn told(alert: &Alert, n_open: usize) -> String {
    let worst = if n_open > 1 { "worst " } else { "" };
    let who = cut(&who(alert), MAX_NAME);
    if alert.state != State::Firing {
        return format!("{worst}{who}, of which nothing has been seen for a while");
    }
    let rate = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec);
    let left = forecast(alert).map(|left| format!(", {left} left"));
    format!("{worst}{who} grows by {rate}{}", left.unwrap_or_default())
}

fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;

    fn status(alerts: usize, critical: usize) -> Status {
        Status {
            processes: 212,
            suspects: 1,
            alerts,
            critical,
            ..Status::default()
        }
    }

    #[test]
    fn it_says_what_is_wrong_first() {
        let short = Alert {
            comm: "postgres".to_owned(),
            pid: 812,
            processes: 1,
            unit: Some("db.service".to_owned()),
            user_unit: None,
            growth_bytes_per_sec: 1048576.0,
            exhausts_in_secs: Some(7200),
            exhausts_in_secs_low: None,
            exhausts_in_secs_high: None,
            state: State::Firing,
            ..alert()
        };
        let stale = Alert {
            state: State::Stale,
            ..short.clone()
        };
        let endless = Alert {
            exhausts_in_secs: None,
            ..short.clone()
        };
        let watching = "watching 212 processes, 1 suspect";
        for (status, worst, wants, expected) in [
            (
                status(0, 0),
                None,
                &[][..],
                format!("no alerts; {watching}"),
            ),
            (
                status(1, 1),
                Some(&short),
                &[],
                format!(
                    "1 alert open, 1 critical: postgres (pid 812, db.service) grows by 60 MiB/min, 2 h left; {watching}"
                ),
            ),
            (
                status(3, 0),
                Some(&endless),
                &[],
                format!(
                    "3 alerts open: worst postgres (pid 812, db.service) grows by 60 MiB/min; {watching}"
                ),
            ),
            (
                status(1, 0),
                Some(&stale),
                &[],
                format!(
                    "1 alert open: postgres (pid 812, db.service), of which nothing has been seen for a while; {watching}"
                ),
            ),
            (
                Status {
                    dropped: 2,
                    ..status(0, 0)
                },
                None,
                &["mail fails", "so does the hook"],
                format!("no alerts; {watching}; 2 changes given up; mail fails; so does the hook"),
            ),
        ] {
            let wants: Vec<_> = wants.iter().map(|want| (*want).to_owned()).collect();
            assert_eq!(summary(&status, worst, &wants), expected);
        }
    }

    #[test]
    fn names_can_neither_speak_to_the_service_manager_nor_fill_the_line() {
        let hostile = Alert {
            comm: format!("a\nMAINPID=1{}", "x".repeat(4000)),
            ..alert()
        };
        let wants = [format!("b\nSTOPPING=1{}", "y".repeat(4000))];
        let line = summary(&status(1, 0), Some(&hostile), &wants);
        assert!(!line.contains('\n'), "{line}");
        assert!(line.chars().count() < 600, "{line}");
    }
}
