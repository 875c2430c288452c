//! Times as the reader's clock shows them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::html::Writer;

/// Tells times in one zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times<'a> {
    pub zone: &'a TimeZone,
}

impl Times<'_> {
    /// `2026-03-01 13:00:05 CET`, and in UTC for who points at it.
    pub fn write(&self, writer: &mut Writer, time: Timestamp) {
        let utc = time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        let machine = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let attributes = [("datetime", machine.as_str()), ("title", &utc)];
        writer.element(
            "time",
            &attributes,
            &self.tell(time, "%Y-%m-%d %H:%M:%S %Z"),
        );
    }

    /// In a format of its own.
    pub fn tell(&self, time: Timestamp, format: &str) -> String {
        let time = time.to_zoned(self.zone.clone());
        time.strftime(format).to_string()
    }

    /// How far the zone is from UTC at a time, in seconds.
    pub fn offset_secs(&self, time: Timestamp) -> i64 {
        self.zone.to_offset(time).seconds().into()
    }
}
