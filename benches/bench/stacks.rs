//! What a capture of stacks costs those that are captured, and the daemon.

mod memory;
mod sampled;
mod slowdown;

use anyhow::Result;

use crate::interrupt;
use crate::table::Table;

/// One sampled allocation, then programs at work, then the daemon.
pub fn measure(table: &mut Table) -> Result<()> {
    sampled::measure(table)?;
    interrupt::check()?;
    slowdown::measure(table)?;
    interrupt::check()?;
    memory::measure(table)
}
