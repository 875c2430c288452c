//! What programs at work lose while their stacks are captured: by hand, and within the ceiling as
//! it is done for an alert.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use memleakd::collect::{Pinpoint, Prober};
use memleakd::config::{Config, Returns};
use memleakd::sample::ProcessId;

use crate::interrupt;
use crate::measure::{cpu_secs_of, median};
use crate::probing::{capture, captured, prober, process, still_captures};
use crate::table::Table;
use crate::workload::Workload;

/// What is aimed at for the first program: it takes so many times as long.
const AIM: f64 = 1.05;
const WARM_UP: Duration = Duration::from_secs(3);
/// Without, measured only, and with stacks, by turns.
const N_TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(3);
/// Until the probes are in.
const LEAD: Duration = Duration::from_secs(1);
/// What a capture within the ceiling is to see, which it may take twenty times as long for. By
/// default it is more; what is left over of the ceiling is spent at the beginning.
const SEEN: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(300);
/// Without probes, before and after that.
const BESIDE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// CPU time of a unit of work, in seconds.
struct Turn {
    bare: f64,
    measured: f64,
    by_hand: f64,
}

/// A capture within the ceiling.
struct Within {
    /// So many times as long it took.
    slow_down: f64,
    /// For so much of its time it was looked at.
    seen_share: f64,
}

/// CPU time and work since some moment.
#[derive(Clone, Copy, Default)]
struct Slice {
    cpu_secs: f64,
    done: f64,
}

struct Subject {
    workload: Workload,
    aim: Option<f64>,
    process: ProcessId,
    /// By the end of the last slice.
    cpu_secs: f64,
    done: u64,
    turns: Vec<Turn>,
}

/// All programs run all the time, as others do on a server.
pub fn measure(table: &mut Table) -> Result<()> {
    // Nobody listens to stacks there, so that there are none.
    let deaf = Prober::start_with(
        PathBuf::from(env!("CARGO_BIN_EXE_memleakd")),
        Returns::Auto,
        Arc::new(|_, _| bail!("stacks are not wanted")),
    )?;
    let prober = prober()?;
    let mut subjects = Vec::new();
    for (name, aim, started) in [
        ("redis-server", Some(AIM), Workload::redis()),
        ("a loop of allocations", None, Workload::allocations()),
    ] {
        match started.and_then(|workload| Subject::new(workload, aim)) {
            Ok(subject) => subjects.push(subject),
            Err(error) => {
                let title = format!("slow-down of {name} by a capture of stacks");
                table.leave_out(&title, &error);
            }
        }
    }
    interrupt::wait(WARM_UP)?;
    for _ in 0..N_TURNS {
        for subject in &mut subjects {
            subject.turn(&deaf, &prober)?;
        }
    }
    let within = within_ceiling(&prober, &mut subjects)?;
    for (subject, within) in subjects.iter().zip(within) {
        subject.tell(table, &within);
    }
    table.note(
        "Slow-down by a capture of stacks: CPU time of a unit of work with against without, of one process in one run. What resolves the stacks runs beside it, in a process of its own.",
    );
    Ok(())
}

