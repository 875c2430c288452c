use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::alert::{Alert, message::local};
use crate::bus::Client;

/// The daemon is asked so often: it looks at processes every few seconds.
const EVERY: Duration = Duration::from_secs(1);

/// Prints the open alerts, and then what happens to them, a line each, until interrupted.
pub fn follow(output: &mut impl Write, client: &Client, is_json: bool) -> Result<()> {
    let mut before = BTreeMap::new();
    loop {
        let now: BTreeMap<String, Alert> = client
            .alerts()?
            .into_iter()
            .map(|alert| (alert.id.clone(), alert))
            .collect();
        for news in news(&before, &now) {
            let line = match is_json {
                true => serde_json::to_string(&news.json()).context("writing JSON")?,
                false => news.line(),
            };
            writeln!(output, "{line}").context("writing")?;
        }
        output.flush().context("writing")?;
        before = now;
        thread::sleep(EVERY);
    }
}

/// What has happened to an alert.
enum News<'a> {
    Changed(&'a Alert),
    /// It is no longer open: this is what was last known.
    Gone(&'a Alert),
}

fn news<'a>(
    before: &'a BTreeMap<String, Alert>,
    now: &'a BTreeMap<String, Alert>,
) -> Vec<News<'a>> {
    let gone = before.values().filter(|alert| !now.contains_key(&alert.id));
    let changed = now.values().filter(|alert| {
        let known = before.get(&alert.id);
        known.is_none_or(|known| (known.change, known.time) != (alert.change, alert.time))
    });
    let gone = gone.map(News::Gone);
    gone.chain(changed.map(News::Changed)).collect()
}

impl News<'_> {
    fn line(&self) -> String {
        match self {
            Self::Changed(alert) => format!(
                "{} {} {} {}: {}",
                local(alert.time),
                alert.id,
                alert.severity,
                alert.change,
                alert.message
            ),
            Self::Gone(alert) => format!(
                "{} {} {} is over: {} (pid {})",
                local(jiff::Timestamp::now()),
                alert.id,
                alert.severity,
                alert.comm,
                alert.pid
            ),
        }
    }

    fn json(&self) -> serde_json::Value {
        let alert = match self {
            Self::Changed(alert) | Self::Gone(alert) => alert,
        };
        let is_open = matches!(self, Self::Changed(_));
        serde_json::json!({ "is_open": is_open, "alert": alert })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Change;
    use crate::alert::message::tests::alert;

    #[test]
    fn only_what_happens_is_told() {
        let of = |alerts: Vec<Alert>| -> BTreeMap<String, Alert> {
            let alerts = alerts.into_iter();
            alerts.map(|alert| (alert.id.clone(), alert)).collect()
        };
        let other = Alert {
            id: "ba9876543210".to_owned(),
            ..alert()
        };
        let reminded = Alert {
            change: Change::Reminded,
            ..alert()
        };
        let words = |before: &BTreeMap<_, _>, now: &BTreeMap<_, _>| {
            let news = news(before, now);
            let words: Vec<String> = news
                .iter()
                .map(|news| match news {
                    News::Changed(alert) => format!("{} {}", alert.id, alert.change),
                    News::Gone(alert) => format!("{} gone", alert.id),
                })
                .collect();
            words.join(", ")
        };
        for (before, now, expected) in [
            (vec![], vec![alert()], "0123456789ab raised"),
            (vec![alert()], vec![alert()], ""),
            (
                vec![alert()],
                vec![reminded.clone()],
                "0123456789ab reminded",
            ),
            (
                vec![alert()],
                vec![other],
                "0123456789ab gone, ba9876543210 raised",
            ),
        ] {
            assert_eq!(words(&of(before), &of(now)), expected);
        }
    }
}
