//! Gates in words: what each is called, what it means, and its figures as people read them.

use std::fmt;

use super::{Bound, Check, Gate, Unit};
use crate::quantity::{Bytes, Rate, Span};

/// Parts beyond this say no more than that they are large.
const MOST_PERCENT: f64 = 1000.0;

impl Gate {
    /// What it asks, in a phrase.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Remembered => "has been watched for long enough since its warm-up",
            Self::Gain => "gained enough, for its size and how sure its rate is",
            Self::Concordance => "rises in the order of time",
            Self::Step => "no single step makes the rise",
            Self::FewSteps => "nor do three steps",
            Self::Spread => "rises over most of the time",
            Self::Pace => "does not slow down: second half against first",
            Self::NewHeight => "above what it held before, as a part of the gain",
            Self::Quiet => "ups and downs in the hours before, against the gain",
            Self::Even => "smallest step against the largest",
            Self::Rate => "lower bound of its rate, less 2% for rounding",
            Self::Sustained => "has lasted long enough",
            Self::TimeLeft => "until the nearest limit is reached",
        }
    }
}

impl Gate {
    /// What is the matter with growth that does not pass it, in a clause.
    pub fn failure(self) -> &'static str {
        match self {
            Self::Remembered => "it has not been watched for long enough since its warm-up",
            Self::Gain => "it has not gained enough",
            Self::Concordance => "it goes up and down",
            Self::Step => "one step makes most of the rise",
            Self::FewSteps => "three steps make most of the rise",
            Self::Spread => "it rises in a part of the time only",
            Self::Pace => "its growth slows down",
            Self::NewHeight => "it has held about as much before",
            Self::Quiet => "it went up and down in the hours before, or these were not seen",
            Self::Even => "its steps are not alike",
            Self::Rate => "it grows too slowly, or its rate is not sure enough",
            Self::Sustained => "it has not grown for long enough",
            Self::TimeLeft => "no limit is near",
        }
    }
}

impl Check {
    /// What was found, with its unit.
    pub fn found(&self) -> String {
        match (self.gate, self.value) {
            (_, value) if value.is_nan() => "no rise".to_owned(),
            // Nothing to compare with.
            (Gate::Quiet, f64::INFINITY) => "not known yet".to_owned(),
            (Gate::NewHeight, f64::INFINITY) => "nothing before".to_owned(),
            (Gate::Pace, f64::INFINITY) => "level at first".to_owned(),
            (Gate::TimeLeft, f64::INFINITY) => "no end".to_owned(),
            (Gate::Step | Gate::FewSteps, f64::INFINITY) => "no rise".to_owned(),
            (gate, value) => figure(gate.unit(), value),
        }
    }

    /// What it must be, with its unit: `at least 10 MiB`.
    pub fn asked(&self) -> String {
        let unit = self.gate.unit();
        match self.bound {
            Bound::Least(least) => format!("at least {}", figure(unit, least)),
            Bound::Most(most) => format!("at most {}", figure(unit, most)),
        }
    }
}

fn figure(unit: Unit, value: f64) -> String {
    let size = value.abs();
    let figure = match unit {
        Unit::Bytes => Bytes(size as u64).to_string(),
        Unit::BytesPerSec => Rate::from_bytes_per_sec(size).to_string(),
        Unit::Secs => Span::from_secs_f64(size).to_string(),
        Unit::Part if size * 100.0 > MOST_PERCENT => format!("over {MOST_PERCENT:.0}%"),
        Unit::Part => format!("{}%", (size * 1000.0).round() / 10.0),
    };
    match value < 0.0 && !figure.starts_with("0 ") {
        true => format!("-{figure}"),
        false => figure,
    }
}

/// In short: `gain 118 MiB >= 10 MiB`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, bound) = match (self.bound, self.passes()) {
            (Bound::Least(least), true) => (">=", least),
            (Bound::Least(least), false) => ("<", least),
            (Bound::Most(most), true) => ("<=", most),
            (Bound::Most(most), false) => (">", most),
        };
        if !self.value.is_finite() {
            return write!(f, "{}: {}", self.gate, self.found());
        }
        let bound = figure(self.gate.unit(), bound);
        write!(f, "{} {} {sign} {bound}", self.gate, self.found())
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Remembered => "watched",
            Self::Gain => "gain",
            Self::Concordance => "order",
            Self::Step => "largest step",
            Self::FewSteps => "three steps",
            Self::Spread => "spread",
            Self::Pace => "pace",
            Self::NewHeight => "new height",
            Self::Quiet => "unrest before",
            Self::Even => "even steps",
            Self::Rate => "rate",
            Self::Sustained => "lasted",
            Self::TimeLeft => "time left",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gate_has_its_unit() {
        let mib = f64::from(1 << 20);
        for (gate, value, bound, found, asked) in [
            (
                Gate::Gain,
                118.0 * mib,
                Bound::Least(10.0 * mib),
                "118 MiB",
                "at least 10 MiB",
            ),
            (
                Gate::Gain,
                -mib,
                Bound::Least(mib),
                "-1 MiB",
                "at least 1 MiB",
            ),
            (Gate::Gain, -0.4, Bound::Least(1.0), "0 B", "at least 1 B"),
            (
                Gate::Rate,
                mib,
                Bound::Least(mib / 2.0),
                "60 MiB/min",
                "at least 30 MiB/min",
            ),
            (
                Gate::Rate,
                -mib,
                Bound::Least(mib),
                "-60 MiB/min",
                "at least 60 MiB/min",
            ),
            (
                Gate::Sustained,
                720.0,
                Bound::Least(9000.0),
                "12 min",
                "at least 2 h 30 min",
            ),
            (
                Gate::TimeLeft,
                f64::INFINITY,
                Bound::Most(1800.0),
                "no end",
                "at most 30 min",
            ),
            (Gate::Step, 0.0625, Bound::Most(0.5), "6.3%", "at most 50%"),
            (
                Gate::Concordance,
                -1.0,
                Bound::Least(0.8),
                "-100%",
                "at least 80%",
            ),
            (
                Gate::Pace,
                1e9,
                Bound::Least(0.5),
                "over 1000%",
                "at least 50%",
            ),
            (
                Gate::Pace,
                f64::INFINITY,
                Bound::Least(0.5),
                "level at first",
                "at least 50%",
            ),
            (
                Gate::NewHeight,
                f64::INFINITY,
                Bound::Least(0.5),
                "nothing before",
                "at least 50%",
            ),
            (
                Gate::Quiet,
                f64::INFINITY,
                Bound::Most(0.0625),
                "not known yet",
                "at most 6.3%",
            ),
            (
                Gate::Step,
                f64::INFINITY,
                Bound::Most(0.5),
                "no rise",
                "at most 50%",
            ),
            (
                Gate::Even,
                f64::NAN,
                Bound::Least(0.6),
                "no rise",
                "at least 60%",
            ),
        ] {
            let check = Check { gate, value, bound };
            assert_eq!(
                (check.found().as_str(), check.asked().as_str()),
                (found, asked)
            );
        }
        let check = |value| Check {
            gate: Gate::Step,
            value,
            bound: Bound::Most(0.5),
        };
        assert_eq!(check(0.25).to_string(), "largest step 25% <= 50%");
        assert_eq!(check(f64::NAN).to_string(), "largest step: no rise");
        assert_eq!(check(0.75).to_string(), "largest step 75% > 50%");
    }
}
