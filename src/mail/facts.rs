//! What is known of a leak, as lines of a table.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::text::{clean, shorten};
use crate::alert::message::{cause, forecast, peers};
use crate::alert::{Alert, Change, Check, Gate, Reason, State};
use crate::quantity::{Bytes, Rate, Span};

/// Times as the reader's own clock shows them.
pub(super) struct Clock<'a> {
    pub zone: &'a TimeZone,
    pub now: Timestamp,
}

impl Clock<'_> {
    /// `03:01 CET`, and the day before it where it is another one than the alert's.
    pub fn tell(&self, time: Timestamp) -> String {
        let (time, now) = (
            time.to_zoned(self.zone.clone()),
            self.now.to_zoned(self.zone.clone()),
        );
        let format = if time.date() == now.date() {
            "%H:%M %Z"
        } else {
            "%a %Y-%m-%d %H:%M %Z"
        };
        time.strftime(format).to_string()
    }

    fn tell_with_day(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone())
            .strftime("%a %Y-%m-%d %H:%M:%S %Z")
            .to_string()
    }
}

/// Label and value, in the order in which they are asked for. The values are not cleaned yet.
pub(super) fn facts(alert: &Alert, clock: &Clock<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let more = match alert.processes {
        0 | 1 => String::new(),
        n => format!(", the fastest of {n} that leak"),
    };
    // The pid must survive however long the name is.
    facts.push((
        "Process",
        format!("{} ({}){more}", shorten(&clean(&alert.comm), 32), alert.pid),
    ));
    facts.extend(alert.exe.clone().map(|exe| ("Program", exe)));
    facts.extend(alert.unit.clone().map(|unit| ("Unit", unit)));
    facts.extend(alert.user_unit.clone().map(|unit| {
        (
            "User unit",
            format!("{} of user {}", shorten(&clean(&unit), 40), alert.uid),
        )
    }));
    facts.extend(
        alert
            .container
            .clone()
            .map(|container| ("Container", container)),
    );
    facts.push(("Host", host(alert)));
    if alert.change != Change::Cleared {
        let rate = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec);
        let low = Rate::from_bytes_per_sec(alert.growth_bytes_per_sec_low);
        facts.push(("Rate", format!("{rate}, at least {low}")));
    }
    let secs = alert.time.duration_since(alert.since).as_secs_f64();
    let gained = Bytes(alert.growth_bytes);
    facts.push((
        "Gained",
        format!(
            "{gained} in {}, since {}",
            span(secs),
            clock.tell(alert.since)
        ),
    ));
    facts.push((
        if alert.reason.is_some_and(Reason::is_end) || alert.state == State::Stale {
            "Last size"
        } else {
            "Size"
        },
        Bytes(alert.bytes).to_string(),
    ));
    let unseen = alert.unseen_since.filter(|_| alert.state == State::Stale);
    facts.extend(unseen.map(|since| ("Last seen", clock.tell(since))));
    if alert.change != Change::Cleared {
        facts.extend(limit(alert, clock));
        facts.extend(peers(alert).map(|peers| ("Workers", peers)));
        facts.extend(cause(alert.cause).map(|cause| ("Cause", cause.to_owned())));
        facts.extend(why(alert).map(|why| ("Why", why)));
        facts.extend(
            alert
                .loss
                .iter()
                .take(3)
                .map(|loss| ("Not seen", loss.clone())),
        );
    }
    facts.push(("Rule", alert.rule.clone()));
    facts.push(("Id", alert.id.clone()));
    facts.push(("Time", clock.tell_with_day(alert.time)));
    facts
}

/// The host, and where that is short of memory how short it is.
fn host(alert: &Alert) -> String {
    let (available, total) = (alert.host_available_bytes, alert.host_total_bytes);
    let left = available
        .zip(total)
        .filter(|(available, total)| available < &(total / 10))
        .map(|(available, total)| format!("{} of its {} left", Bytes(available), Bytes(total)));
    let pressure = alert
        .host_pressure_percent
        .filter(|percent| *percent >= 10.0);
    let wait = pressure.map(|percent| format!("tasks wait {percent:.0}% of the time"));
    let short: Vec<_> = left.into_iter().chain(wait).collect();
    let host = clean(&alert.host);
    match short.is_empty() {
        true => host,
        // The figures must survive however long the name is.
        false => format!("{}: {}", shorten(&host, 16), short.join(", ")),
    }
}

/// The gates that say most to a person; the others are told by `memleakctl show`.
fn why(alert: &Alert) -> impl Iterator<Item = String> {
    let says_most = |check: &&Check| {
        let gate = check.gate;
        matches!(
            gate,
            Gate::Gain | Gate::Rate | Gate::Sustained | Gate::TimeLeft
        )
    };
    let checks = alert.gates.iter().filter(says_most);
    checks.map(|check| {
        format!(
            "{} {}, {} is asked",
            check.gate,
            check.found(),
            check.asked()
        )
    })
}

fn limit(alert: &Alert, clock: &Clock<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(bytes) = alert.limit_bytes {
        let kind = alert
            .limit_kind
            .map(|kind| format!(", {kind}"))
            .unwrap_or_default();
        facts.push(("Limit", format!("{}{kind}", Bytes(bytes))));
    }
    if let (Some(secs), Some(left)) = (alert.exhausts_in_secs, forecast(alert))
        && alert.state != State::Stale
    {
        // An hour of the clock helps within a day; beyond, the estimate is not that good.
        let at = (secs < 86_400)
            .then(|| {
                alert
                    .time
                    .checked_add(SignedDuration::from_secs(secs as i64))
                    .ok()
            })
            .flatten()
            .map(|at| format!(", until about {}", clock.tell(at)));
        facts.push(("Time left", format!("{left}{}", at.unwrap_or_default())));
    }
    facts
}

/// A time as people read it. What is beyond ten thousand years is shown as that.
pub(super) fn span(secs: f64) -> Span {
    Span::from_secs_f64(secs.min(3e11))
}
