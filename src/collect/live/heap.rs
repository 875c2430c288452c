//! A measured heap, as the loop sees it: readings over time, and what goes with its pages.

use std::collections::VecDeque;

use crate::collect::HeapReading;
use crate::sample::Sample;

/// How often a reading is remembered, and how many: for two hours.
const EVERY_SECS: f64 = 30.0;
const REMEMBERED: usize = 240;

/// A process whose heap is measured.
#[derive(Debug)]
pub(super) struct MeasuredHeap {
    reading: HeapReading,
    past: VecDeque<Past>,
    /// Its pages, as of the last scan.
    sample: Option<Sample>,
    /// Its pages when the measuring began: what its heap is taken to have been then.
    base_bytes: Option<u64>,
}

/// What an earlier reading said, in all since the measuring began.
#[derive(Debug, Clone, Copy)]
struct Past {
    span_secs: f64,
    seen_secs: f64,
    net_bytes: f64,
    mapped_bytes: f64,
}

impl MeasuredHeap {
    /// The first reading.
    pub fn new(reading: HeapReading) -> Self {
        let mut heap = Self {
            reading,
            past: VecDeque::new(),
            sample: None,
            base_bytes: None,
        };
        heap.remember();
        heap
    }

    /// A later reading. One that has begun anew has another base.
    pub fn renewed(mut self, reading: HeapReading) -> Self {
        if reading.span_secs < self.reading.span_secs {
            return Self::new(reading);
        }
        self.reading = reading;
        self.sample = None;
        self.remember();
        self
    }

    /// Takes note of the pages of its process.
    pub fn take(&mut self, sample: Sample) {
        self.sample = Some(sample);
        self.base_bytes.get_or_insert(sample.bytes);
    }

    /// The process with its heap in the place of its pages.
    pub fn sample(&self) -> Option<Sample> {
        let base_bytes = i64::try_from(self.base_bytes?).unwrap_or(i64::MAX);
        let bytes = base_bytes.saturating_add(self.reading.net_bytes).max(0);
        Some(Sample {
            bytes: bytes.cast_unsigned(),
            ..self.sample?
        })
    }

    /// The reading with the rates of its last seconds, as far as they were measured.
    pub fn lately(&self, secs: f64) -> HeapReading {
        let now = past(&self.reading);
        let is_before = |past: &&Past| past.span_secs <= now.span_secs - secs;
        let before = self.past.iter().rev().find(is_before);
        let mut reading = self.reading.clone();
        if let Some(before) = before {
            let seen_secs = now.seen_secs - before.seen_secs;
            let rate = |now: f64, before: f64| match seen_secs > 0.0 {
                true => (now - before) / seen_secs,
                false => 0.0,
            };
            reading.seen_secs = seen_secs;
            reading.growth_bytes_per_sec = rate(now.net_bytes, before.net_bytes);
            reading.mapped_bytes_per_sec = rate(now.mapped_bytes, before.mapped_bytes);
        }
        reading
    }

    fn remember(&mut self) {
        let last_secs = self.past.back().map(|past| past.span_secs);
        if last_secs.is_none_or(|last_secs| self.reading.span_secs >= last_secs + EVERY_SECS) {
            self.past.push_back(past(&self.reading));
            if self.past.len() > REMEMBERED {
                self.past.pop_front();
            }
        }
    }
}

fn past(reading: &HeapReading) -> Past {
    Past {
        span_secs: reading.span_secs,
        seen_secs: reading.seen_secs,
        net_bytes: reading.growth_bytes_per_sec * reading.seen_secs,
        mapped_bytes: reading.mapped_bytes_per_sec * reading.seen_secs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Net;
    use crate::sample::ProcessId;

    fn reading(span_secs: f64, growth_bytes_per_sec: f64) -> HeapReading {
        HeapReading {
            process: ProcessId {
                pid: 7,
                start_time_ns: 0,
            },
            net: Net::default(),
            span_secs,
            seen_secs: span_secs / 10.0,
            net_bytes: 0,
            growth_bytes_per_sec,
            mapped_bytes_per_sec: 0.0,
            method: String::new(),
            cost_secs: 0.0,
            loss: Vec::new(),
        }
    }

    #[test]
    fn a_leak_that_began_lately_is_not_thinned_by_the_time_before() {
        // An hour of health, then ten minutes of 1000 bytes a second.
        let mut heap = MeasuredHeap::new(reading(0.0, 0.0));
        for step in 1..=420 {
            let secs = f64::from(step) * 10.0;
            let leaked = (secs - 3600.0).max(0.0) * 1000.0;
            heap = heap.renewed(reading(secs, leaked / secs));
        }
        let lately = heap.lately(590.0);
        assert!(
            (lately.growth_bytes_per_sec - 1000.0).abs() < 60.0,
            "{lately:?}"
        );
        assert!((lately.seen_secs - 60.0).abs() < 4.0, "{lately:?}");
        let in_all = heap.lately(1e6);
        assert!(in_all.growth_bytes_per_sec < 200.0, "{in_all:?}");
    }

    #[test]
    fn what_begins_anew_forgets() {
        let heap = MeasuredHeap::new(reading(1000.0, 5.0)).renewed(reading(10.0, 7.0));
        assert_eq!(heap.lately(500.0).growth_bytes_per_sec, 7.0);
    }
}
