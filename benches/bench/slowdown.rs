//! What real programs lose while memleakd suspects them.
//!
//! Each is measured against itself: time is cut into slices, of which it is known how long the
//! probes were in. So nothing but the probes differs, and what else the machine does meanwhile
//! falls on both kinds alike.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use memleakd::collect::Prober;
use memleakd::config::Config;
use memleakd::sample::ProcessId;

use crate::interrupt;
use crate::measure::{cpu_secs_of, median};
use crate::probing::{capture, captured, prober, process, still_captures};
use crate::table::Table;
use crate::workload::{Workload, start_all};

/// What is aimed at: on average it takes so many times as long.
const AIM: f64 = 1.01;
/// Until every program has what it works on.
const WARM_UP: Duration = Duration::from_secs(3);
/// With and without, by turns; and how long each.
const N_TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(2);
/// Until the probes are in everywhere.
const LEAD: Duration = Duration::from_millis(700);
/// As the daemon does it.
const STEADY: Duration = Duration::from_secs(180);
const SLICE: Duration = Duration::from_millis(250);
/// Between looks at what the probing thread says.
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program did in a slice of time.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    /// Seconds of the clock, of which the probes were in for so many.
    secs: f64,
    seen_secs: f64,
    /// Of CPU time.
    cpu_secs: f64,
    done: f64,
}

/// A slice without probes, and one with.
struct Turn {
    without: Slice,
    with: Slice,
    /// What memleakd says that the probes have cost, in seconds of CPU time.
    said_secs: f64,
}

/// A program, and what is known of it by the end of the last slice.
struct Subject {
    workload: Workload,
    process: ProcessId,
    at: Instant,
    cpu_secs: f64,
    done: u64,
    /// How long the probing thread has measured the program, and seen what it does.
    span_secs: f64,
    seen_secs: f64,
    turns: Vec<Turn>,
    /// By the default configuration.
    steady: Vec<Slice>,
}

/// All programs at once, which take turns on this machine's CPUs.
pub fn measure(table: &mut Table) -> Result<()> {
    let workloads = start_all(|name, error| {
        table.leave_out(&format!("slow-down of {name}"), &error);
    });
    ensure!(!workloads.is_empty(), "none of the programs can be started");
    interrupt::wait(WARM_UP)?;
    let subjects: Result<Vec<_>> = workloads.into_iter().map(Subject::new).collect();
    let mut subjects = subjects?;
    let prober = prober()?;
    let first = &subjects[0].workload;
    captured(&prober, capture(&prober, first.pid(), SLICE)?)?; // by then they are tried out
    for _ in 0..N_TURNS {
        turn(&prober, &mut subjects)?;
    }
    steadily(&prober, &mut subjects)?;
    for subject in &subjects {
        subject.tell(table);
    }
    table.note(
        "Slow-down: CPU time of a unit of work (command, statement, document, request) with probes against without, of one process in one run. All programs run at once.",
    );
    Ok(())
}

/// A while without probes, and one with.
fn turn(prober: &Prober, subjects: &mut [Subject]) -> Result<()> {
    look(subjects)?;
    interrupt::wait(TURN)?;
    let without = look(subjects)?;
    let mut ids = Vec::new();
    for subject in &mut *subjects {
        ids.push(capture(prober, subject.workload.pid(), LEAD + TURN + LEAD)?);
    }
    interrupt::wait(LEAD)?;
    let began = Instant::now();
    look(subjects)?;
    interrupt::wait(TURN)?;
    let with = look(subjects)?;
    for id in &ids {
        still_captures(prober, *id)?;
    }
    let slices = without.into_iter().zip(with);
    for ((subject, id), (without, with)) in subjects.iter_mut().zip(ids).zip(slices) {
        let captured = captured(prober, id)?;
        // Where the machine is busy, probes may have come in too late for this turn.
        if Instant::now() - Duration::from_secs_f64(captured.secs) < began + TURN / 20 {
            subject.turns.push(Turn {
                without,
                with,
                said_secs: captured.cost_secs * with.secs / captured.secs,
            });
        }
    }
    Ok(())
}

/// What each has done since the last look.
fn look(subjects: &mut [Subject]) -> Result<Vec<Slice>> {
    subjects.iter_mut().map(Subject::slice).collect()
}

/// As the daemon does it with suspects.
fn steadily(prober: &Prober, subjects: &mut [Subject]) -> Result<()> {
    let processes: Vec<_> = subjects.iter().map(|subject| subject.process).collect();
    let ceiling = Config::default().heap.ceiling;
    prober.measure(processes.clone(), ceiling);
    for subject in &mut *subjects {
        subject.listen(prober)?;
        subject.slice()?;
    }
    let until = Instant::now() + STEADY;
    while Instant::now() < until {
        interrupt::wait(SLICE)?;
        // To be told again changes nothing, but what is known is made known.
        prober.measure(processes.clone(), ceiling);
        for subject in &mut *subjects {
            let seen_secs = subject.listen(prober)?;
            let slice = subject.slice()?;
            subject.steady.push(Slice { seen_secs, ..slice });
        }
    }
    prober.measure(Vec::new(), ceiling);
    Ok(())
}

