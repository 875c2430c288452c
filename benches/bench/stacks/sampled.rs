//! What an allocation costs more whose stack is copied.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use memleakd::collect::{Listener, Prober};
use memleakd::config::Returns;
use memleakd::site::Sites;
use memleakd::stacks::wire::{Class, Standing};

use crate::churn::Churn;
use crate::interrupt;
use crate::measure::median;
use crate::probing::{capture, captured, still_captures};
use crate::table::Table;

const N_CAPTURES: usize = 3;
const N_TIMINGS: usize = 15;
const N_PAIRS: u64 = 2000;
const CAPTURE: Duration = Duration::from_secs(6);
/// Until whoever does not hear of stacks has been told that they are not wanted.
const LEAD: Duration = Duration::from_millis(600);
/// Until what was sampled has been heard of.
const ECHO: Duration = Duration::from_millis(300);
/// Of each of these blocks every other one is sampled at the most.
const LARGE: u64 = 32 << 10;
const SMALL: u64 = 100;

/// Counts samples, and is content with that.
struct Counting(Arc<AtomicU64>);

/// What pairs took more, in nanoseconds.
struct Turn {
    more_of_small: f64,
    more_of_sample: f64,
}

/// Two programs by turns: both are measured, and of one stacks are sampled as well.
pub fn measure(table: &mut Table) -> Result<()> {
    let n_samples = Arc::<AtomicU64>::default();
    let sampled_pid = Arc::<AtomicU32>::default();
    let prober = prober(&n_samples, &sampled_pid)?;
    let program = Churn::compile("churn", "cc", &[])?;
    let mut plain = Churn::start(&mut Command::new(&program))?;
    let mut sampled = Churn::start(&mut Command::new(&program))?;
    sampled_pid.store(sampled.pid(), Ordering::Relaxed);
    let mut turns = Vec::new();
    for _ in 0..N_CAPTURES {
        interrupt::check()?;
        let ids = [
            capture(&prober, plain.pid(), CAPTURE)?,
            capture(&prober, sampled.pid(), CAPTURE)?,
        ];
        plain.wait_for_probes(|| still_captures(&prober, ids[0]))?;
        sampled.wait_for_probes(|| still_captures(&prober, ids[1]))?;
        interrupt::wait(LEAD)?;
        let small = more_nanos(&mut plain, &mut sampled, SMALL)?;
        interrupt::wait(ECHO)?;
        let before = n_samples.load(Ordering::Relaxed);
        let large = more_nanos(&mut plain, &mut sampled, LARGE)?;
        interrupt::wait(ECHO)?;
        let n_samples = n_samples.load(Ordering::Relaxed) - before;
        still_captures(&prober, ids[1])?;
        ensure!(n_samples > 100, "{n_samples} samples are too few");
        let n_pairs = N_TIMINGS as u64 * N_PAIRS;
        turns.push(Turn {
            more_of_small: median(small),
            more_of_sample: median(large) * n_pairs as f64 / n_samples as f64,
        });
        for id in ids {
            captured(&prober, id)?;
        }
    }
    let middle = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
    table.say(
        "malloc and free of 100 bytes while stacks are sampled, more than measured",
        format!("{:.0} ns", middle(|turn| turn.more_of_small)),
    );
    table.say(
        "- an allocation whose stack is copied, more",
        format!("{:.0} ns", middle(|turn| turn.more_of_sample)),
    );
    Ok(())
}

/// What a pair takes more in the one program than in the other, in nanoseconds.
fn more_nanos(plain: &mut Churn, sampled: &mut Churn, bytes: u64) -> Result<Vec<f64>> {
    let timings = (0..N_TIMINGS).map(|_| {
        interrupt::check()?;
        let without = plain.nanos_of_pair_of(N_PAIRS, bytes)?;
        Ok(sampled.nanos_of_pair_of(N_PAIRS, bytes)? - without)
    });
    timings.collect()
}

/// Listens to the samples of one process only: of others no stacks are sampled then.
fn prober(n_samples: &Arc<AtomicU64>, pid: &Arc<AtomicU32>) -> Result<Prober> {
    let (n_samples, wanted) = (Arc::clone(n_samples), Arc::clone(pid));
    let listen = move |_: &Path, pid: u32| -> Result<Box<dyn Listener>> {
        if pid != wanted.load(Ordering::Relaxed) {
            bail!("stacks of {pid} are not wanted");
        }
        Ok(Box::new(Counting(Arc::clone(&n_samples))))
    };
    let exe = PathBuf::from(env!("CARGO_BIN_EXE_memleakd"));
    Prober::start_with(exe, Returns::Auto, Arc::new(listen))
}

impl Listener for Counting {
    fn sample(&mut self, _record: &[u8]) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn window(&mut self, _secs: f64, _standing: &[Standing], _classes: &[Class]) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _n_lost: u64, _timeout: Duration) -> Result<Sites> {
        Ok(Sites::default())
    }
}
