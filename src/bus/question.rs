//! Questions that only the daemon's loop can answer.
//!
//! Who asks on the bus waits for the loop, but not for long, and holds up nobody: neither the loop,
//! which does no more than hand its answer over, nor other calls. Few may wait at a time.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use zbus::fdo;

use super::{Explained, Process};
use crate::alert::Matcher;
use crate::curve::Curve;
use crate::quantity::Span;
use crate::sample::ProcessId;

/// The loop is busy for a few milliseconds in a round; who waits longer asks again.
const TIME: Duration = Duration::from_secs(2);
/// A test alert may take this long on its way: the loop gives it up before.
const TEST_TIME: Duration = Duration::from_secs(60);
/// Questions that may wait at a time.
const MAX_WAITING: usize = 8;

/// What somebody wants of the loop, and may have.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Whether a process leaks, and why. Its start time is to the tick.
    Explain(ProcessId),
    /// The fastest growing processes, at most so many.
    Processes(usize),
    /// How a process came to its size, also one that has ended.
    Curve {
        /// Which.
        pid: u32,
        /// When it started, in clock ticks since boot; 0 for the one that runs.
        start_time: u64,
    },
    /// Take note of an alert, by its id.
    Acknowledge {
        /// Which.
        id: String,
        /// Who has, by name or number.
        by: String,
    },
    /// Tell nobody of some alerts for a time.
    Silence {
        /// Which.
        matcher: Box<Matcher>,
        /// From now on.
        time: Span,
        /// Why.
        comment: String,
        /// Who wants it, by name or number.
        by: String,
    },
    /// Take a silence back, by its id.
    Unsilence(String),
    /// Read the configuration again.
    Reload,
    /// Send a test alert by a sink.
    Test(String),
}

/// What the loop has to say to that.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Of a process.
    Explained(Box<Explained>),
    /// The fastest growing first.
    Processes(Vec<Process>),
    /// Of a process, with its user; nothing if it is not known.
    Curve(Option<(u32, Curve)>),
    /// The id of a silence that was made.
    Silenced(String),
    /// It is done; a sentence if there is more to say.
    Done(String),
}

/// The reply, or one sentence that says why there is none.
pub type Answer = Result<Reply, String>;

/// A request, with who waits for the answer.
#[derive(Debug)]
pub struct Question {
    /// What is wanted.
    pub request: Request,
    answer: SyncSender<Answer>,
}

impl Question {
    /// Answers it, without waiting.
    pub fn answer(self, answer: Answer) {
        // Who asked may not wait any more.
        let _ = self.answer.try_send(answer);
    }
}

/// How questions reach the loop.
#[derive(Clone)]
pub(super) struct Asker {
    put: Arc<dyn Fn(Question) + Send + Sync>,
    n_waiting: Arc<AtomicUsize>,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker")
            .field("n_waiting", &self.n_waiting)
            .finish_non_exhaustive()
    }
}

impl Asker {
    /// With a way to put a question to the loop, which must not wait.
    pub fn new(put: impl Fn(Question) + Send + Sync + 'static) -> Self {
        Self {
            put: Arc::new(put),
            n_waiting: Arc::default(),
        }
    }

    /// Asks, and waits for the answer, but not for long. Errors are sentences.
    pub async fn ask(&self, request: Request) -> fdo::Result<Reply> {
        let waiting = Waiting::begin(&self.n_waiting).ok_or_else(|| {
            fdo::Error::LimitsExceeded(
                "too many ask memleakd at once: try again in a moment".to_owned(),
            )
        })?;
        let (sender, receiver) = sync_channel(1);
        let time = match request {
            Request::Test(_) => TEST_TIME,
            _ => TIME,
        };
        (self.put)(Question {
            request,
            answer: sender,
        });
        match wait(receiver, time, waiting).await {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(why)) => Err(fdo::Error::Failed(why)),
            None => Err(fdo::Error::Failed(
                "memleakd is too busy to answer: try again in a moment".to_owned(),
            )),
        }
    }
}

/// One of those who may wait.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn begin(n_waiting: &Arc<AtomicUsize>) -> Option<Self> {
        let waiting = Self(Arc::clone(n_waiting));
        // From here on it is given back even if there is no room.
        let n_before = waiting.0.fetch_add(1, Ordering::Relaxed);
        (n_before < MAX_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one thread leaves for the task that awaits it.
#[derive(Default)]
struct Slot {
    left: Option<Option<Answer>>,
    waker: Option<Waker>,
}

/// Waits on a thread of its own: the bus's serves other calls meanwhile, and has no clock for us.
async fn wait(receiver: Receiver<Answer>, time: Duration, waiting: Waiting) -> Option<Answer> {
    let slot = Arc::<Mutex<Slot>>::default();
    let theirs = Arc::clone(&slot);
    let thread = thread::Builder::new().name("question".to_owned());
    let started = thread.spawn(move || {
        let answer = receiver.recv_timeout(time).ok();
        drop(waiting);
        let waker = {
            let mut slot = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            slot.left = Some(answer);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    started.ok()?;
    poll_fn(|context: &mut Context<'_>| {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.left.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use super::*;

    const PROCESS: ProcessId = ProcessId {
        pid: 7,
        start_time_ns: 0,
    };

    fn why(asker: &Asker) -> String {
        let request = Request::Explain(PROCESS);
        let error = zbus::block_on(asker.ask(request)).expect_err("no answer");
        error.to_string()
    }

    #[test]
    fn an_answer_comes_from_another_thread_or_not_at_all() {
        let (sender, questions) = channel::<Question>();
        let asker = Asker::new(move |question| drop(sender.send(question)));
        let answering = thread::spawn(move || {
            let question = questions.recv().expect("a question");
            assert_eq!(question.request, Request::Explain(PROCESS));
            question.answer(Err("process 7 is gone".to_owned()));
            questions
        });
        assert!(why(&asker).contains("process 7 is gone"));
        let questions = answering.join().expect("it ends");

        // The loop hangs: whoever asks waits for so long and no longer.
        let began = Instant::now();
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let asker = asker.clone();
                thread::spawn(move || why(&asker))
            })
            .collect();
        while asker.n_waiting.load(Ordering::Relaxed) < MAX_WAITING {
            thread::yield_now();
        }
        assert!(why(&asker).contains("too many ask"));
        for waiting in waiting {
            assert!(waiting.join().expect("it ends").contains("too busy"));
        }
        assert!((TIME..TIME * 3).contains(&began.elapsed()));
        assert_eq!(asker.n_waiting.load(Ordering::Relaxed), 0);
        // An answer that comes too late is nobody's.
        questions
            .recv()
            .expect("a question")
            .answer(Err(String::new()));
        // A loop that has ended answers nothing, at once.
        drop(questions);
        assert!(why(&asker).contains("too busy"));
    }
}
