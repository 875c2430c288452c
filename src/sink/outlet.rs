use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Sink;
use crate::alert::Alert;

/// The outbox hands out one change at a time; a second waits here at most while a sink is replaced.
const QUEUE: usize = 2;
/// A sink that has nothing to send is tended so often.
const TEND_EVERY: Duration = Duration::from_secs(30);

/// The number of a delivery that is a test; changes begin with 1.
pub const TEST_SEQUENCE: u64 = 0;

/// What is on its way to one sink: one change, or several for a sink that says many at once.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The number of the first among all changes, the same when it is tried again, with the same
    /// changes.
    pub sequence: u64,
    /// What is said, in order; never empty.
    pub changes: Vec<Alert>,
}

/// What a sink has to report.
#[derive(Debug)]
pub struct Report {
    /// Which sink.
    pub sink: &'static str,
    /// Which change it was given; none if it was only tended.
    pub sequence: Option<u64>,
    /// Whether that went well.
    pub result: Result<()>,
}

/// A sink on its own thread.
#[derive(Debug)]
pub struct Outlet {
    name: &'static str,
    queue: SyncSender<Task>,
}

/// What a sink has to do.
#[derive(Debug)]
enum Task {
    Send(Delivery),
    Tend,
}

impl Outlet {
    /// Starts the thread. It calls `report` after each delivery and ends with the outlet.
    pub fn start(
        name: &'static str,
        sink: Box<dyn Sink>,
        report: impl Fn(Report) + Send + 'static,
    ) -> Result<Self> {
        let (queue, tasks) = sync_channel(QUEUE);
        thread::Builder::new()
            .name(format!("sink-{name}"))
            .spawn(move || run(name, sink, &tasks, report))
            .with_context(|| format!("starting the thread of sink {name}"))?;
        Ok(Self { name, queue })
    }

    /// The sink's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Hands a change to the sink, without waiting. False if its queue is full.
    pub fn offer(&self, delivery: Delivery) -> bool {
        match self.queue.try_send(Task::Send(delivery)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Has the sink tended soon, without waiting: now, or when it has sent what it was given.
    pub fn tend(&self) {
        // A sink whose queue is full has no time for it, and will be tended.
        self.queue.try_send(Task::Tend).ok();
    }
}

fn run(
    sink: &'static str,
    mut inner: Box<dyn Sink>,
    tasks: &Receiver<Task>,
    report: impl Fn(Report),
) {
    let mut wait = Duration::ZERO;
    loop {
        let (sequence, result) = match tasks.recv_timeout(wait) {
            Ok(Task::Send(delivery)) => (Some(delivery.sequence), Some(inner.send(&delivery))),
            Ok(Task::Tend) | Err(RecvTimeoutError::Timeout) => (None, inner.tend()),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        wait = TEND_EVERY;
        if let Some(result) = result {
            report(Report {
                sink,
                sequence,
                result,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use anyhow::bail;

    use super::*;
    use crate::alert::message::tests::alert;

    /// Fails to send; tends if it has to.
    struct Broken {
        tends: bool,
    }

    impl Sink for Broken {
        fn send(&mut self, _: &Delivery) -> Result<()> {
            bail!("broken")
        }

        fn tend(&mut self) -> Option<Result<()>> {
            self.tends.then_some(Ok(()))
        }
    }

    #[test]
    fn only_what_was_tried_is_reported() {
        for tends in [false, true] {
            let (sender, reports) = channel();
            let outlet = Outlet::start("broken", Box::new(Broken { tends }), move |report| {
                sender.send(report).expect("the test listens");
            })
            .expect("a thread");
            let report = || {
                reports
                    .recv_timeout(Duration::from_secs(10))
                    .expect("a report")
            };
            if tends {
                let Report {
                    sequence, result, ..
                } = report();
                assert!(sequence.is_none() && result.is_ok());
            } else {
                // It has been tended by now, if it ever is at start.
                assert!(reports.recv_timeout(Duration::from_millis(200)).is_err());
            }
            assert!(outlet.offer(Delivery {
                sequence: 7,
                changes: vec![alert()],
            }));
            let Report {
                sequence, result, ..
            } = report();
            assert!(sequence == Some(7) && result.is_err());
        }
    }
}
