use jiff::Timestamp;

use super::{Alert, Cause, Change, State};
use crate::config::Severity;
use crate::sample::Source;

/// The id of an alert that is a test.
pub const TEST_ID: &str = "test";

impl Alert {
    /// One of which nothing is known yet but its id.
    pub(super) fn unknown(id: String, now: Timestamp, host: &str) -> Self {
        Self {
            change: Change::Raised,
            state: State::Firing,
            id,
            time: now,
            raised: now,
            time_secs: None,
            host: host.to_owned(),
            rule: String::new(),
            severity: Severity::Warning,
            reason: None,
            acknowledged: None,
            acknowledged_by: None,
            silenced_until: None,
            inhibited_by: None,
            pid: 0,
            start_time: 0,
            comm: String::new(),
            exe: None,
            unit: None,
            user_unit: None,
            uid: 0,
            user: None,
            cgroup: String::new(),
            container: None,
            processes: 1,
            peers: 0,
            peers_growing: 0,
            source: Source::Pages,
            cause: Cause::Unknown,
            bytes: 0,
            heap_bytes_per_sec: None,
            heap_method: None,
            growth_bytes: 0,
            growth_bytes_per_sec: 0.0,
            growth_bytes_per_sec_low: 0.0,
            since: now,
            unseen_since: None,
            limit_bytes: None,
            limit_kind: None,
            exhausts_in_secs: None,
            exhausts_in_secs_low: None,
            exhausts_in_secs_high: None,
            host_available_bytes: None,
            host_total_bytes: None,
            host_pressure_percent: None,
            curve: Vec::new(),
            next_reminder: None,
            sites: Vec::new(),
            sites_missing: None,
            gates: Vec::new(),
            loss: Vec::new(),
            message: String::new(),
        }
    }

    /// One that says that it is a test, of this very process.
    pub fn test(now: Timestamp, host: &str) -> Self {
        Self {
            rule: TEST_ID.to_owned(),
            pid: std::process::id(),
            comm: "memleakd".to_owned(),
            message: "this is a test, asked for by \"memleakctl test\": nothing leaks".to_owned(),
            ..Self::unknown(TEST_ID.to_owned(), now, host)
        }
    }

    /// Whether it is a test.
    pub fn is_test(&self) -> bool {
        self.id == TEST_ID
    }
}
