//! A leak on purpose, to be found: a process that leaks, what to look at meanwhile, and when memleakd
//! says so.

mod asked;
mod child;
mod words;

pub use child::{leak_on_purpose, memleakd_demo_leak};

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Progress;
use crate::quantity::{Bytes, Rate, Span};
use asked::Asked;

/// How soon an end is seen.
const POLL: Duration = Duration::from_millis(100);

/// What leaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DemoLeak {
    /// How fast.
    pub rate: Rate,
    /// For how long; for as long as nobody ends it if it is nothing.
    pub time: Option<Span>,
    /// How much at the most.
    pub most: Bytes,
}

impl DemoLeak {
    /// What has leaked after a time.
    fn leaked(&self, past: Duration) -> Bytes {
        let leaked = self.rate.over(Span::from_secs_f64(past.as_secs_f64()));
        leaked.min(self.most)
    }
}

/// The rate of a leak on purpose, from the command line.
pub fn demo_rate(text: &str) -> Result<Rate, String> {
    let rate: Rate = text.parse().map_err(|error| format!("{error}"))?;
    match (1024.0..=1073741824.0).contains(&(rate.bytes_per_sec() * 60.0)) {
        true => Ok(rate),
        false => Err(format!(
            "{text:?} is out of range: write 1KiB/min to 1GiB/min"
        )),
    }
}

/// Starts a process that leaks, and stays with it until it is interrupted, the time is over, or so
/// much is leaked. Tells what there is to see, and of the alert when it is there.
pub fn demo_leak(output: &mut impl Write, leak: DemoLeak) -> Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("catching signals")?;
    let mut leaking = Leaking::start(leak)?;
    let (pid, started) = (leaking.0.id(), Instant::now());
    writeln!(output, "{}", words::begins(&leak, pid)).context("writing")?;
    // Whoever waits sees the line in place of nothing; it is what the daemon has answered last.
    let standing = Arc::new(Mutex::new("not seen by memleakd yet".to_owned()));
    let shown = Arc::clone(&standing);
    let progress = Progress::begin_without_signals(move |past| {
        let standing = shown.lock().unwrap_or_else(PoisonError::into_inner);
        words::goes_on(&leak, past, &standing)
    });
    let mut daemon = Asked::new(pid);
    let end = loop {
        if signals.pending().next().is_some() {
            break words::End::Interrupted;
        }
        if let Some(status) = leaking.0.try_wait().context("waiting for the leak")? {
            match status.success() {
                true => break words::End::AllLeaked,
                false => bail!("the process that leaks has ended by itself: {status}"),
            }
        }
        if leak
            .time
            .is_some_and(|time| started.elapsed() >= time.duration())
        {
            break words::End::TimeIsOver;
        }
        let past = started.elapsed();
        if let Some(news) = daemon.ask(past) {
            if let Some(known) = &news.standing {
                known.clone_into(&mut standing.lock().unwrap_or_else(PoisonError::into_inner));
            }
            if let Some(text) = news.text(&leak, past) {
                progress.aside(|| {
                    output
                        .write_all(text.as_bytes())
                        .and_then(|()| output.flush())
                        .context("writing")
                })?;
            }
        }
        thread::sleep(POLL);
    };
    drop(progress);
    let past = started.elapsed();
    drop(leaking);
    writeln!(output, "{}", words::ends(&leak, past, end)).context("writing")
}

/// The process that leaks, which ends with this.
struct Leaking(Child);

impl Leaking {
    fn start(leak: DemoLeak) -> Result<Self> {
        // This program, also if a newer one has taken its place.
        let child = Command::new("/proc/self/exe")
            .arg0("memleakd-demo")
            .arg("leak-on-purpose")
            .args([format!("{:#}", leak.rate), format!("{:#}", leak.most)])
            .arg(process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        child.map(Self).context("starting the process that leaks")
    }
}

impl Drop for Leaking {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_or_refused_in_one_sentence() {
        for (text, expected) in [
            ("1MiB/min", Ok("1MiB/min")),
            ("1GiB/min", Ok("1GiB/min")),
            ("2MiB/s", Ok("2MiB/s")),
            (
                "1GiB/s",
                Err("\"1GiB/s\" is out of range: write 1KiB/min to 1GiB/min"),
            ),
            (
                "0B/min",
                Err("\"0B/min\" is out of range: write 1KiB/min to 1GiB/min"),
            ),
        ] {
            let read = demo_rate(text).map(|rate| format!("{rate:#}"));
            assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned));
        }
        assert!(demo_rate("fast").is_err());
    }
}
