//! A recording as a source of samples.

mod lines;
mod recording;

pub use recording::Recording;

use std::collections::BTreeMap;
use std::io::{self, Read};

use anyhow::{Result, bail};

use super::{Collector, Facts, Headroom, HeapReading, LimitKind};
use crate::sample::{Moment, ProcessId, Sample, Source};
use recording::Row;

/// More processes at once are no recording of a machine.
const MAX_PROCESSES: usize = 100_000;
/// A process that has not been sampled for so many of its intervals has exited.
const EXIT_INTERVALS: f64 = 2.5;
/// A silence of the whole recording for so many intervals is a gap, in which nothing exits.
const GAP_INTERVALS: f64 = 6.0;
/// How long a recorded machine has been up when its recording starts: ten years, so that what is
/// there from the start is no newcomer.
const UPTIME_SECS: f64 = 10.0 * 365.25 * 86400.0;

/// A recording as a source of samples, a round for each time in it.
#[derive(Debug)]
pub struct Recorded<R> {
    recording: Recording<R>,
    /// The usual time between two samples of a process.
    interval_secs: f64,
    /// In order, so that the same recording always gives the same alerts.
    processes: BTreeMap<u32, Process>,
    start_secs: Option<f64>,
    now_secs: f64,
    /// Time that gaps have taken.
    gap_secs: f64,
}

#[derive(Debug)]
struct Process {
    row: Row,
    started_secs: f64,
    /// When it was sampled last and how often it usually is, gaps not counted.
    seen_secs: f64,
    interval_secs: f64,
}

impl<R: Read> Recorded<R> {
    /// Before the first round. `interval_secs` is the usual time between two samples of a process.
    pub fn new(recording: Recording<R>, interval_secs: f64) -> Self {
        let processes = BTreeMap::new();
        Self {
            recording,
            interval_secs,
            processes,
            start_secs: None,
            now_secs: 0.0,
            gap_secs: 0.0,
        }
    }

    /// Takes in the rows of the next time. `None` at the end.
    pub fn advance(&mut self) -> Result<Option<Moment>> {
        let Some(first) = self.recording.next()? else {
            return Ok(None);
        };
        let now_secs = first.time_secs;
        let tick_secs = now_secs - self.start_secs.map_or(now_secs, |_| self.now_secs);
        if tick_secs > GAP_INTERVALS * self.interval_secs {
            self.gap_secs += tick_secs - self.interval_secs;
        }
        self.now_secs = now_secs;
        self.start_secs.get_or_insert(now_secs);
        let mut row = Some(first);
        while let Some(taken) = row {
            self.take(taken);
            if self.processes.len() > MAX_PROCESSES {
                bail!(
                    "at time_secs {now_secs} there are more than {MAX_PROCESSES} processes: are all times right?"
                );
            }
            row = self.recording.next()?;
            if let Some(later) = row.take_if(|row| row.time_secs != now_secs) {
                self.recording.put_back(later);
            }
        }
        let counted_secs = self.counted_secs();
        self.processes.retain(|_, process| {
            let silent_secs = counted_secs - process.seen_secs;
            silent_secs <= 0.0 || silent_secs < EXIT_INTERVALS * process.interval_secs
        });
        let time = jiff::SignedDuration::from_secs_f64(now_secs);
        Ok(Some(Moment {
            monotonic_secs: now_secs,
            boot_secs: UPTIME_SECS + now_secs,
            time: jiff::Timestamp::UNIX_EPOCH
                .saturating_add(time)
                .unwrap_or(jiff::Timestamp::MAX),
        }))
    }

    /// The time without gaps.
    fn counted_secs(&self) -> f64 {
        self.now_secs - self.gap_secs
    }

    fn take(&mut self, row: Row) {
        let seen_secs = self.counted_secs();
        match self
            .processes
            .get_mut(&row.pid)
            .filter(|process| process.row.comm == row.comm)
        {
            Some(process) => {
                if seen_secs > process.seen_secs {
                    process.interval_secs = seen_secs - process.seen_secs;
                }
                process.seen_secs = seen_secs;
                process.row = row;
            }
            None => {
                // One sweep over all processes may take its time.
                let is_old = self
                    .start_secs
                    .is_none_or(|start_secs| row.time_secs - start_secs < self.interval_secs);
                let started_secs = if is_old {
                    0.0
                } else {
                    UPTIME_SECS + row.time_secs
                };
                let interval_secs = self.interval_secs;
                self.processes.insert(
                    row.pid,
                    Process {
                        row,
                        started_secs,
                        seen_secs,
                        interval_secs,
                    },
                );
            }
        }
    }
}

/// The number of a unit's cgroup, made from its name (FNV-1a, 64 bits): never 0, which is none.
fn cgroup_id(unit: &str) -> u64 {
    let hash = unit.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}

impl<R: Read> Collector for Recorded<R> {
    fn scan(&mut self, source: Source, each: &mut dyn FnMut(Sample)) -> Result<()> {
        if source != Source::Pages {
            return Ok(());
        }
        for process in self.processes.values() {
            each(Sample {
                process: ProcessId {
                    pid: process.row.pid,
                    start_time_ns: (process.started_secs * 1e9) as u64,
                },
                comm: process.row.comm,
                parent_pid: 0,
                uid: 0,
                cgroup_id: process.row.unit.as_deref().map_or(0, cgroup_id),
                bytes: process.row.bytes,
                shared_bytes: 0,
                file_bytes: 0,
                virtual_bytes: 0,
            });
        }
        Ok(())
    }

    fn facts(&mut self, sample: &Sample) -> io::Result<Facts> {
        let process = self
            .processes
            .get(&sample.process.pid)
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Facts {
            unit: process.row.unit.clone(),
            ..Facts::default()
        })
    }

    fn headroom(&mut self, sample: &Sample, _: &Facts) -> Option<Headroom> {
        let limit_bytes = self.processes.get(&sample.process.pid)?.row.limit_bytes?;
        let headroom_bytes = limit_bytes.saturating_sub(sample.bytes);
        Some(Headroom {
            kind: LimitKind::Recorded,
            limit_bytes,
            headroom_bytes,
        })
    }

    fn heap(&mut self, _: ProcessId, _: f64) -> Option<HeapReading> {
        None
    }

    fn kernel_gained_bytes(&mut self, _: f64) -> Option<f64> {
        None
    }

    fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64> {
        Ok(sample.bytes)
    }
}