/// Stacks of all of them, as for an alert.
fn within_ceiling(prober: &Prober, subjects: &mut [Subject]) -> Result<Vec<Within>> {
    let config = Config::default();
    let settings = Pinpoint {
        time: SEEN,
        sampling_bytes: config.stacks.sampling.0,
    };
    for subject in &mut *subjects {
        subject.slice()?;
    }
    interrupt::wait(BESIDE)?;
    let mut bare = Vec::new();
    for subject in &mut *subjects {
        bare.push(subject.slice()?);
        prober.pinpoint(subject.process, settings, config.heap.ceiling);
    }
    let mut found = vec![None; subjects.len()];
    let until = Instant::now() + PATIENCE;
    while found.iter().any(Option::is_none) {
        ensure!(Instant::now() < until, "a capture of stacks does not end");
        interrupt::wait(PAUSE)?;
        for (process, result) in prober.pinpointed() {
            let result = result.map_err(Error::msg).context("capturing stacks")?;
            let index = subjects.iter().position(|it| it.process == process);
            let index = index.context("stacks of another process")?;
            let seen_share = result.seen_secs / result.span_secs;
            found[index] = Some((subjects[index].slice()?, seen_share));
        }
    }
    for subject in &mut *subjects {
        subject.slice()?;
    }
    interrupt::wait(BESIDE)?;
    let mut all = Vec::new();
    for ((subject, before), found) in subjects.iter_mut().zip(bare).zip(found) {
        let after = subject.slice()?;
        let bare = Slice {
            cpu_secs: before.cpu_secs + after.cpu_secs,
            done: before.done + after.done,
        };
        let (with, seen_share) = found.context("a capture has not ended")?;
        all.push(Within {
            slow_down: with.cost() / bare.cost(),
            seen_share,
        });
    }
    Ok(all)
}

impl Slice {
    /// CPU time of a unit of work, in seconds.
    fn cost(self) -> f64 {
        self.cpu_secs / self.done.max(1.0)
    }
}

impl Subject {
    fn new(mut workload: Workload, aim: Option<f64>) -> Result<Self> {
        Ok(Self {
            process: process(workload.pid())?,
            cpu_secs: cpu_secs_of(workload.pid())?,
            done: workload.done()?,
            workload,
            aim,
            turns: Vec::new(),
        })
    }

    /// What it has done since this was asked last.
    fn slice(&mut self) -> Result<Slice> {
        let cpu_secs = cpu_secs_of(self.workload.pid())?;
        let done = self.workload.done()?;
        let slice = Slice {
            cpu_secs: cpu_secs - self.cpu_secs,
            done: done.saturating_sub(self.done) as f64,
        };
        (self.cpu_secs, self.done) = (cpu_secs, done);
        Ok(slice)
    }

    /// What a unit of work costs for a while.
    fn cost(&mut self) -> Result<f64> {
        self.slice()?;
        interrupt::wait(TURN)?;
        let slice = self.slice()?;
        ensure!(slice.done > 0.0, "{} does nothing", self.workload.title);
        Ok(slice.cost())
    }

    fn turn(&mut self, deaf: &Prober, prober: &Prober) -> Result<()> {
        let turn = Turn {
            bare: self.cost()?,
            measured: self.by_hand(deaf)?,
            by_hand: self.by_hand(prober)?,
        };
        self.turns.push(turn);
        Ok(())
    }

    fn by_hand(&mut self, prober: &Prober) -> Result<f64> {
        let id = capture(prober, self.workload.pid(), LEAD + TURN + LEAD)?;
        interrupt::wait(LEAD)?;
        let cost = self.cost()?;
        still_captures(prober, id)?;
        captured(prober, id)?;
        Ok(cost)
    }

    fn tell(&self, table: &mut Table, within: &Within) {
        let middle = |figure: fn(&Turn) -> f64| median(self.turns.iter().map(figure).collect());
        let title = self.workload.title;
        let title = format!("slow-down of {title} by a capture of stacks");
        let slow_down = within.slow_down;
        let measured = format!("{slow_down:.3} x");
        match self.aim {
            Some(aim) => table.aim(title, measured, format!("{aim} x"), slow_down <= aim),
            None => table.say(title, measured),
        }
        table.say(
            "- looked at for so much of its time",
            format!("{:.1} %", within.seen_share * 100.0),
        );
        table.say(
            "- by \"memleakctl capture\", all the time",
            format!("{:.2} x", middle(|turn| turn.by_hand / turn.bare)),
        );
        table.say(
            "- of that by its stacks",
            format!("{:.2} x", middle(|turn| turn.by_hand / turn.measured)),
        );
    }
}
