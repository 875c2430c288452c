//! Where a case is set: a recording, and a service that runs in it.

use rand_chacha::ChaCha8Rng;

use super::chance::{around, between, count, exp, happens, log_between, one_of};
use super::clock::{Clock, Tick};
use super::noise::Noise;
use super::{GIB, MIB};
use crate::case::{Case, Leak, Process};

const PAGE: f64 = 4096.0;
/// No process holds less.
const MIN_BYTES: f64 = 160.0 * 1024.0;
/// Every kind of behaviour goes by every name.
const NAMES: [&str; 12] = [
    "api", "worker", "postgres", "java", "node", "gateway", "python3", "indexd", "agent", "redis",
    "media", "sessiond",
];

/// A recording and a service.
#[derive(Debug, Clone)]
pub struct Scene {
    /// When samples are taken.
    pub clock: Clock,
    /// When the service starts, in running time; 0 is a service that is there before.
    pub start_secs: f64,
    /// What it usually holds, in bytes.
    pub base: f64,
    /// Its process's number; further ones are after it.
    pub pid: u32,
    /// Its name.
    pub comm: &'static str,
    /// How long it takes to be up.
    pub settle_secs: f64,
}

impl Scene {
    /// Any service in any recording.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let clock = Clock::draw(rng);
        Self::in_recording(rng, clock)
    }

    /// Any service, in this recording.
    pub fn in_recording(rng: &mut ChaCha8Rng, clock: Clock) -> Self {
        let is_there = happens(rng, 0.5);
        let latest_secs = 0.2 * clock.length_secs;
        Self {
            start_secs: if is_there {
                0.0
            } else {
                between(rng, clock.step_secs, latest_secs)
            },
            base: around(rng, 120.0 * MIB, 4.0).clamp(5.0 * MIB, 4.0 * GIB),
            pid: count(rng, 300, 400_000),
            comm: one_of(rng, &NAMES),
            settle_secs: log_between(rng, 0.5, 40.0),
            clock,
        }
    }

    /// When something begins that a start brings about, or a first use, or a new configuration.
    pub fn onset_secs(&self, rng: &mut ChaCha8Rng) -> f64 {
        match self.start_secs > 0.0 {
            true => self.start_secs,
            false => between(rng, 0.0, 0.25) * self.clock.length_secs,
        }
    }

    /// The part of the base that is there some time after a start in the recording.
    pub fn settled(&self, start_secs: f64, running_secs: f64) -> f64 {
        match start_secs > 0.0 {
            true => 1.0 - 0.9 * exp(-(running_secs - start_secs) / self.settle_secs),
            false => 1.0,
        }
    }

    /// Records a process from `start_secs` on: what `held` says beside the noise, until it says
    /// none or the limit is reached.
    pub fn record(
        &self,
        rng: &mut ChaCha8Rng,
        start_secs: f64,
        limit: Option<f64>,
        noise: &mut Noise,
        mut held: impl FnMut(&mut ChaCha8Rng, &Tick) -> Option<f64>,
    ) -> Process {
        let mut samples = Vec::new();
        let first = self
            .clock
            .ticks
            .partition_point(|tick| tick.running_secs < start_secs);
        let mut before_secs = None;
        for tick in &self.clock.ticks[first..] {
            let before_secs = before_secs.replace(tick.running_secs);
            let is_new = start_secs > 0.0;
            let since_secs = before_secs.or(is_new.then_some(start_secs));
            let mut tick = *tick;
            if let Some(since_secs) = since_secs {
                tick.elapsed_secs = tick.running_secs - since_secs;
            }
            let Some(bytes) = held(rng, &tick) else {
                break;
            };
            let bytes = (bytes + noise.next(rng, &tick)).max(MIN_BYTES);
            if limit.is_some_and(|limit| bytes >= limit) {
                break;
            }
            samples.push((tick.secs, ((bytes / PAGE).round() * PAGE) as u64));
        }
        Process {
            pid: self.pid,
            comm: self.comm.to_owned(),
            samples,
        }
    }

    /// The only process of a healthy service, from its start to the end.
    pub fn healthy(
        &self,
        rng: &mut ChaCha8Rng,
        mut held: impl FnMut(&mut ChaCha8Rng, &Tick) -> f64,
    ) -> Case {
        let mut noise = Noise::draw(rng, self.base, f64::INFINITY);
        let start_secs = self.start_secs;
        let process = self.record(rng, start_secs, None, &mut noise, |rng, tick| {
            let missing = self.base * (1.0 - self.settled(start_secs, tick.running_secs));
            Some(held(rng, tick) - missing)
        });
        self.healthy_case(rng, vec![process])
    }

    /// A case of healthy processes, with a limit that none of them reaches or without.
    pub fn healthy_case(&self, rng: &mut ChaCha8Rng, processes: Vec<Process>) -> Case {
        let sizes = processes.iter().flat_map(|process| &process.samples);
        let peak = sizes.map(|(_, bytes)| *bytes).max().unwrap_or(0) as f64;
        let limit = happens(rng, 0.5).then(|| log_between(rng, 1.15, 5.0) * peak);
        self.case(None, limit, processes)
    }

    /// A case, ready but for its family and seed.
    pub fn case(&self, leak: Option<Leak>, limit: Option<f64>, processes: Vec<Process>) -> Case {
        Case {
            family: "",
            seed: 0,
            leak,
            step_secs: self.clock.step_secs,
            unit: format!("{}.service", self.comm),
            limit_bytes: limit.map(|bytes| ((bytes / MIB).ceil() * MIB) as u64),
            processes: processes
                .into_iter()
                .filter(|process| !process.samples.is_empty())
                .collect(),
        }
    }
}
