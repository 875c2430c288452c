//! The stacks of one process, captured while its probes are in.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use libbpf_rs::Link;

use super::pinpoint::{Pinpoint, Pinpointed};
use super::probes::Probes;
use super::relay::{Hearer, PATIENCE, Relay};
use super::sampling::{Counted, N_CLASSES, Sampling, classes};
use super::subject::Tools;
use super::totals::Totals;
use crate::collect::allocator::Allocator;
use crate::quantity::count;

/// How often it is looked what grows.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// The first look comes early: before it, nothing is known of what is allocated.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// A capture that is seldom allowed to look ends after so many times the time that was asked for,
const LONGEST: u32 = 20;
/// and after this time at the latest.
const LATEST: Duration = Duration::from_secs(600);

/// A capture that samples, whenever the probes are in.
#[derive(Debug)]
pub(super) struct Capturing {
    number: u32,
    settings: Pinpoint,
    relay: Relay,
    sampling: Sampling,
    /// How finely it is sampled.
    sampling_bytes: [u64; N_CLASSES],
    ordered: Instant,
    began: Option<Instant>,
    /// How long it was looked, in closed windows.
    seen: Duration,
    window: Option<Window>,
    look_at: Instant,
    /// What was counted while it was looked.
    counted: Totals,
}

/// A time in which stacks are sampled.
#[derive(Debug)]
struct Window {
    since: Instant,
    before: Totals,
    classes_before: [Counted; N_CLASSES],
    looked: Instant,
    classes_looked: [Counted; N_CLASSES],
    /// What sampling needs besides the probes that count.
    _links: Vec<Link>,
}

/// A capture of which the sites are being found.
#[derive(Debug)]
pub(super) struct Resolving {
    relay: Relay,
    until: Instant,
    loss: Vec<String>,
    span_secs: f64,
    seen_secs: f64,
    method: String,
    cost_secs: f64,
}

/// Which process it is, for a capture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    pub slot: u32,
    pub pid: u32,
    pub allocators: &'a [Allocator],
}

impl Capturing {
    /// Makes what a capture needs. Nothing is sampled before a window is opened. So many bytes are
    /// allocated a second, as far as that is known.
    pub fn begin(
        probes: &Probes,
        hearer: &Hearer,
        number: u32,
        pid: u32,
        settings: Pinpoint,
        bytes_per_sec: f64,
    ) -> Result<Self> {
        let now = Instant::now();
        let ring = probes.make_ring(number)?;
        let relay = Relay::start(hearer, pid, ring)?;
        let sampling = Sampling::new(settings.sampling_bytes, settings.time.as_secs_f64());
        let sampling_bytes = sampling.first(bytes_per_sec);
        Ok(Self {
            number,
            settings,
            relay,
            sampling,
            sampling_bytes,
            ordered: now,
            began: None,
            seen: Duration::ZERO,
            window: None,
            look_at: now + LOOK,
            counted: Totals::default(),
        })
    }

    /// Its number among those that run.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// When there is something to do.
    pub fn look_at(&self) -> Instant {
        self.look_at
    }

    /// The probes are in: samples from now on.
    pub fn open(&mut self, probes: &Probes, whose: Whose<'_>) -> Result<()> {
        let links = probes.attach_for_stacks(whose.slot, whose.pid, whose.allocators)?;
        let classes = probes.classes(self.number)?;
        probes.set_sampling(self.number, &self.sampling_bytes)?;
        let before = probes.read(whose.slot)?;
        probes.capture(whose.slot, self.number)?;
        let now = Instant::now();
        let is_first = self.began.is_none();
        self.began.get_or_insert(now);
        self.look_at = now + if is_first { FIRST_LOOK } else { LOOK };
        self.window = Some(Window {
            since: now,
            before,
            classes_before: classes,
            looked: now,
            classes_looked: classes,
            _links: links,
        });
        Ok(())
    }

