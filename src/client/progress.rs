//! One line on standard error that says what is under way, for whoever waits at a terminal.
//!
//! It comes after a second, is renewed in place, and is wiped at the end, also at Ctrl-C. Blanks wipe
//! it and no escape codes, so that every terminal will do, and a dumb one as well.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::emulate_default_handler;

/// Nothing is said of what is over within this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon the line follows what is going on, and goes at Ctrl-C.
const RENEWAL: Duration = Duration::from_millis(100);
/// How wide a terminal is that does not say.
const USUAL_COLUMNS: usize = 80;

/// What is shown as long as something is under way: it ends with this.
#[derive(Debug)]
pub struct Progress {
    shown: Option<Shown>,
}

/// What there is where somebody looks.
#[derive(Debug)]
struct Shown {
    line: Arc<Mutex<Line>>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Shows what `words` says, given the time that has passed, if that is more than a second.
    /// A signal that ends the program wipes the line before.
    pub fn begin(words: impl FnMut(Duration) -> String + Send + 'static) -> Self {
        Self::show(words, true)
    }

    /// The same for who catches signals himself, and drops this when one has come.
    pub fn begin_without_signals(words: impl FnMut(Duration) -> String + Send + 'static) -> Self {
        Self::show(words, false)
    }

    /// Writes what belongs on the screen beside the line, which is out of the way for as long.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        let Some(shown) = &self.shown else {
            return write();
        };
        let mut line = locked(&shown.line);
        line.wipe();
        write()
    }

    fn show(mut words: impl FnMut(Duration) -> String + Send + 'static, has_signals: bool) -> Self {
        if !stderr().is_terminal() {
            return Self { shown: None };
        }
        // What cannot be caught ends the program with its line on the screen, which is no harm.
        let signals = has_signals.then(|| LazyLock::force(&SIGNALS));
        let line = Arc::new(Mutex::new(Line { width: 0, signals }));
        let (stop, stopped) = channel();
        let (started, of_thread) = (Instant::now(), Arc::clone(&line));
        let thread = thread::spawn(move || {
            let mut wait = PATIENCE;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
                wait = RENEWAL;
                let text = words(started.elapsed());
                locked(&of_thread).renew(&text);
            }
        });
        let shown = Shown { line, stop, thread };
        Self { shown: Some(shown) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(Shown { line, stop, thread }) = self.shown.take() {
            drop(stop);
            // It has panicked, or is over: no more is written in either case.
            thread.join().ok();
            locked(&line).wipe();
        }
    }
}

/// A panic while a line is written leaves no more than that line.
fn locked(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is on the screen.
#[derive(Debug)]
struct Line {
    /// So many characters of ours; none if it is 0.
    width: usize,
    signals: Option<&'static Signals>,
}

impl Line {
    fn renew(&mut self, text: &str) {
        // Somebody else has the terminal, as after "bg" in a shell.
        if tcgetpgrp(stderr()).is_ok_and(|foreground| foreground != getpgrp()) {
            self.width = 0;
            return self.wipe();
        }
        let columns = columns();
        if let Some(signals) = self.signals {
            signals.is_plain.store(false, Ordering::SeqCst);
        }
        let line = fitted(text, columns);
        let blanks = self.width.saturating_sub(line.len()).min(columns - 1);
        self.width = line.len();
        write(&format!("\r{line}{:blanks$}", ""));
        if self.signals.is_some_and(Signals::has_come) {
            self.wipe();
        }
    }

    fn wipe(&mut self) {
        if self.width > 0 {
            // Ctrl-C shows as ^C behind it.
            let blanks = (self.width + 2).min(columns() - 1);
            write(&format!("\r{:blanks$}\r", ""));
            self.width = 0;
        }
        if let Some(signals) = self.signals {
            signals.is_plain.store(true, Ordering::SeqCst);
            signals.obey();
        }
    }
}

/// How wide the terminal is.
fn columns() -> usize {
    match tcgetwinsize(stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => USUAL_COLUMNS,
    }
}

/// A text as one line of a terminal. A width in characters is one in columns only of ASCII, which is
/// also what every terminal shows.
fn fitted(text: &str, columns: usize) -> String {
    let letters = text.chars().map(|letter| match letter {
        ' '..='~' => letter,
        _ => '?',
    });
    letters.take(columns.saturating_sub(1)).collect()
}

/// What cannot be written here is missed by nobody.
fn write(text: &str) {
    let mut stderr = stderr().lock();
    stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush())
        .ok();
}

/// The signals that end the program: while a line is shown it is wiped before.
#[derive(Debug)]
struct Signals {
    /// No line is shown, and signals do what they always do.
    is_plain: Arc<AtomicBool>,
    /// The one that has come; none is 0.
    come: Arc<AtomicUsize>,
}

/// They are caught once, as what is caught can never be as it was.
static SIGNALS: LazyLock<Signals> = LazyLock::new(|| {
    let signals = Signals {
        is_plain: Arc::new(AtomicBool::new(true)),
        come: Arc::default(),
    };
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let number = usize::try_from(signal).expect("signals have positive numbers");
        // One that cannot be caught ends the program at once.
        flag::register_conditional_default(signal, Arc::clone(&signals.is_plain))
            .and_then(|_| flag::register_usize(signal, Arc::clone(&signals.come), number))
            .ok();
    }
    signals
});

impl Signals {
    fn has_come(&self) -> bool {
        self.come.load(Ordering::SeqCst) != 0
    }

    /// Does what the signal is for, which is the end, if one has come.
    fn obey(&self) {
        if let Ok(signal @ 1..) = i32::try_from(self.come.load(Ordering::SeqCst)) {
            // It ends the program, unless that signal cannot, and then nothing is lost.
            emulate_default_handler(signal).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_narrower_than_the_terminal_and_has_nothing_but_letters() {
        for (text, columns, expected) in [
            ("measuring process 7", 80, "measuring process 7"),
            ("measuring process 7", 10, "measuring"),
            ("of \u{1b}[31mred\n", 80, "of ?[31mred?"),
            ("été", 80, "?t?"),
            ("any", 1, ""),
            ("any", 0, ""),
        ] {
            assert_eq!(fitted(text, columns), expected);
        }
    }
}
