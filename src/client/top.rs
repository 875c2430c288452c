//! The fastest growing processes: once, as a table or as JSON, or on the whole screen.
//!
//! On the screen, the model is what is known and chosen, and does no I/O; what is drawn depends on
//! it alone; the session joins both to the terminal, and to the threads that ask the daemon.

mod asking;
mod column;
mod draw;
mod entry;
mod help;
mod key;
mod layout;
mod list;
mod look;
mod model;
mod page;
mod screen;
mod session;
mod spark;

pub use help::keys;

use std::env;
use std::io::{IsTerminal, Write, stdin, stdout};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use super::table::Table;
use super::{Marks, columns, json, measured};
use crate::bus::{Client, Measured, Process, Status};
use crate::quantity::{Bytes, Rate, count};

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// The processes whose pages grow.
    Pages,
    /// Those whose heap is measured.
    Heap,
    /// Those whose kernel memory is measured.
    Kernel,
}

/// How often a list is printed, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// One table.
    Once,
    /// The whole screen, until a key or a signal ends it.
    Always,
    /// JSON, once.
    Json,
}

/// How many processes a table has, unless it is said otherwise.
const IN_TABLE: u32 = 20;
/// And how many the screen has, which can be scrolled: as many as memleakd tells of.
const ON_SCREEN: u32 = 100;

/// Why there is nothing to list.
const NO_HEAP: &str = "no heap is measured now: there is no suspect, or heap.watch is \"off\"";
const NO_KERNEL: &str = "kernel memory is measured from the next scan on, if you are root and kernel.watch is not \"off\"";

/// Lists at most so many processes, the fastest growing first.
///
/// What is no terminal, or one that cannot be drawn on, gets one table.
pub fn top(
    output: &mut impl Write,
    client: &Client,
    listed: Listed,
    count: Option<u32>,
    renewal: Renewal,
) -> Result<()> {
    if renewal == Renewal::Always && is_screen() {
        // What is wrong with the daemon at the start is said as by any other command.
        client.status()?;
        let count = count.unwrap_or(ON_SCREEN);
        return session::run(listed, count, Marks::of_terminal());
    }
    let count = count.unwrap_or(IN_TABLE);
    let page = match listed {
        Listed::Pages => Page::Pages(client.processes(count)?),
        Listed::Heap => Page::Heap(client.measured("heap", count)?),
        Listed::Kernel => Page::Kernel(begun(client, count)?),
    };
    if renewal == Renewal::Json {
        return json(output, &page);
    }
    let text = page.text(&client.status()?, columns());
    output.write_all(text.as_bytes()).context("writing")
}

/// Whether there is a terminal that can be drawn on, and keys.
fn is_screen() -> bool {
    let term = env::var("TERM").ok();
    stdin().is_terminal() && stdout().is_terminal() && look::can_be_drawn_on(term.as_deref())
}

/// Kernel memory by process, which is measured from when somebody asks for it: what there is after
/// two scans.
fn begun(client: &Client, count: u32) -> Result<Vec<Measured>> {
    let scans_secs = 2.0 * client.status()?.interval_secs + 1.0;
    let until = Instant::now() + Duration::from_secs_f64(scans_secs);
    loop {
        let measured = client.measured("kernel", count)?;
        if !measured.is_empty() || Instant::now() >= until {
            return Ok(measured);
        }
        thread::sleep(Duration::from_millis(250));
    }
}

/// What was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Page {
    Pages(Vec<Process>),
    Heap(Vec<Measured>),
    Kernel(Vec<Measured>),
}

impl Page {
    fn text(&self, status: &Status, columns: usize) -> String {
        let heading: String = figures(status).chars().take(columns).collect();
        let table = match self {
            Self::Pages(processes) => pages(processes, columns),
            Self::Heap(measured) if measured.is_empty() => format!("{NO_HEAP}\n"),
            Self::Kernel(measured) if measured.is_empty() => format!("{NO_KERNEL}\n"),
            Self::Heap(measured) | Self::Kernel(measured) => measured::table(measured, columns),
        };
        format!("{heading}\n\n{table}")
    }
}

/// What there is, in a line.
fn figures(status: &Status) -> String {
    format!(
        "{}, {}, {} open",
        count(status.processes, "process", "processes"),
        count(status.suspects, "suspect", "suspects"),
        count(status.alerts, "alert", "alerts"),
    )
}

fn pages(processes: &[Process], columns: usize) -> String {
    let mut table = Table::new(&[">PID", ">GROWTH", ">AT LEAST", ">SIZE", "PROCESS", "UNIT"]);
    for process in processes {
        table.row([
            process.pid.to_string(),
            Rate::from_bytes_per_sec(process.growth_bytes_per_sec).to_string(),
            Rate::from_bytes_per_sec(process.growth_bytes_per_sec_low).to_string(),
            Bytes(process.bytes).to_string(),
            process.comm.clone(),
            process.unit.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.render(columns)
}
