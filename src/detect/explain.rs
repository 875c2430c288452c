//! Says of a history what each gate finds, whether or not it is a leak.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::assess::lanes;
use super::gate::{Bound, Check, Gate, rounded};
use super::history::{History, N_FLOORS, N_SCALES};
use super::lane::{Asks, Growth, Lane};
use super::patience::Patience;
use super::window::Window;

/// Why the growth of a process is a leak, or why it is none. Field names are public.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What it comes to.
    pub verdict: Verdict,
    /// Which lane says so.
    pub lane: Lane,
    /// What is still missing in that lane: the first gate that does not pass.
    pub fails: Option<Gate>,
    /// If it is pending, how much longer growth must last, in seconds.
    pub pending_secs: Option<f64>,
    /// What each lane finds.
    pub lanes: Vec<Look>,
}

/// What the gates of a lane come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every gate passes.
    Leaking,
    /// Every gate but that it has lasted for long enough.
    Pending,
    /// It does not grow like a leak.
    Quiet,
}

/// One lane: the window that got furthest through its gates, over all scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Which lane.
    pub lane: Lane,
    /// What its gates come to.
    pub verdict: Verdict,
    /// How long the window is, in seconds; no window if too little is remembered.
    pub window_secs: Option<f64>,
    /// What was gained in it, from floor to floor, in bytes.
    pub gained_bytes: Option<f64>,
    /// Its rate, in bytes a second,
    pub growth_bytes_per_sec: Option<f64>,
    /// and the bounds of that at 95 %.
    pub growth_bytes_per_sec_low: Option<f64>,
    /// The upper one.
    pub growth_bytes_per_sec_high: Option<f64>,
    /// Every gate, in the order of testing.
    pub gates: Vec<Check>,
}

impl Explanation {
    /// The lane that says what it comes to.
    pub fn best(&self) -> Option<&Look> {
        self.lanes.iter().find(|look| look.lane == self.lane)
    }
}

/// Explains a history. `age_secs` is the process's age, `headroom_bytes` what is left to the
/// nearest limit, if there is one.
pub fn explain(
    history: &History,
    age_secs: f64,
    patience: &Patience<'_>,
    headroom_bytes: Option<u64>,
) -> Explanation {
    let looks = lanes(patience.rule, age_secs).map(|asks| {
        let windows = windows(&asks, history, age_secs);
        let looks = windows.map(|window| {
            let growth = asks.measure(history, &window);
            let mut gates = asks.checks(history, &window);
            if gates.iter().all(Check::passes) {
                gates.extend(last_checks(&asks, &growth, patience, headroom_bytes));
            }
            Look::new(&growth, gates)
        });
        let furthest = looks.max_by(Look::by_progress);
        furthest.unwrap_or_else(|| {
            let remembered = remembered(&asks, history, age_secs);
            match remembered.failed() {
                Some(_) => remembered,
                None => level(&asks, history, age_secs).unwrap_or(remembered),
            }
        })
    });
    // Of equals the first: lanes are in the order in which they are asked.
    let by_verdict = |a: &&Look, b: &&Look| {
        let soon = |look: &Look| look.pending_secs().unwrap_or(0.0);
        a.verdict.cmp(&b.verdict).then(soon(a).total_cmp(&soon(b)))
    };
    let best = looks.iter().min_by(by_verdict);
    let best = best.expect("there are three lanes");
    Explanation {
        verdict: best.verdict,
        lane: best.lane,
        fails: best.failed().map(|check| check.gate),
        pending_secs: best.pending_secs(),
        lanes: looks.to_vec(),
    }
}

/// Every gate that growth has passed which is a leak, the last one included.
pub fn passed(
    history: &History,
    age_secs: f64,
    growth: &Growth,
    patience: &Patience<'_>,
    headroom_bytes: Option<u64>,
) -> Vec<Check> {
    let of_lane = |asks: &Asks<'_>| asks.lane == growth.lane;
    let Some(asks) = lanes(patience.rule, age_secs).into_iter().find(of_lane) else {
        return Vec::new();
    };
    let window =
        windows(&asks, history, age_secs).find(|window| asks.measure(history, window) == *growth);
    let mut checks = window.map_or(Vec::new(), |window| asks.checks(history, &window));
    checks.extend(last_checks(&asks, growth, patience, headroom_bytes));
    checks
}

/// All windows that a lane looks at, and those that it would if growth had to last for less: they
/// show what has begun.
fn windows<'a>(
    asks: &'a Asks<'_>,
    history: &'a History,
    age_secs: f64,
) -> impl Iterator<Item = Window> + 'a {
    let counted_secs = counted_secs(asks, age_secs);
    let at_scale = move |asks: Asks<'a>, scale| {
        let windows = asks.windows(history, scale, counted_secs);
        windows.collect::<Vec<_>>()
    };
    [*asks, shortened(asks)]
        .into_iter()
        .flat_map(move |asks| (0..N_SCALES).flat_map(move |scale| at_scale(asks, scale)))
}

/// A lane that looks at as little as can show growth. The fast one does already.
fn shortened<'a>(asks: &Asks<'a>) -> Asks<'a> {
    match asks.lane {
        Lane::Slow | Lane::Sudden => Asks {
            least_secs: 0.0,
            ..*asks
        },
        Lane::Fast => *asks,
    }
}

