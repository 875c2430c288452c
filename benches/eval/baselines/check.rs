//! Holds the rules against what others compute, before anything is compared with them: the reference
//! vectors of scripts/reference_vectors.py.
//!
//! A program without tests of its own: what is wrong ends it.

mod made;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::coroot::growth_percent;
use super::least_squares::{Sums, predict_linear};
use super::mann_kendall::{Z_1_PERCENT, Z_5_PERCENT, sen, z};
use super::{HOUR, MINUTE, all};

#[derive(Deserialize)]
struct Vectors {
    trends: Vec<Trend>,
    hours: Vec<Hour>,
}

/// Samples, and what SciPy and pyMannKendall say of them.
#[derive(Deserialize)]
struct Trend {
    name: String,
    secs: Vec<f64>,
    bytes: Vec<u64>,
    slope: f64,
    r_squared: f64,
    predicted_growth: f64,
    z: f64,
    p: f64,
    sen: f64,
}

/// What Coroot's check makes of an hour of values a minute apart, of which some are missing.
#[derive(Deserialize)]
struct Hour {
    name: String,
    bytes: Vec<Option<u64>>,
    limit_bytes: Option<u64>,
    percent: f64,
}

/// Fails if a rule does not compute what it is said to compute.
pub fn check() -> Result<()> {
    let text = include_str!("../../../tests/statistics/vectors.json");
    let vectors: Vectors = serde_json::from_str(text).context("reading the reference vectors")?;
    let is_enough = vectors.trends.len() >= 50 && vectors.hours.len() >= 50;
    ensure!(is_enough, "the reference vectors are few");
    for trend in &vectors.trends {
        let checking = || format!("checking {}", trend.name);
        trend.check().with_context(checking)?;
    }
    for hour in &vectors.hours {
        hour.check()?;
    }
    made::check_alarms().context("checking when alarms are raised")?;
    made::check_threshold().context("checking the choice of thresholds")?;
    made::check_thinning().context("checking what the pairs are made of")?;
    made::check_coroot().context("checking Coroot's rule")?;
    for baseline in all() {
        let checking = || format!("checking {}", baseline.name);
        made::check_leak(&baseline).with_context(checking)?;
    }
    Ok(())
}

impl Trend {
    fn check(&self) -> Result<()> {
        let (secs, bytes) = (self.secs.iter().copied(), self.bytes.iter().copied());
        let samples: Vec<(f64, u64)> = secs.zip(bytes).collect();
        let (now_secs, now_bytes) = *samples.last().context("no samples")?;
        let sums = Sums::new(&samples);
        let line = sums.fit(0..=samples.len() - 1);
        is_close("slope", line.bytes_per_sec, self.slope, 1e-6)?;
        is_close("r2", line.r_squared, self.r_squared, 1e-9)?;
        let growth = predict_linear(&line, now_secs + 4.0 * HOUR, now_bytes, None);
        is_close("predicted growth", growth, self.predicted_growth, 0.1)?;
        is_close("z", z(&samples), self.z, 1e-9)?;
        is_close("Sen's slope", sen(&samples), self.sen, 1e-6)?;
        for (quantile, level) in [(Z_5_PERCENT, 0.05), (Z_1_PERCENT, 0.01)] {
            let is_significant = z(&samples).abs() > quantile;
            ensure!(is_significant == (self.p < level), "p < {level}");
        }
        // Sums over a window are those of a series that has nothing else.
        let window = 3..=samples.len() - 3;
        let (inner, alone) = (
            sums.fit(window.clone()),
            Sums::new(&samples[window.clone()]),
        );
        let alone = alone.fit(0..=window.count() - 1);
        is_close(
            "slope of a window",
            inner.bytes_per_sec,
            alone.bytes_per_sec,
            1e-9,
        )?;
        is_close("r2 of a window", inner.r_squared, alone.r_squared, 1e-12)
    }
}

impl Hour {
    fn check(&self) -> Result<()> {
        let points = (0u32..).zip(&self.bytes);
        let points: Vec<(f64, Option<f64>)> = points
            .map(|(minute, bytes)| (f64::from(minute) * MINUTE, bytes.map(|bytes| bytes as f64)))
            .collect();
        let found = growth_percent(&points, self.limit_bytes);
        is_close(&self.name, found, self.percent, 1e-6)
    }
}

fn is_close(what: &str, found: f64, expected: f64, apart: f64) -> Result<()> {
    let relative = 1e-9 * expected.abs();
    let is_close = (found - expected).abs() <= apart + relative;
    ensure!(is_close, "{what} is {found}, expected {expected}");
    Ok(())
}
