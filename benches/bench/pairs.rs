//! What a pair of malloc and free costs while it is measured, by memleakd and by others.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use memleakd::collect::{Allocator, Host, Method};
use tempfile::TempDir;

use crate::churn::Churn;
use crate::interrupt;
use crate::measure::median;
use crate::probing::{capture, captured, prober, still_captures};
use crate::running::Running;
use crate::table::Table;
use crate::yardstick::Yardstick;

/// What is aimed at: memleakd costs so many times less than the yardstick.
const AIM: f64 = 8.0;
/// Captures, and timings in one. Without probes, by memleakd, by the yardstick, and again: what else
/// the machine does falls on all three alike.
const N_CAPTURES: usize = 3;
const N_TIMINGS: usize = 15;
/// Long enough for the timings, on a machine that others use too.
const CAPTURE: Duration = Duration::from_millis(2500);
/// Pairs in a timing. With probes, one takes up to 20 us, as a rule.
const N_PAIRS: u64 = 2000;
const N_BARE_PAIRS: u64 = 200_000;

/// Follows malloc and free of one library, which only the measured program has.
const SCRIPT: &str = "
uprobe:LIBRARY:malloc { @sizes[tid] = arg0; }
uretprobe:LIBRARY:malloc /@sizes[tid]/ { @objects[retval] = @sizes[tid]; delete(@sizes[tid]); }
uprobe:LIBRARY:free { delete(@objects[arg0]); }";

/// Another tool.
struct Rival {
    title: &'static str,
    program: &'static str,
}

const BPFTRACE: Rival = Rival {
    title: "bpftrace, a script of the same probes",
    program: "bpftrace",
};
const HEAPTRACK: Rival = Rival {
    title: "heaptrack, which has to start the program",
    program: "heaptrack",
};
const BCC: Rival = Rival {
    title: "bcc's memleak",
    program: "memleak-bpfcc",
};

/// The program, and C libraries that no other process uses: tools put their probes into a file,
/// and others should not pay for what is measured here.
struct Stage {
    directory: TempDir,
    program: PathBuf,
    /// The C library of this machine.
    shown_path: PathBuf,
    n_libraries: usize,
}

/// What a pair took in nanoseconds in one timing each.
#[derive(Clone, Copy)]
struct Timing {
    bare: f64,
    by_memleakd: f64,
    by_yardstick: f64,
}

/// memleakd and the yardstick by turns, then each of the others.
pub fn measure(table: &mut Table) -> Result<()> {
    let mut stage = Stage::set()?;
    let timings = by_turns(&mut stage)?;
    let middle =
        |figure: fn(&Timing) -> f64| median(timings.iter().map(figure).collect::<Vec<_>>());
    let bare = middle(|timing| timing.bare);
    let ours = middle(|timing| timing.by_memleakd - timing.bare);
    let usual = middle(|timing| timing.by_yardstick - timing.bare);
    let ratio =
        middle(|timing| (timing.by_yardstick - timing.bare) / (timing.by_memleakd - timing.bare));
    table.say("malloc and free of 100 bytes", nanos(bare));
    table.say("- while memleakd measures it, more", nanos(ours));
    table.say("- the usual probes (yardstick), more", nanos(usual));
    table.aim(
        "- memleakd costs less than the yardstick by",
        format!("{ratio:.1} x"),
        format!("{AIM} x"),
        ratio >= AIM,
    );
    for (rival, figure) in [
        (BPFTRACE, stage.by_bpftrace()),
        (HEAPTRACK, stage.by_heaptrack()),
        (BCC, stage.by_bcc()),
    ] {
        interrupt::check()?;
        match figure {
            Ok(with) => {
                let cost = with - bare;
                let title = format!("- {}, more", rival.title);
                table.say(title, format!("{}, {:.1} x", nanos(cost), cost / ours));
            }
            Err(error) => table.leave_out(&format!("cost of {}", rival.title), &error),
        }
    }
    table.note(
        "The yardstick (benches/yardstick.bpf.c) has probes at the first instruction of malloc and free and at malloc's return, and tables by thread and by pointer.",
    );
    table.note(
        "heaptrack sees only programs that it has started, and writes as fast as another core reads: that core's time is not in the figure.",
    );
    Ok(())
}

