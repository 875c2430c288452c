//! The process that resolves stacks: memleakd once more, which hears of samples on its standard
//! input and answers on its standard output.
//!
//! It answers when it has heard that that was all: a line of JSON with [`crate::site::Sites`] that have
//! addresses for names, one with functions, one with lines of code. Whatever goes wrong between
//! two of them costs what the later ones would have known.

use std::io::{self, Stdin, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::time::{ClockId, clock_gettime};

use super::answer::Answer;
use super::attempt::{attempt, expect_panics, lock};
use super::confine::{confine, confine_further};
use super::modules::Modules;
use super::names::Detail;
use super::rank::Ranking;
use super::unwind::Walker;
use super::wire::{self, Message, StackSample};
use crate::collect::Host;

/// The argument that makes memleakd do this; the number of a process follows.
pub const RESOLVE_ARGUMENT: &str = "resolve-stacks";

/// Tables are followed for so long; stacks that come later are walked by frame pointers.
const MAX_WALKING_SECS: i64 = 30;
/// A capture may take long; this is for ever.
const A_DAY: Duration = Duration::from_secs(86_400);
/// Lines of the answer that come before the last one of a kind have less room.
const MAX_EARLY_BYTES: usize = 1 << 20;

/// What is gathered. Whoever walks stacks may fail, and another goes on with it.
struct Gathered {
    input: Mutex<Stdin>,
    modules: Mutex<Modules>,
    ranking: Mutex<Ranking>,
    /// The sample whose stack is being walked, without that.
    walked: Mutex<Option<StackSample<'static>>>,
}

/// Resolves stacks of a process for whoever started this one.
pub fn resolve(pid: u32) -> Result<()> {
    confine()?;
    expect_panics();
    let gathered = Arc::new(Gathered {
        input: Mutex::new(io::stdin()),
        modules: Mutex::new(Modules::new(Host::new("/"), pid)),
        ranking: Mutex::new(Ranking::default()),
        walked: Mutex::new(None),
    });
    let mut loss = Vec::new();
    let heard = loop {
        let gathering = Arc::clone(&gathered);
        match attempt(A_DAY, move || gather(&gathering)) {
            Ok(heard) => break heard.context("reading samples")?,
            Err(error) => match lock(&gathered.modules).distrust_followed() {
                Some(path) => {
                    loss.push(format!("callers of {path}, whose unwind tables are broken"))
                }
                None => bail!("walking stacks: {error}"),
            },
        }
    };
    let Some(n_lost) = heard else {
        // Nobody wants to know any more.
        return Ok(());
    };
    if n_lost > 0 {
        loss.push(format!("{n_lost} samples that came too fast"));
    }
    let (modules, ranking) = (lock(&gathered.modules), lock(&gathered.ranking));
    let mut answer = Answer::new(&modules, &ranking, loss);
    write(&answer.line()?)?;
    answer.open();
    confine_further(answer.files())?;
    let mut n_early_bytes = 0;
    for detail in [Detail::Symbols, Detail::Lines] {
        answer.name(detail, |answer| {
            // What is known by now, in case that the next file is this process's end.
            if n_early_bytes >= MAX_EARLY_BYTES {
                return Ok(());
            }
            let line = answer.line()?;
            n_early_bytes += line.len();
            write(&line)
        })?;
        write(&answer.line()?)?;
    }
    Ok(())
}

/// Hears of samples until that was all; how many were lost on the way, nothing if the end is
/// missing.
fn gather(gathered: &Gathered) -> io::Result<Option<u64>> {
    let (mut walker, mut buffer) = (Walker::new(), Vec::new());
    if let Some(sample) = lock(&gathered.walked).take() {
        // Where others have failed: its first place is known at least.
        let stack = walker.walk(&gathered.modules, &sample);
        lock(&gathered.ranking).sample(&sample, &stack);
    }
    loop {
        let heard = wire::read(&mut *lock(&gathered.input), &mut buffer)?;
        match heard {
            Some(Message::Sample(sample)) => {
                if clock_gettime(ClockId::ProcessCPUTime).tv_sec > MAX_WALKING_SECS {
                    walker = Walker::without_tables();
                }
                *lock(&gathered.walked) = Some(without_stack(&sample));
                let stack = walker.walk(&gathered.modules, &sample);
                *lock(&gathered.walked) = None;
                lock(&gathered.ranking).sample(&sample, &stack);
            }
            Some(Message::Window {
                secs,
                standing,
                classes,
            }) => lock(&gathered.ranking).window(secs, &standing, &classes),
            Some(Message::Finish { n_lost }) => return Ok(Some(n_lost)),
            None => return Ok(None),
        }
    }
}

fn without_stack(sample: &StackSample) -> StackSample<'static> {
    let &StackSample {
        id,
        time_ns,
        bytes,
        sampling_bytes,
        ip,
        sp,
        fp,
        lr,
        kind,
        stack: _,
    } = sample;
    StackSample {
        id,
        time_ns,
        bytes,
        sampling_bytes,
        ip,
        sp,
        fp,
        lr,
        kind,
        stack: &[],
    }
}

fn write(line: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").context("writing sites")?;
    output.flush().context("writing sites")
}
