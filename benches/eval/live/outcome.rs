//! What the daemon said of a program, held against the truth.

use std::fmt::Write;

use memleakd::alert::{Alert, Cause, Change};

use super::program::{Look, Program};
use super::watcher::PACE;

/// So much a leaking program must have gained, and this part of it in the kernel's figures too.
const MIN_LEAK_BYTES: u64 = 48 << 20;
const MIN_SEEN: f64 = 0.5;
/// From halfway on, what a healthy program keeps is its bound, but for this part of it.
const MAX_OFF: f64 = 0.1;

/// How one program was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The program's name: its language, and what it does.
    pub name: String,
    /// Whether it leaks. If not, any alert is a false one.
    pub leaks: bool,
    /// Whether it ran, and did what it was meant to do; if not, nothing else counts.
    pub counts: bool,
    /// When the daemon raised an alert, if it did: seconds since the program's start.
    pub raised_after_secs: Option<f64>,
    /// The cause that the daemon gave last.
    pub cause: Option<String>,
    /// Whether that is the cause in truth, where it leaks.
    pub cause_is_right: bool,
    /// What the program truly did, or why it does not count.
    pub note: String,
}

impl Outcome {
    /// Of a program that could not be run.
    pub fn left_out(name: String, leaks: bool, note: String) -> Self {
        Self {
            name,
            leaks,
            counts: false,
            raised_after_secs: None,
            cause: None,
            cause_is_right: false,
            note,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.counts, self.leaks, self.raised_after_secs) {
            (false, ..) => "LEFT OUT",
            (true, true, Some(_)) => "found",
            (true, true, None) => "MISSED",
            (true, false, Some(_)) => "FALSE ALERT",
            (true, false, None) => "left alone",
        }
    }
}

/// Judges a program by the alerts of the rule of its name.
pub fn judge(program: &Program, alerts: &[Alert]) -> Outcome {
    let leaks = program.bound.is_none();
    let fault = program
        .fault
        .clone()
        .or_else(|| untrue(program.bound, &program.looks));
    let name = program.name.clone();
    let of_it = || alerts.iter().filter(|alert| alert.rule == name);
    let raised = of_it().find(|alert| alert.change == Change::Raised);
    let cause = of_it().next_back().map(|alert| alert.cause);
    Outcome {
        leaks,
        counts: fault.is_none(),
        raised_after_secs: raised
            .map(|alert| alert.time.duration_since(program.started).as_secs_f64()),
        cause: cause.map(word),
        cause_is_right: leaks && cause == Some(program.runtime.cause()),
        note: fault.unwrap_or_else(|| deeds(&program.looks)),
        name,
    }
}

/// As it is called in JSON.
fn word(cause: Cause) -> String {
    format!("{cause:?}").to_lowercase()
}

/// Why a program has not done what it was meant to do, if it has not.
fn untrue(bound: Option<u64>, looks: &[Look]) -> Option<String> {
    let ([first, ..], [.., last]) = (looks, looks) else {
        return Some("never said what it keeps".to_owned());
    };
    let (is_true, meant) = match bound {
        None => {
            let kept = last.kept_bytes.saturating_sub(first.kept_bytes);
            let seen = last.resident_bytes.saturating_sub(first.resident_bytes);
            let is_seen = seen as f64 >= kept as f64 * MIN_SEEN;
            (kept >= MIN_LEAK_BYTES && is_seen, "leak")
        }
        Some(bound) => {
            let is_full =
                |look: &Look| look.kept_bytes.abs_diff(bound) as f64 <= bound as f64 * MAX_OFF;
            (
                is_full(&looks[looks.len() / 2]) && is_full(last),
                "fill and stay",
            )
        }
    };
    (!is_true).then(|| format!("did not {meant}: {}", deeds(looks)))
}

/// What a program did, in MiB.
fn deeds(looks: &[Look]) -> String {
    let part = |figure: fn(&Look) -> u64| {
        let mib = |index: usize| looks.get(index).map_or(0, |look| figure(look) >> 20);
        let last = looks.len().saturating_sub(1);
        format!("{} -> {} -> {}", mib(0), mib(last / 2), mib(last))
    };
    let secs = looks.last().map_or(0.0, |look| look.secs);
    format!(
        "kept {} MiB, resident {} MiB in {secs:.0} s",
        part(|look| look.kept_bytes),
        part(|look| look.resident_bytes)
    )
}

/// The outcomes as a table, and a line that counts them.
pub fn table(outcomes: &[Outcome]) -> String {
    let header = [
        "program",
        "truth",
        "verdict",
        "after",
        "cause",
        "what it did",
    ]
    .map(str::to_owned);
    let rows = outcomes.iter().map(|outcome| {
        [
            outcome.name.clone(),
            if outcome.leaks { "leaks" } else { "healthy" }.to_owned(),
            outcome.verdict().to_owned(),
            outcome
                .raised_after_secs
                .map_or_else(String::new, |secs| format!("{secs:.0} s")),
            match &outcome.cause {
                Some(cause) if outcome.leaks && !outcome.cause_is_right => {
                    format!("{cause} (WRONG)")
                }
                cause => cause.clone().unwrap_or_default(),
            },
            outcome.note.clone(),
        ]
    });
    let rows: Vec<[String; 6]> = [header].into_iter().chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let mut text = String::new();
    for row in &rows {
        let [program, truth, verdict, after, cause, deeds] = row;
        writeln!(
            text,
            "{program:0$}  {truth:1$}  {verdict:2$}  {after:>3$}  {cause:4$}  {deeds}",
            width(0),
            width(1),
            width(2),
            width(3),
            width(4),
        )
        .expect("a String takes any text");
    }
    text + &summary(outcomes)
}

fn summary(outcomes: &[Outcome]) -> String {
    let count = |leaks, of: fn(&Outcome) -> bool| {
        let those = outcomes.iter().filter(|outcome| outcome.leaks == leaks);
        those
            .filter(|outcome| outcome.counts && of(outcome))
            .count()
    };
    let raised = |outcome: &Outcome| outcome.raised_after_secs.is_some();
    let mut found_secs: Vec<f64> = outcomes
        .iter()
        .filter(|outcome| outcome.counts && outcome.leaks)
        .filter_map(|outcome| outcome.raised_after_secs)
        .collect();
    found_secs.sort_unstable_by(f64::total_cmp);
    let median = found_secs.get(found_secs.len() / 2);
    let median = median.map_or_else(String::new, |secs| {
        let mins = secs * PACE / 60.0;
        format!(" (median {secs:.0} s, {mins:.0} min by the default profile's clock)")
    });
    let n_left_out = outcomes.iter().filter(|outcome| !outcome.counts).count();
    format!(
        "{} of {} leaks found{median}, {} with the right cause; {} of {} healthy programs taken for leaks; \
         {n_left_out} programs left out\n",
        count(true, raised),
        count(true, |_| true),
        count(true, |outcome| outcome.cause_is_right),
        count(false, raised),
        count(false, |_| true),
    )
}
