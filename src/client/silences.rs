use std::io::Write;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::table::Table;
use crate::alert::{Alert, Matcher, Silence};
use crate::bus::Client;
use crate::config::Glob;
use crate::quantity::Span;

/// The longest silence: what is to be for ever is a rule's `ignore`.
const LONGEST: Span = Span::from_secs(366 * 24 * 3600);

/// Reads how long a silence is to be.
pub fn silence_time(text: &str) -> Result<Span, String> {
    let time: Span = text.parse().map_err(|error| format!("{error}"))?;
    match (Span::from_secs(1)..=LONGEST).contains(&time) {
        true => Ok(time),
        false => Err("a silence is between 1s and 366d: for ever is a rule with ignore".to_owned()),
    }
}

/// Which alerts to silence, as the command line has it.
#[derive(Debug, Clone, Default)]
pub struct Silenced {
    /// Those of what this alert is about.
    pub like: Option<String>,
    /// Those that fit all that is set here.
    pub matcher: Matcher,
}

/// Silences alerts for a time, and says until when and how to take it back.
pub fn silence(
    output: &mut impl Write,
    client: &Client,
    silenced: Silenced,
    time: Span,
    comment: &str,
) -> Result<()> {
    let Silenced { like, matcher } = silenced;
    let matcher = match like {
        Some(_) if matcher != Matcher::default() => {
            bail!("an alert's id says which alerts: leave --unit and the like away, or the id");
        }
        Some(id) => like_of(&client.alert(&id)?),
        None => matcher,
    };
    let words = words(&matcher);
    let id = client.silence(&matcher, time, comment)?;
    writeln!(
        output,
        "silence {id}: nobody is told of {words} for {time}; \"memleakctl unsilence {id}\" takes it back"
    )
    .context("writing")
}

/// Prints the silences as a table, the one that ends first in front.
pub fn silences(
    output: &mut impl Write,
    silences: &[Silence],
    now: Timestamp,
    columns: usize,
) -> Result<()> {
    if silences.is_empty() {
        return writeln!(output, "no silences").context("writing");
    }
    let mut table = Table::new(&["SILENCE", ">ENDS IN", "BY", "ALERTS OF", "COMMENT"]);
    for silence in silences {
        let secs = silence.until.duration_since(now).as_secs().max(0);
        table.row([
            silence.id.clone(),
            Span::from_secs(secs.cast_unsigned()).to_string(),
            silence.by.clone(),
            words(&silence.matcher),
            silence.comment.clone(),
        ]);
    }
    let text = table.render(columns);
    output.write_all(text.as_bytes()).context("writing")
}

/// What fits the process of an alert: its unit, or its executable where there is none.
pub(super) fn like_of(alert: &Alert) -> Matcher {
    let exactly = |text: &String| Glob::exactly(text);
    let unit = alert.user_unit.as_ref().or(alert.unit.as_ref());
    let exe = alert.exe.as_ref().filter(|_| unit.is_none());
    let comm = Some(&alert.comm).filter(|_| unit.is_none() && exe.is_none());
    Matcher {
        unit: unit.map(exactly),
        exe: exe.map(exactly),
        comm: comm.map(exactly),
        ..Matcher::default()
    }
}

/// Which alerts fit, in words.
pub(super) fn words(matcher: &Matcher) -> String {
    let kinds = [
        ("unit", &matcher.unit),
        ("exe", &matcher.exe),
        ("comm", &matcher.comm),
        ("user", &matcher.user),
        ("rule", &matcher.rule),
    ];
    let kinds = kinds.into_iter();
    let words = kinds.filter_map(|(kind, glob)| Some(format!("{kind} {}", glob.as_ref()?)));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::message::tests::alert;

    #[test]
    fn what_is_like_an_alert_is_its_unit_or_its_executable() {
        let system = alert();
        let user = Alert {
            user_unit: Some("app.service".to_owned()),
            ..alert()
        };
        let bare = Alert {
            unit: None,
            ..alert()
        };
        let odd = Alert {
            unit: None,
            exe: None,
            comm: "a*[b".to_owned(),
            ..alert()
        };
        for (alert, expected) in [
            (system, "unit postgresql.service"),
            (user, "unit app.service"),
            (bare, "exe /usr/lib/postgresql/15/bin/postgres"),
            (odd, "comm a[*][[]b"),
        ] {
            let matcher = like_of(&alert);
            assert!(matcher.matches(&alert));
            assert_eq!(words(&matcher), expected);
        }
    }

    #[test]
    fn silences_are_a_table() {
        let now = Timestamp::UNIX_EPOCH;
        let silence = Silence {
            id: "7".to_owned(),
            matcher: like_of(&alert()),
            until: Timestamp::from_second(5400).expect("in range"),
            since: now,
            by: "root".to_owned(),
            comment: "fixed in 2.1".to_owned(),
        };
        let mut output = Vec::new();
        silences(&mut output, &[silence], now, 100).expect("written");
        let text = String::from_utf8(output).expect("UTF-8");
        let expected = "\
SILENCE       ENDS IN  BY    ALERTS OF                COMMENT
7        1 h 30 min  root  unit postgresql.service  fixed in 2.1
";
        assert_eq!(
            text.replace("  ", " ")
                .split_whitespace()
                .collect::<Vec<_>>(),
            expected.split_whitespace().collect::<Vec<_>>()
        );
    }
}
