//! Work that may fail in ways that cannot be foreseen, as it follows what hostile files say.
//!
//! In a release a panic ends the process. What is done here is done on a thread of its own: if it
//! panics, or does not end in time, that thread is left where it is, and costs what it was to
//! find out.

use std::cell::Cell;
use std::panic;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How an attempt's thread says that it has panicked.
type Alarm = Box<dyn FnOnce()>;

thread_local! {
    static ALARM: Cell<Option<Alarm>> = const { Cell::new(None) };
}

/// Lets panics in attempts end these alone; to be called once, before the first.
pub(super) fn expect_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| match ALARM.take() {
        Some(alarm) => {
            alarm();
            // Behind a return from here, the process would end.
            loop {
                thread::park();
            }
        }
        None => usual(info),
    }));
}

/// Does something, for so long at the most; a phrase says why it was not done.
pub(super) fn attempt<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, &'static str> {
    let (done, result): (Sender<Option<T>>, _) = channel();
    let alarmed = done.clone();
    // Whoever waits may have given up before anything is sent.
    let alarm = Box::new(move || drop(alarmed.send(None)));
    let thread = thread::Builder::new().spawn(move || {
        ALARM.set(Some(alarm));
        drop(done.send(Some(work())));
    });
    if thread.is_err() {
        return Err("no thread could be started");
    }
    match result.recv_timeout(timeout) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err("it cannot be read"),
        Err(_) => Err("it takes too long to read"),
    }
}

/// What attempts share: none panics while it has it.
pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
