use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::table::Table;
use super::{columns, json};
use crate::bus::{Client, Process, Status};
use crate::quantity::{Bytes, Rate, count};

/// Shows the fastest growing processes: once, or again and again until interrupted.
pub fn top(
    output: &mut impl Write,
    client: &Client,
    count: u32,
    once: bool,
    as_json: bool,
) -> Result<()> {
    loop {
        let processes = client.processes(count)?;
        if as_json {
            json(output, &processes)?;
        } else {
            let status = client.status()?;
            // Home, then erase what is below: no flicker, and the last table stays on the screen.
            let before = if once { "" } else { "\u{1b}[H\u{1b}[J" };
            write!(output, "{before}{}", page(&status, &processes, columns()))
                .context("writing")?;
        }
        output.flush().context("writing")?;
        if once {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(2));
    }
}

fn page(status: &Status, processes: &[Process], columns: usize) -> String {
    let heading = format!(
        "{}, {}, {} firing",
        count(status.processes, "process", "processes"),
        count(status.suspects, "suspect", "suspects"),
        count(status.alerts, "alert", "alerts"),
    );
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
    let heading: String = heading.chars().take(columns).collect();
    format!("{heading}\n\n{}", table.render(columns))
}
