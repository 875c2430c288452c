//! `memleakctl record`: what processes hold, over time, as a table that `memleakd replay` reads.
//!
//! It reads /proc itself, so that it needs neither the daemon nor any right.

mod sheet;

use std::collections::HashMap;
use std::io::{self, IsTerminal, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::Progress;
use crate::collect::{Facts, Held, Host};
use crate::config::Glob;
use crate::quantity::{Span, count};
use crate::sample::ProcessId;
use crate::wait::Stop;
use sheet::{Row, Sheet};

/// A limit is told of processes that have grown by so much since they were first seen: of others it
/// does not matter, and it takes several files.
const NOTABLE_BYTES: u64 = 1 << 20;

/// What is recorded.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// These processes, and no others; all if there are none.
    pub pids: Vec<u32>,
    /// What is in such a unit or user unit.
    pub unit: Option<Glob>,
    /// How often.
    pub interval: Span,
    /// For how long; until somebody interrupts it, if that is not said.
    pub time: Option<Span>,
}

/// Reads how often something is to be recorded.
pub fn record_interval(text: &str) -> Result<Span, String> {
    let interval: Span = text.parse().map_err(|error| format!("{error}"))?;
    let range = Span::from_secs_f64(0.1)..=Span::from_secs(3600);
    match range.contains(&interval) {
        true => Ok(interval),
        false => Err(format!(
            "{text:?} is out of range: write {:#} to {:#}",
            range.start(),
            range.end()
        )),
    }
}

/// Records into a file, or standard output, until the time is over, those processes have ended, or
/// somebody interrupts it. What is written is always whole lines.
pub fn record(file: Option<&Path>, wanted: &Wanted) -> Result<()> {
    let host = Host::new("/");
    for pid in &wanted.pids {
        match host.held(*pid) {
            Ok(Some(_)) => {}
            Ok(None) => bail!("{pid} is a thread of the kernel, which has no memory of its own"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("there is no process {pid}")
            }
            Err(error) => return Err(error).with_context(|| format!("reading process {pid}")),
        }
    }
    let stop = Stop::on_signals().context("taking SIGTERM and SIGINT")?;
    let mut sheet = Sheet::create(file)?;
    let mut recorder = Recorder {
        host,
        wanted,
        known: HashMap::new(),
    };
    let began_secs = boot_secs();
    // The time of day may be set meanwhile; the time since boot goes on, also while suspended.
    let epoch_secs = jiff::Timestamp::now().as_millisecond() as f64 / 1e3 - began_secs;
    let until_secs = wanted
        .time
        .map_or(f64::INFINITY, |time| began_secs + time.secs());
    let mut next_secs = began_secs;
    let n_rows = Arc::new(AtomicUsize::new(0));
    let n_shown = Arc::clone(&n_rows);
    // Who sees the rows themselves needs no more.
    let is_seen = file.is_none() && stdout().is_terminal();
    let _progress = (!is_seen).then(|| {
        Progress::begin_without_signals(move |past| {
            let rows = count(n_shown.load(Ordering::Relaxed), "row", "rows");
            let past = Span::from_secs(past.as_secs());
            format!("recorded {rows} in {past} (Ctrl-C ends it)")
        })
    });
    loop {
        let rows = recorder.round()?;
        if rows.is_empty() && !wanted.pids.is_empty() {
            return Ok(());
        }
        sheet.write(epoch_secs + boot_secs(), &rows)?;
        n_rows.fetch_add(rows.len(), Ordering::Relaxed);
        // A round that is late is not made up for.
        next_secs = (next_secs + wanted.interval.secs()).max(boot_secs());
        if next_secs > until_secs || is_stopped(&stop, next_secs - boot_secs())? {
            return Ok(());
        }
    }
}

/// What is known of the processes that are recorded.
struct Recorder<'a> {
    host: Host,
    wanted: &'a Wanted,
    known: HashMap<u32, Known>,
}

/// What need not be read each time.
struct Known {
    first: Held,
    facts: Facts,
    round_seen: bool,
}

impl Recorder<'_> {
    /// A row for each process.
    fn round(&mut self) -> Result<Vec<Row>> {
        let pids = match self.wanted.pids.is_empty() {
            true => self.host.processes().context("reading /proc")?,
            false => self.wanted.pids.clone(),
        };
        for known in self.known.values_mut() {
            known.round_seen = false;
        }
        let rows = pids.into_iter().filter_map(|pid| self.row(pid)).collect();
        self.known.retain(|_, known| known.round_seen);
        Ok(rows)
    }

    /// What there is to write of a process; nothing of one that has ended or is not wanted.
    fn row(&mut self, pid: u32) -> Option<Row> {
        let held = self.host.held(pid).ok()??;
        let is_same = |known: &Known| {
            let first = &known.first;
            (first.start_time_ticks, first.comm) == (held.start_time_ticks, held.comm)
        };
        if !self.known.get(&pid).is_some_and(is_same) {
            // Whose number was given to another process since the start is not the one that is wanted.
            let was = self
                .known
                .get(&pid)
                .map(|known| known.first.start_time_ticks);
            let is_another = was.is_some_and(|ticks| ticks != held.start_time_ticks);
            if is_another && !self.wanted.pids.is_empty() {
                return None;
            }
            let process = ProcessId {
                pid,
                start_time_ns: held.start_time_ticks.saturating_mul(10_000_000),
            };
            // Whose process it is does not matter here.
            let facts = self.host.facts(process, 0).ok()?;
            let known = Known {
                first: held,
                facts,
                round_seen: false,
            };
            self.known.insert(pid, known);
        }
        let known = self.known.get_mut(&pid)?;
        known.round_seen = true;
        let Facts {
            unit, user_unit, ..
        } = &known.facts;
        let mut units = [user_unit, unit].into_iter().flatten();
        if let Some(pattern) = &self.wanted.unit
            && !units.clone().any(|unit| pattern.matches(unit))
        {
            return None;
        }
        let has_grown = held.bytes.saturating_sub(known.first.bytes) >= NOTABLE_BYTES;
        let headroom = has_grown
            .then(|| self.host.headroom(&known.facts, held.virtual_bytes, pid))
            .flatten();
        Some(Row {
            pid,
            comm: held.comm,
            bytes: held.bytes,
            unit: units.next().cloned(),
            // Others may share the limit: what is left is what counts.
            limit_bytes: headroom
                .map(|headroom| held.bytes.saturating_add(headroom.headroom_bytes)),
        })
    }
}

fn boot_secs() -> f64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Waits for a time. Whether somebody wants it to end.
fn is_stopped(stop: &Stop, secs: f64) -> Result<bool> {
    let mut ready = [PollFd::new(stop, PollFlags::IN)];
    let wait = Timespec {
        tv_sec: secs.max(0.0) as i64,
        tv_nsec: (secs.max(0.0).fract() * 1e9) as i64,
    };
    match poll(&mut ready, Some(&wait)) {
        Ok(n_ready) => Ok(n_ready > 0),
        Err(Errno::INTR) => Ok(stop.is_asked()),
        Err(error) => Err(error).context("waiting"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_neither_too_short_nor_too_long() {
        for (text, is_right) in [
            ("5s", true),
            ("100ms", true),
            ("1h", true),
            ("99ms", false),
            ("0s", false),
            ("61min", false),
            ("5", false),
        ] {
            assert_eq!(record_interval(text).is_ok(), is_right, "{text}");
        }
    }
}