    /// Looks what grows, and samples accordingly.
    pub fn look(&mut self, probes: &Probes, now: Instant) -> Result<()> {
        self.look_at = now + LOOK;
        if let Some(result) = self.relay.result() {
            // It cannot be over before all is said.
            result?;
        }
        let Some(window) = &mut self.window else {
            return Ok(());
        };
        let classes = probes.classes(self.number)?;
        let counted =
            std::array::from_fn(|class| classes[class].since(window.classes_looked[class]));
        let secs = (now - window.looked).as_secs_f64();
        (window.looked, window.classes_looked) = (now, classes);
        let sampling_bytes = self.sampling.adapt(secs, &counted);
        if sampling_bytes != self.sampling_bytes {
            self.sampling_bytes = sampling_bytes;
            probes.set_sampling(self.number, &sampling_bytes)?;
        }
        Ok(())
    }

    /// The probes go out, or the capture ends: hands on what stands.
    pub fn close(&mut self, probes: &Probes, slot: u32) -> Result<()> {
        let Some(window) = self.window.take() else {
            return Ok(());
        };
        // From here on, what stands stays as it is.
        probes.stop_capturing(slot)?;
        let time = window.since.elapsed();
        self.seen += time;
        let counted = probes.read(slot)?.since(window.before);
        self.counted = self.counted.zip(counted, u64::wrapping_add);
        let standing = probes.standing(slot)?;
        probes.forget_sampled(slot)?;
        let grown = match probes.follows() {
            true => Vec::new(),
            false => {
                let now = probes.classes(self.number)?;
                let in_it =
                    std::array::from_fn(|class| now[class].since(window.classes_before[class]));
                classes(&in_it)
            }
        };
        self.relay.window(time.as_secs_f64(), standing, grown)
    }

    /// Whether it has looked as long as it was to, or waited as long as it may.
    pub fn is_over(&self, now: Instant) -> bool {
        let open = self.window.as_ref().map(|window| now - window.since);
        let longest = self.settings.time.saturating_mul(LONGEST).min(LATEST);
        let longest = longest.max(self.settings.time);
        self.seen + open.unwrap_or_default() >= self.settings.time || now - self.ordered >= longest
    }

    /// Ends it, after its last window has been closed: the sites are to come.
    pub fn end(self, tools: &Tools<'_>, method: String) -> Result<Resolving> {
        tools.probes.remove_ring(self.number)?;
        self.relay.finish(self.counted.lost_stacks)?;
        let now = Instant::now();
        let span = self.began.map_or(Duration::ZERO, |began| now - began);
        Ok(Resolving {
            relay: self.relay,
            until: now + PATIENCE + PATIENCE / 4,
            loss: loss(self.counted),
            span_secs: span.as_secs_f64(),
            seen_secs: self.seen.as_secs_f64(),
            method,
            cost_secs: tools.hit_cost.secs(self.counted),
        })
    }

    /// Gives it up.
    pub fn abandon(self, probes: &Probes, slot: u32) -> Result<()> {
        drop(self.window);
        probes.stop_capturing(slot)?;
        probes.forget_sampled(slot)?;
        probes.remove_ring(self.number)
    }
}

/// What could not be seen, a phrase each. What the ring buffer has lost says who hears the rest.
fn loss(counted: Totals) -> Vec<String> {
    let mut loss = Vec::new();
    if counted.lost_pairs > 0 {
        let lost = count(counted.lost_pairs as usize, "sample", "samples");
        loss.push(format!(
            "whether {lost} were freed, as the table had no room: taken for freed"
        ));
    }
    if counted.unsampled > 0 {
        let calls = count(counted.unsampled as usize, "call", "calls");
        loss.push(format!(
            "where {calls} of operator new allocated: it may throw, and what may throw gets no return probe"
        ));
    }
    loss
}

impl Resolving {
    /// What has come of it, if it is over.
    pub fn result(&self, now: Instant) -> Option<Result<Pinpointed>> {
        let sites = match self.relay.result() {
            Some(sites) => sites,
            None if now >= self.until => Err(anyhow!(
                "the process that resolves stacks has not answered in {} s",
                (PATIENCE + PATIENCE / 4).as_secs()
            )),
            None => return None,
        };
        Some(sites.map(|mut sites| {
            sites.loss.extend(self.loss.iter().cloned());
            Pinpointed {
                sites,
                span_secs: self.span_secs,
                seen_secs: self.seen_secs,
                method: self.method.clone(),
                cost_secs: self.cost_secs,
            }
        }))
    }
}