impl Subject {
    fn new(mut workload: Workload) -> Result<Self> {
        Ok(Self {
            process: process(workload.pid())?,
            at: Instant::now(),
            cpu_secs: cpu_secs_of(workload.pid())?,
            done: workload.done()?,
            workload,
            span_secs: 0.0,
            seen_secs: 0.0,
            turns: Vec::new(),
            steady: Vec::new(),
        })
    }

    /// What it has done since it was looked at last.
    fn slice(&mut self) -> Result<Slice> {
        let done = self.workload.done()?;
        let (at, cpu_secs) = (Instant::now(), cpu_secs_of(self.workload.pid())?);
        let slice = Slice {
            secs: (at - self.at).as_secs_f64(),
            seen_secs: 0.0,
            cpu_secs: cpu_secs - self.cpu_secs,
            done: done.saturating_sub(self.done) as f64,
        };
        (self.at, self.cpu_secs, self.done) = (at, cpu_secs, done);
        Ok(slice)
    }

    /// For how long it was seen since the last time that this was asked.
    fn listen(&mut self, prober: &Prober) -> Result<f64> {
        let until = Instant::now() + PATIENCE;
        loop {
            let reading = prober.reading(self.process);
            if let Some(reading) = reading.filter(|reading| reading.span_secs > self.span_secs) {
                let more_secs = reading.seen_secs - self.seen_secs;
                (self.span_secs, self.seen_secs) = (reading.span_secs, reading.seen_secs);
                return Ok(more_secs);
            }
            if let Some(why) = prober.failure_of(self.process) {
                bail!("{} is not measured: {why}", self.workload.title);
            }
            ensure!(
                Instant::now() < until,
                "nothing is heard of {}",
                self.workload.title
            );
            interrupt::wait(PAUSE)?;
        }
    }

    fn tell(&self, table: &mut Table) {
        let title = format!("slow-down of {}", self.workload.title);
        let whole = sum(self.cycles());
        match self.average() {
            Some(average) => table.aim(
                title.clone(),
                format!("{average:.4} x"),
                format!("{AIM} x"),
                average <= AIM,
            ),
            None => table.leave_out(&title, &anyhow!("no probes came in")),
        }
        let while_in = format!(
            "- while the probes are in ({:.1} s of {:.0} s)",
            whole.seen_secs, whole.secs
        );
        if self.turns.is_empty() {
            let why = anyhow!("the machine was too busy to put probes in at once");
            return table.leave_out(&format!("{title}, while the probes are in"), &why);
        }
        let middle =
            |figure: fn(&Turn) -> f64| median(self.turns.iter().map(figure).collect::<Vec<_>>());
        table.say(while_in, format!("{:.2} x", middle(Turn::slow_down)));
        table.say(
            "- what the probes cost, of what memleakd takes them to cost",
            format!("{:.2} x", middle(|turn| turn.cost_secs() / turn.said_secs)),
        );
    }

    /// Over whole cycles of a window and what comes until the next one.
    fn average(&self) -> Option<f64> {
        let cycles = self.cycles();
        if cycles.is_empty() {
            return None;
        }
        let mut without = sum(cycles.iter().filter(|slice| slice.seen_secs == 0.0));
        if without.done == 0.0 {
            without = sum(self.turns.iter().map(|turn| &turn.without));
        }
        Some(sum(cycles).cost() / without.cost())
    }

    /// From the first window to the last one. Where there is but one, all there is: the next one
    /// would come later still, so that this is more than the average.
    fn cycles(&self) -> &[Slice] {
        let starts = self.window_starts();
        match starts[..] {
            [] => &[],
            [only] => &self.steady[only..],
            [first, .., last] => &self.steady[first..last],
        }
    }

    /// The slices in which probes came in.
    fn window_starts(&self) -> Vec<usize> {
        let is_in = |slice: &Slice| slice.seen_secs > 0.0;
        let is_start = |index: &usize| {
            let was_in = index
                .checked_sub(1)
                .is_some_and(|before| is_in(&self.steady[before]));
            is_in(&self.steady[*index]) && !was_in
        };
        (0..self.steady.len()).filter(is_start).collect()
    }
}

impl Turn {
    fn slow_down(&self) -> f64 {
        self.with.cost() / self.without.cost()
    }

    /// What the probes have cost in truth, in seconds of CPU time.
    fn cost_secs(&self) -> f64 {
        self.with.cpu_secs - self.with.done * self.without.cost()
    }
}

impl Slice {
    /// CPU time of a unit of work, in seconds.
    fn cost(&self) -> f64 {
        self.cpu_secs / self.done.max(1.0)
    }
}

fn sum<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> Slice {
    slices
        .into_iter()
        .fold(Slice::default(), |sum, slice| Slice {
            secs: sum.secs + slice.secs,
            seen_secs: sum.seen_secs + slice.seen_secs,
            cpu_secs: sum.cpu_secs + slice.cpu_secs,
            done: sum.done + slice.done,
        })
}
