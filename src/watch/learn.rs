//! What processes teach of their programs, and what these have taught before.

use super::{Tracked, Watch};
use crate::collect::Collector;
use crate::past::{Look, Past, Run};
use crate::sample::Moment;

impl Watch {
    /// Forgets the processes that this round has not seen, and learns from them first.
    pub(super) fn forget_ended(
        &mut self,
        now: &Moment,
        collector: &dyn Collector,
        past: &mut Past,
    ) {
        let round = self.round;
        let ended = self
            .processes
            .extract_if(|_, tracked| tracked.round != round);
        let mut with_run: Vec<_> = ended
            .map(|(_, tracked)| tracked)
            .filter(|tracked| tracked.run.is_some())
            .collect();
        // In order, so that the same recording always teaches the same.
        with_run.sort_unstable_by_key(|tracked| tracked.sample.process);
        for tracked in &mut with_run {
            let grew = tracked.known.as_ref();
            let grew = grew.is_some_and(|known| known.slow.believed(now).is_some());
            let was_killed = grew && collector.oom_killed(tracked.sample.process);
            tracked.end_run(now, was_killed, past);
        }
    }
}

impl Tracked {
    /// Its facts have been read, maybe anew: what is known of its program, which is another one if
    /// it has replaced itself.
    pub(super) fn recognise(&mut self, now: &Moment, past: &mut Past) {
        let Some(known) = &mut self.known else {
            return;
        };
        let program = known.facts.program(&self.sample);
        known.prior = past.prior(&program, now.time);
        if self
            .run
            .as_ref()
            .is_some_and(|run| run.program() != program)
        {
            self.end_run(now, false, past);
        }
    }

    /// Learns from it from time to time, once it has grown by so much.
    pub(super) fn follow_run(&mut self, now: &Moment, notable_bytes: u64, past: &mut Past) {
        if self.run.as_ref().is_some_and(|run| !run.is_due(now)) {
            return;
        }
        if self.run.is_none() && self.history.gained_bytes() < notable_bytes {
            return;
        }
        let look = self.look(now, false);
        let Some(known) = &mut self.known else {
            return;
        };
        let run = self.run.get_or_insert_with(|| {
            let program = known.facts.program(&self.sample);
            Box::new(Run::new(program, look.age_secs, now, past))
        });
        run.look(&look, now, past);
        known.prior = past.prior(run.program(), now.time);
    }

    /// Learns from what it was until now, and whether the kernel killed it as memory ran out.
    pub(super) fn end_run(&mut self, now: &Moment, was_killed: bool, past: &mut Past) {
        if let Some(run) = self.run.take() {
            run.end(&self.look(now, was_killed), now, past);
        }
    }

    fn look(&self, now: &Moment, was_killed: bool) -> Look {
        let known = self.known.as_ref();
        Look {
            age_secs: self.age_secs(now),
            level: self.history.level(),
            is_suspect: self.suspect_until_secs >= now.monotonic_secs,
            bytes: self.sample.bytes,
            seen_secs: self.history.age_secs(),
            growth: known.and_then(|known| known.slow.believed(now)),
            lacked_memory: was_killed || known.is_some_and(|known| known.is_full(&self.sample)),
        }
    }
}