/// Three processes: one without probes, and one each for memleakd and the yardstick. Proves that
/// what was timed was counted, too.
fn by_turns(stage: &mut Stage) -> Result<Vec<Timing>> {
    let prober = prober()?;
    let mut yardstick = Yardstick::load()?;
    let (mut alone, _) = stage.start()?;
    let (mut ours, _) = stage.start()?;
    let (mut usual, _) = stage.start()?;
    let links = yardstick.attach(usual.pid(), &glibc(usual.pid())?)?;
    usual.turn_over("leak 100 64")?;
    ensure!(
        yardstick.n_objects()? >= 100,
        "the yardstick does not see what is allocated"
    );
    let mut timings = Vec::new();
    for _ in 0..N_CAPTURES {
        let id = capture(&prober, ours.pid(), CAPTURE)?;
        ours.wait_for_probes(|| still_captures(&prober, id))?;
        for _ in 0..N_TIMINGS {
            interrupt::check()?;
            timings.push(Timing {
                bare: alone.nanos_of_pair(N_BARE_PAIRS)?,
                by_memleakd: ours.nanos_of_pair(N_PAIRS)?,
                by_yardstick: usual.nanos_of_pair(N_PAIRS)?,
            });
        }
        let n_calls = 2 * N_PAIRS * N_TIMINGS as u64;
        let capture = captured(&prober, id)?;
        ensure!(
            capture.calls >= n_calls,
            "memleakd has seen {} of {n_calls} calls",
            capture.calls
        );
    }
    drop(links);
    Ok(timings)
}

/// CPU time of a pair in nanoseconds.
fn timing(churn: &mut Churn, n_pairs: u64) -> Result<f64> {
    interrupt::check()?;
    let timings: Result<Vec<_>> = (0..N_TIMINGS)
        .map(|_| churn.nanos_of_pair(n_pairs))
        .collect();
    timings.map(median)
}

fn glibc(pid: u32) -> Result<Allocator> {
    let found = Host::new("/").allocators(pid)?.map_err(Error::msg)?;
    let mut found = found.into_iter();
    found
        .find(|allocator| allocator.method == Method::Header)
        .context("the C compiler does not link programs with glibc")
}

fn nanos(nanos: f64) -> String {
    format!("{nanos:.0} ns")
}

impl Stage {
    fn set() -> Result<Self> {
        let program = Churn::compile("churn", "cc", &[])?;
        let churn = Churn::start(&mut Command::new(&program))?;
        Ok(Self {
            directory: TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?,
            program,
            shown_path: PathBuf::from(glibc(churn.pid())?.shown_path),
            n_libraries: 0,
        })
    }

    /// Starts the program with a library of its own, and says which.
    fn start(&mut self) -> Result<(Churn, PathBuf)> {
        self.n_libraries += 1;
        let directory = self.directory.path().join(self.n_libraries.to_string());
        fs::create_dir(&directory)?;
        let name = self.shown_path.file_name();
        let library = directory.join(name.context("the C library has no name")?);
        fs::copy(&self.shown_path, &library)
            .with_context(|| format!("copying {}", self.shown_path.display()))?;
        let churn = Churn::start(Command::new(&self.program).env("LD_LIBRARY_PATH", directory))?;
        Ok((churn, library))
    }

    fn by_bpftrace(&mut self) -> Result<f64> {
        let (mut churn, library) = self.start()?;
        let script = SCRIPT.replace("LIBRARY", &library.to_string_lossy());
        self.by_tracer(&mut churn, BPFTRACE.program, &["-e", &script])
    }

    fn by_bcc(&mut self) -> Result<f64> {
        let (mut churn, _) = self.start()?;
        let pid = churn.pid().to_string();
        self.by_tracer(&mut churn, BCC.program, &["-p", &pid, "3600"])
    }

    fn by_tracer(&self, churn: &mut Churn, program: &str, arguments: &[&str]) -> Result<f64> {
        let path = self.directory.path().join(program);
        let log = File::create(&path)?;
        let mut tracer = Running::start(
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        churn.wait_for_probes(|| {
            ensure!(
                !tracer.has_ended()?,
                "{program} says: {}",
                last_words(&path)?
            );
            Ok(())
        })?;
        // Not all of its probes come in at once.
        interrupt::wait(Duration::from_secs(1))?;
        timing(churn, N_PAIRS)
    }

    fn by_heaptrack(&self) -> Result<f64> {
        let record = self.directory.path().join("heaptrack");
        let mut churn = Churn::start(
            Command::new(HEAPTRACK.program)
                .arg("-o")
                .args([&record, &self.program])
                // It opens a window at the end where it can.
                .env_remove("DISPLAY")
                .env_remove("WAYLAND_DISPLAY")
                .stderr(Stdio::null()),
        )?;
        churn.nanos_of_pair(N_BARE_PAIRS / 10)?; // what is set up at first
        timing(&mut churn, N_BARE_PAIRS / 10)
    }
}

/// The line that says what is missing, or else the last one.
fn last_words(log: &Path) -> Result<String> {
    let text = fs::read_to_string(log)?;
    let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
    let last = lines.next().unwrap_or_default();
    let missing = lines.find(|line| line.starts_with("Unable to"));
    Ok(missing.unwrap_or(last).trim().to_owned())
}
