//! An alert for tests.

use crate::alert::Alert;

/// A leak as the daemon tells of it, the same as in the tests of the programs.
pub fn leak() -> Alert {
    serde_json::from_str(include_str!("../../tests/smtp/leak.json")).expect("is an alert")
}
