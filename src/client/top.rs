use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use super::table::Table;
use super::{columns, json, measured, rows};
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
    /// A table again and again until interrupted.
    Always,
    /// JSON, once.
    Json,
}

/// Lists at most so many processes, the fastest growing first.
pub fn top(
    output: &mut impl Write,
    client: &Client,
    listed: Listed,
    count: u32,
    renewal: Renewal,
) -> Result<()> {
    loop {
        let page = match listed {
            Listed::Pages => Page::Pages(client.processes(count)?),
            Listed::Heap => Page::Heap(client.measured("heap", count)?),
            Listed::Kernel if renewal == Renewal::Always => {
                Page::Kernel(client.measured("kernel", count)?)
            }
            Listed::Kernel => Page::Kernel(begun(client, count)?),
        };
        match renewal {
            Renewal::Json => return json(output, &page),
            Renewal::Once => {
                let text = page.text(&client.status()?, columns());
                return output.write_all(text.as_bytes()).context("writing");
            }
            Renewal::Always => {
                let text = page.text(&client.status()?, columns());
                // Home, then erase what is below: no flicker, and the last table stays on the
                // screen. A line too many would scroll it.
                let text: Vec<_> = text.lines().take(rows().saturating_sub(1)).collect();
                writeln!(output, "\u{1b}[H\u{1b}[J{}", text.join("\n")).context("writing")?;
                output.flush().context("writing")?;
            }
        }
        thread::sleep(Duration::from_secs(2));
    }
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
        let heading = format!(
            "{}, {}, {} open",
            count(status.processes, "process", "processes"),
            count(status.suspects, "suspect", "suspects"),
            count(status.alerts, "alert", "alerts"),
        );
        let heading: String = heading.chars().take(columns).collect();
        let table = match self {
            Self::Pages(processes) => pages(processes, columns),
            Self::Heap(measured) if measured.is_empty() => {
                "no heap is measured now: there is no suspect, or heap.watch is \"off\"\n"
                    .to_owned()
            }
            Self::Kernel(measured) if measured.is_empty() => {
                "kernel memory is measured from the next scan on, if you are root and kernel.watch is not \"off\"\n"
                    .to_owned()
            }
            Self::Heap(measured) | Self::Kernel(measured) => measured::table(measured, columns),
        };
        format!("{heading}\n\n{table}")
    }
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
