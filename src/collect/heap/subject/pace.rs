//! How long the probes of a process stay in and out, so that they cost no more than they may.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Subject, Tools, Use};
use crate::collect::heap::totals::Totals;
use crate::collect::heap::windows::Windows;

/// While stacks are captured, the probes may cost so many times the ceiling, up to what they may
/// cost in an hour: an offender is to be pinpointed soon. It is paid back afterwards.
const HASTE: f64 = 5.0;
/// Then a process counts as using so much of a CPU, if it uses less: one that sleeps most of the
/// time can be looked at for next to nothing.
const LEAST_CPU: f64 = 0.01;

impl Subject {
    /// Decides how long the probes stay in and out from now on, by what they have cost in a window.
    pub(super) fn set_windows(
        &mut self,
        tools: &Tools<'_>,
        counted: Totals,
        time: Duration,
    ) -> Result<()> {
        let Some(ceiling) = self.ceiling else {
            return Ok(());
        };
        let spent_secs = tools.hit_cost.secs(counted);
        let cost = spent_secs / time.as_secs_f64().max(1e-3);
        let cpu = self.cpu_share(tools)?;
        // What is allowed is what accrues over an hour at most.
        let most_secs = ceiling.fraction() * cpu * 3600.0;
        let accrued_secs = ceiling.fraction() * cpu * self.settled.elapsed().as_secs_f64();
        self.settled = Instant::now();
        self.owed_secs = (self.owed_secs + spent_secs - accrued_secs).max(-most_secs);
        let lent_cpu = cpu.max(LEAST_CPU);
        let lent_secs = ceiling.fraction() * lent_cpu * 3600.0;
        self.windows = match self.stacks.is_some() && self.owed_secs < lent_secs {
            // Lent by the rest of the hour.
            true => Windows::within(ceiling.times(HASTE), cost, lent_cpu, 0.0),
            false => Windows::within(ceiling, cost, cpu, self.owed_secs),
        };
        Ok(())
    }

    /// What the process uses of a CPU by itself. One that is busy all the time has less of it left
    /// while the probes are in, so that more is known from when they are out.
    fn cpu_share(&self, tools: &Tools<'_>) -> Result<f64> {
        let used_secs = tools.host.cpu_secs(self.process.pid)? - self.cpu_secs_before;
        let all = Use {
            secs: self.started.elapsed().as_secs_f64(),
            cpu_secs: used_secs - tools.hit_cost.secs(self.sum),
        };
        Ok(all.share().max(self.bare.share()))
    }
}
