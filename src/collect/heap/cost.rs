//! What a hit of a probe costs on this machine, and whether probes count right where they are:
//! tried on calls that this program makes itself, in a process of its own, before any other
//! process gets one.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Error, Result, ensure};
use libbpf_rs::ErrorKind;
use rustix::time::{ClockId, clock_gettime};
use tracing::{debug, warn};

use super::probes::Probes;
use super::totals::Totals;
use crate::collect::Host;
use crate::collect::allocator::{Allocator, Cost, Method, Probe};

/// The argument with which this program makes calls to be counted, see [`answer_calls`].
pub const CALLS_ARGUMENT: &str = "self-test-calls";
/// Pairs of malloc and free that are counted.
const N_PAIRS: u64 = 4000;
/// Timings, of which the fastest counts.
const N_TIMINGS: usize = 3;
/// A hit in a real program costs about twice what it costs in the self-test's loop, which has the
/// caches for itself: 1.3 to 2.3 times in redis, nginx, sqlite and python (`make bench`).
const IN_EARNEST: f64 = 2.0;
/// What it costs to copy a stack besides, in seconds: most of it is the copying.
const STACK_SECS: f64 = 5e-6;
/// What a block holds: a size that no allocator rounds to another's.
const BLOCK_BYTES: usize = 100;

/// Seconds of CPU time, and what the test says of placements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HitCost {
    /// A probe on an instruction that the kernel emulates.
    pub emulated_secs: f64,
    /// A probe on one that it single-steps.
    pub stepped_secs: f64,
    /// A return that is followed.
    pub return_secs: f64,
    /// Whether probes off a function's first instruction have counted right.
    pub is_proven: bool,
}

/// Dear, so that what could not be measured is used sparingly.
const UNMEASURED: HitCost = HitCost {
    emulated_secs: 3e-6,
    stepped_secs: 20e-6,
    return_secs: 5e-6,
    is_proven: false,
};

impl HitCost {
    /// Measures it. That no probe may be put in at all is an error; what else fails is said, and
    /// then the first instruction is good enough.
    pub(super) fn measure(exe: &Path, host: &Host, probes: &Probes, slot: u32) -> Result<Self> {
        match Caller::start(exe).and_then(|mut caller| measure(host, probes, slot, &mut caller)) {
            Ok(cost) => {
                debug!("a hit of a probe costs {cost:?}");
                Ok(cost)
            }
            Err(error) if is_refused(&error) => Err(probes.refusal(&error)),
            Err(error) => {
                warn!(
                    "the self-test of heap probes failed, so that they go to the first instruction of each function: {error:#}"
                );
                Ok(UNMEASURED)
            }
        }
    }

    /// Moves a probe to its function's first instruction if placements are not proven.
    pub(super) fn distrust(&self, probe: &mut Probe) {
        if !self.is_proven && probe.offset != probe.entry_offset {
            probe.offset = probe.entry_offset;
            probe.cost = Cost::Stepped;
        }
    }

    /// What hits have cost, by and large.
    pub(super) fn secs(&self, counted: Totals) -> f64 {
        let emulated = counted.hits.saturating_sub(counted.stepped_hits);
        let in_a_loop = emulated as f64 * self.emulated_secs
            + counted.stepped_hits as f64 * self.stepped_secs
            + counted.returns as f64 * self.return_secs
            + counted.stacks as f64 * STACK_SECS;
        in_a_loop * IN_EARNEST
    }
}

/// Whether the kernel does not let this program put probes into its own child.
fn is_refused(error: &Error) -> bool {
    let refusal = |cause: &libbpf_rs::Error| cause.kind() == ErrorKind::PermissionDenied;
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(refusal))
}

fn measure(host: &Host, probes: &Probes, slot: u32, caller: &mut Caller) -> Result<HitCost> {
    let only_pair = |mut found: Vec<Allocator>, method, at_entry: bool| {
        for allocator in &mut found {
            allocator.method = method;
            for probe in allocator.probes.iter_mut().filter(|_| at_entry) {
                probe.offset = probe.entry_offset;
            }
        }
        found
    };
    caller.nanos_of_pair()?; // by now it has its libraries, and has set up what a first call does
    let mut found = host.allocators(caller.pid())?.map_err(Error::msg)?;
    found.retain(|found| found.method != Method::Mapping);
    let is_header = found.iter().all(|found| found.method == Method::Header);
    let own = found.first().map_or(Method::Map, |found| found.method);
    let bare = caller.nanos_of_pair()?;
    let mut pair = |allocators: &[Allocator]| -> Result<(f64, Totals)> {
        let before = probes.read(slot)?;
        let links = probes.attach(slot, caller.pid(), allocators)?;
        let nanos = caller.nanos_of_pair()?;
        let counted = probes.read(slot)?.since(before);
        drop(links);
        probes.clear(slot)?;
        Ok(((nanos - bare).max(1.0) / 1e9, counted))
    };
    let (placed_secs, counted) = pair(&only_pair(found.clone(), own, false))?;
    let n = N_PAIRS * N_TIMINGS as u64;
    ensure!(
        (counted.allocations, counted.frees, counted.net_bytes()) == (n, n, 0),
        "of {n} pairs of malloc and free, {} and {} were counted, with a net of {} bytes",
        counted.allocations,
        counted.frees,
        counted.net_bytes()
    );
    let (entry_secs, _) = pair(&only_pair(found.clone(), own, true))?;
    let emulated_secs = placed_secs / 2.0;
    let return_secs = match is_header && probes.may_return() {
        true => pair(&only_pair(found, Method::Map, false))?.0 - placed_secs,
        false => UNMEASURED.return_secs,
    };
    Ok(HitCost {
        emulated_secs,
        // On the first instructions of both, of which one at least is stepped, or none is.
        stepped_secs: (entry_secs - emulated_secs).max(emulated_secs),
        return_secs: return_secs.max(emulated_secs),
        is_proven: true,
    })
}

/// This program once more, making calls.
struct Caller {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Caller {
    fn start(exe: &Path) -> Result<Self> {
        let mut child = Command::new(exe)
            .arg(CALLS_ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting this program once more")?;
        let input = child.stdin.take().context("its standard input")?;
        let output = child.stdout.take().context("its standard output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of a pair of calls, the fastest of some timings.
    fn nanos_of_pair(&mut self) -> Result<f64> {
        let mut fastest = f64::INFINITY;
        for _ in 0..N_TIMINGS {
            writeln!(self.input, "{N_PAIRS}").context("asking for calls")?;
            let mut line = String::new();
            self.output.read_line(&mut line).context("their time")?;
            let nanos: f64 = line.trim().parse().context("their time")?;
            fastest = fastest.min(nanos / N_PAIRS as f64);
        }
        Ok(fastest)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes so many pairs of malloc and free as each line of standard input says, and answers with
/// the CPU time that they took in nanoseconds.
pub fn answer_calls() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut line = String::with_capacity(64);
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let n: u64 = line.trim().parse().map_err(io::Error::other)?;
        let before = cpu_nanos();
        for _ in 0..n {
            drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
        }
        let nanos = cpu_nanos() - before;
        writeln!(output, "{nanos}")?;
        output.flush()?;
    }
}

fn cpu_nanos() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
