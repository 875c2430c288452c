//! How far off the net allocations are, of each allocator, against a program that knows.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use memleakd::collect::Prober;

use crate::churn::Churn;
use crate::interrupt;
use crate::probing::{capture, captured, prober, still_captures};
use crate::table::Table;

/// What the runs do. Each is a process of its own, all are measured at once.
const RUNS: [&str; 3] = ["churn 20000", "churn 30000", "churn 40000"];
/// As they are, and how they are had: a library to preload, or another compiler.
const ALLOCATORS: [(&str, &str, &str); 5] = [
    ("glibc", "", "cc"),
    ("musl", "", "musl-gcc"),
    ("jemalloc", "libjemalloc.so", "cc"),
    ("tcmalloc", "libtcmalloc_minimal.so", "cc"),
    ("mimalloc", "libmimalloc.so", "cc"),
];
/// Long enough for the calls where every probe is single-stepped, as in mimalloc.
const CAPTURE: Duration = Duration::from_secs(9);
/// What is aimed at.
const AIM_PER_CENT: f64 = 0.1;

/// One allocator after the other.
pub fn measure(table: &mut Table) -> Result<()> {
    let prober = prober()?;
    for (name, library, compiler) in ALLOCATORS {
        interrupt::check()?;
        let title = format!("error of net bytes, {name}");
        match error(&prober, name, library, compiler) {
            Ok((per_cent, method)) => table.aim(
                format!("{title} ({method})"),
                format!("{per_cent:.4} %"),
                format!("{AIM_PER_CENT} %"),
                per_cent <= AIM_PER_CENT,
            ),
            Err(error) => table.leave_out(&title, &error),
        }
    }
    table.note(
        "Errors are in per cent of the bytes that were allocated meanwhile, the worst of three runs.",
    );
    Ok(())
}

/// The largest error in per cent, and how sizes were known.
fn error(prober: &Prober, name: &str, library: &str, compiler: &str) -> Result<(f64, String)> {
    // Only of glibc is it known what a block holds.
    let truth: &[&str] = if name == "glibc" {
        &[]
    } else {
        &["-DREQUESTED"]
    };
    let program = Churn::compile(&format!("churn-{name}"), compiler, truth)?;
    let mut command = Command::new(program);
    if !library.is_empty() {
        command.env("LD_PRELOAD", installed(library)?);
    }
    let mut running = Vec::new();
    for _ in RUNS {
        let churn = Churn::start(&mut command)?;
        let id = capture(prober, churn.pid(), CAPTURE)?;
        running.push((churn, id));
    }
    let mut nets = Vec::new();
    for ((churn, id), calls) in running.iter_mut().zip(RUNS) {
        churn.wait_for_probes(|| still_captures(prober, *id))?;
        let before = churn.turn_over("drop")?;
        let after = churn.turn_over(calls)?;
        still_captures(prober, *id)?;
        nets.push((after.live - before.live, after.turned - before.turned));
    }
    let mut worst = 0.0_f64;
    let mut method = String::new();
    for ((_, id), (net_bytes, turned_bytes)) in running.iter().zip(nets) {
        let capture = captured(prober, *id)?;
        let off_bytes = (capture.net_bytes - net_bytes).abs();
        worst = worst.max(off_bytes as f64 / turned_bytes as f64 * 100.0);
        ensure!(turned_bytes > 0, "the program has allocated nothing");
        method = capture.method;
    }
    Ok((worst, method))
}

/// Where a library is, by the linker's own list.
fn installed(library: &str) -> Result<PathBuf> {
    let list = Command::new("ldconfig")
        .arg("-p")
        .output()
        .context("starting ldconfig")?;
    let list = String::from_utf8_lossy(&list.stdout);
    let mut lines = list.lines();
    let line = lines.find(|line| line.trim_start().starts_with(library));
    let path = line.and_then(|line| line.split_once("=> "));
    let (_, path) = path.with_context(|| format!("{library} is not installed"))?;
    Ok(PathBuf::from(path))
}