/// The part of a process's age that a lane looks at.
fn counted_secs(asks: &Asks<'_>, age_secs: f64) -> f64 {
    match asks.lane {
        Lane::Slow | Lane::Sudden => age_secs - asks.rule.warm_up.secs(),
        Lane::Fast => age_secs,
    }
}

/// For how long it has lasted, and in the fast lane before that how much time is left: asked of what
/// passes the other gates.
fn last_checks(
    asks: &Asks<'_>,
    growth: &Growth,
    patience: &Patience<'_>,
    headroom_bytes: Option<u64>,
) -> Vec<Check> {
    let needed_secs = patience.needed_secs(growth, headroom_bytes);
    let sustained = Check {
        gate: Gate::Sustained,
        value: growth.lasted_secs,
        bound: Bound::Least(needed_secs.max(asks.least_secs)),
    };
    let time_left = Check {
        gate: Gate::TimeLeft,
        value: headroom_bytes.map_or(f64::INFINITY, |headroom_bytes| {
            headroom_bytes as f64 / growth.bytes_per_sec.low
        }),
        bound: Bound::Most(patience.rule.fast.exhausts_within.secs()),
    };
    match growth.lane {
        Lane::Slow | Lane::Sudden => vec![sustained],
        Lane::Fast if time_left.passes() => vec![time_left, sustained],
        Lane::Fast => vec![time_left],
    }
}

/// A lane that begins where the rise does looks at nothing where there is none: the longest window
/// that shows it.
fn level(asks: &Asks<'_>, history: &History, age_secs: f64) -> Option<Look> {
    let counted_secs = counted_secs(asks, age_secs).max(0.0);
    let window = (0..N_SCALES).rev().find_map(|scale| {
        let counted = (counted_secs / history.block_secs(scale)) as usize;
        let n_floors = history.n_floors(scale).min(counted);
        (n_floors >= asks.lane.min_floors()).then(|| Window::new(history, scale, n_floors))
    })?;
    let look = Look::new(
        &asks.measure(history, &window),
        asks.checks(history, &window),
    );
    Some(Look {
        verdict: Verdict::Quiet,
        ..look
    })
}

/// What is remembered, and what the shortest window takes.
fn remembered(asks: &Asks<'_>, history: &History, age_secs: f64) -> Look {
    let remembered_secs = counted_secs(asks, age_secs).min(history.age_secs());
    let lengths = (0..N_SCALES).filter_map(|scale| {
        let block_secs = history.block_secs(scale);
        let n_floors = asks.lane.min_floors() as f64;
        let n_shortest = n_floors.max((shortened(asks).least_secs / block_secs).ceil());
        (n_shortest <= N_FLOORS as f64).then_some(n_shortest * block_secs)
    });
    let least_secs = lengths.fold(f64::INFINITY, f64::min);
    Look {
        lane: asks.lane,
        verdict: Verdict::Quiet,
        window_secs: None,
        gained_bytes: None,
        growth_bytes_per_sec: None,
        growth_bytes_per_sec_low: None,
        growth_bytes_per_sec_high: None,
        gates: vec![Check {
            gate: Gate::Remembered,
            value: remembered_secs.max(0.0),
            bound: Bound::Least(least_secs),
        }],
    }
}

impl Look {
    fn new(growth: &Growth, gates: Vec<Check>) -> Self {
        let verdict = match gates.iter().find(|check| !check.passes()) {
            None => Verdict::Leaking,
            Some(check) if check.gate == Gate::Sustained => Verdict::Pending,
            Some(_) => Verdict::Quiet,
        };
        Self {
            lane: growth.lane,
            verdict,
            window_secs: Some(rounded(growth.lasted_secs)),
            gained_bytes: Some(rounded(growth.gained_bytes)),
            growth_bytes_per_sec: Some(rounded(growth.bytes_per_sec.median)),
            growth_bytes_per_sec_low: Some(rounded(growth.bytes_per_sec.low)),
            growth_bytes_per_sec_high: Some(rounded(growth.bytes_per_sec.high)),
            gates,
        }
    }

    /// The first gate that does not pass.
    pub fn failed(&self) -> Option<&Check> {
        self.gates.iter().find(|check| !check.passes())
    }

    /// The further one got to a later gate, or passed more in all, or is longer.
    fn by_progress(&self, other: &Self) -> Ordering {
        let furthest = |look: &Self| look.failed().map_or(Gate::Sustained, |check| check.gate);
        let n_passed = |look: &Self| look.gates.iter().filter(|check| check.passes()).count();
        (self.verdict == Verdict::Leaking)
            .cmp(&(other.verdict == Verdict::Leaking))
            .then(furthest(self).cmp(&furthest(other)))
            .then(n_passed(self).cmp(&n_passed(other)))
            .then(
                self.window_secs
                    .unwrap_or(0.0)
                    .total_cmp(&other.window_secs.unwrap_or(0.0)),
            )
    }

    fn pending_secs(&self) -> Option<f64> {
        let check = self
            .failed()
            .filter(|check| check.gate == Gate::Sustained)?;
        match check.bound {
            Bound::Least(least_secs) => Some(least_secs - check.value),
            Bound::Most(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
