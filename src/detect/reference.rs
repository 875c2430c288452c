//! Holds the statistics against what NumPy and SciPy say, see scripts/reference_vectors.py.

use serde::Deserialize;

use super::forecast::Forecast;
use super::history::{History, N_SCALES};
use super::statistics::{Slope, concordance, slope};

#[derive(Deserialize)]
struct Vectors {
    rows: Vec<Row>,
    floors: Vec<Floors>,
}

/// A row of values at equal distances.
#[derive(Deserialize)]
struct Row {
    name: String,
    values: Vec<f64>,
    tie: f64,
    tau: f64,
    slope: f64,
    low: f64,
    high: f64,
    step_secs: f64,
    headroom_bytes: u64,
    soonest_secs: Option<f64>,
    likely_secs: Option<f64>,
    latest_secs: Option<f64>,
}

/// Samples in KiB, one a block, and the newest minima of 1, 3, 9, ... of them.
#[derive(Deserialize)]
struct Floors {
    name: String,
    samples_kib: Vec<u64>,
    floors_kib: Vec<Vec<u32>>,
}

/// Numbers go through decimal notation and may differ in their last bits.
const ROUNDING: f64 = 1e-12;

fn vectors() -> Vectors {
    let text = include_str!("../../tests/statistics/vectors.json");
    let vectors: Vectors = serde_json::from_str(text).expect("is what the script writes");
    assert!(vectors.rows.len() >= 200 && vectors.floors.len() >= 20);
    vectors
}

fn is_close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= ROUNDING * expected.abs()
}

fn is_same_time(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => is_close(found, expected),
        (found, expected) => found == expected,
    }
}

#[test]
fn concordance_is_kendalls() {
    for row in vectors().rows {
        let found = concordance(&row.values, row.tie);
        assert!(is_close(found, row.tau), "{}: {found}", row.name);
    }
}

#[test]
fn slope_is_sens() {
    for row in vectors().rows {
        let found = slope(&row.values);
        assert!(is_close(found.median, row.slope), "{}: {found:?}", row.name);
        assert!(is_close(found.low, row.low), "{}: {found:?}", row.name);
        assert!(is_close(found.high, row.high), "{}: {found:?}", row.name);
    }
}

#[test]
fn forecast_follows_the_slope() {
    for row in vectors().rows {
        let a_sec = |a_step: f64| a_step * 1024.0 / row.step_secs;
        let Slope { median, low, high } = slope(&row.values);
        let bytes_per_sec = Slope {
            median: a_sec(median),
            low: a_sec(low),
            high: a_sec(high),
        };
        let found = Forecast::new(bytes_per_sec, row.headroom_bytes);
        let all = [
            (found.soonest_secs, row.soonest_secs),
            (found.likely_secs, row.likely_secs),
            (found.latest_secs, row.latest_secs),
        ];
        let is_same = all
            .iter()
            .all(|(found, expected)| is_same_time(*found, *expected));
        assert!(is_same, "{}: {found:?}", row.name);
    }
}

#[test]
fn floors_are_block_minima() {
    const BLOCK_SECS: f64 = 5.0;
    for row in vectors().floors {
        let mut history = History::new(BLOCK_SECS, 0.0, row.samples_kib[0] << 10);
        for (step, kib) in row.samples_kib.iter().enumerate().skip(1) {
            history.observe(step as f64 * BLOCK_SECS, kib << 10);
        }
        assert_eq!(row.floors_kib.len(), N_SCALES, "{}", row.name);
        for (scale, expected) in row.floors_kib.iter().enumerate() {
            let n_floors = history.n_floors(scale);
            let found: Vec<u32> = history.floors(scale, n_floors).collect();
            assert_eq!(&found, expected, "{}, scale {scale}", row.name);
        }
    }
}
