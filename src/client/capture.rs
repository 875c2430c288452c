use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Progress, figure, json};
use crate::bus::{CAPTURE_SECS, Client};
use crate::collect::Capture;
use crate::quantity::{Bytes, Span, count, signed};
use crate::site::words;

/// How often the daemon is asked whether a capture is over.
const POLL: Duration = Duration::from_millis(250);
/// Probes may take so long to come in and go out, beyond the time that was asked for.
const GRACE: Duration = Duration::from_secs(60);

/// The time of a capture, from the command line.
pub fn capture_time(text: &str) -> Result<Span, String> {
    let time: Span = text.parse().map_err(|error| format!("{error}"))?;
    match CAPTURE_SECS.contains(&time.secs()) {
        true => Ok(time),
        false => Err(format!(
            "{text:?} is out of range: write {:#} to {:#}",
            Span::from_secs_f64(*CAPTURE_SECS.start()),
            Span::from_secs_f64(*CAPTURE_SECS.end()),
        )),
    }
}

/// Has a process measured for a time, and prints what it has allocated and freed.
pub fn capture(
    output: &mut impl Write,
    client: &Client,
    pid: u32,
    time: Span,
    as_json: bool,
) -> Result<()> {
    let capture = captured(client, pid, time)?;
    match as_json {
        true => json(output, &capture),
        false => output
            .write_all(text(&capture).as_bytes())
            .context("writing"),
    }
}

/// Has a process measured for a time. Who waits at a terminal is told for how long.
pub(super) fn captured(client: &Client, pid: u32, time: Span) -> Result<Capture> {
    let id = client.start_capture(pid, time)?;
    let limit = time.duration();
    let _progress = Progress::begin(move |past| {
        let left = limit.saturating_sub(past).as_secs_f64().ceil();
        let left = Span::from_secs_f64(left);
        format!("measuring process {pid}, {left} left (Ctrl-C ends it)")
    });
    result(client, id, time)
}

/// The same without a word, for who has the whole screen.
pub(super) fn captured_quietly(client: &Client, pid: u32, time: Span) -> Result<Capture> {
    let id = client.start_capture(pid, time)?;
    result(client, id, time)
}

/// Waits for the result.
fn result(client: &Client, id: u64, time: Span) -> Result<Capture> {
    let started = Instant::now();
    loop {
        match client.captured(id)? {
            Some(capture) => return Ok(capture),
            None if started.elapsed() < time.duration() + GRACE => thread::sleep(POLL),
            None => bail!("memleakd does not end the capture: see \"journalctl -u memleakd\""),
        }
    }
}

/// What a capture has found, in lines.
pub(super) fn text(capture: &Capture) -> String {
    let secs = capture.secs.max(1e-3);
    let span = Span::from_secs_f64(capture.secs);
    let mut text = format!("process {}, measured for {span}\n", capture.pid);
    text += &figure("allocated", Bytes(capture.allocated_bytes));
    text += &figure("freed", Bytes(capture.freed_bytes));
    let rate = signed::rate(capture.net_bytes as f64 / secs);
    let net = signed::size(capture.net_bytes);
    text += &figure("net", format!("{net}, {rate}"));
    let calls = count(capture.calls as usize, "call", "calls");
    let calls_per_sec = capture.calls as f64 / secs;
    text += &figure("calls", format!("{calls}, {calls_per_sec:.0} a second"));
    if capture.lost > 0 {
        let lost = count(capture.lost as usize, "call", "calls");
        text += &figure("lost", format!("{lost} whose bytes could not be told"));
    }
    text += &figure("method", &capture.method);
    let cost = Span::from_secs_f64(capture.cost_secs);
    let share = capture.cost_secs / secs * 100.0;
    text += &figure(
        "cost",
        format!("{cost} of its CPU time, {share:.1}% of a CPU"),
    );
    for unseen in &capture.loss {
        text += &figure("not seen", unseen);
    }
    if !capture.sites.is_empty() {
        text.push('\n');
    }
    for line in words::lines(&capture.sites, words::IN_CAPTURE) {
        text += &line;
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Site;

    #[test]
    fn a_time_is_read_or_refused_in_one_sentence() {
        for (text, expected) in [
            ("30s", Ok("30s")),
            ("1s", Ok("1s")),
            ("10min", Ok("10min")),
            ("1.5s", Ok("1s500ms")),
            ("0s", Err("\"0s\" is out of range: write 1s to 10min")),
            ("11min", Err("\"11min\" is out of range: write 1s to 10min")),
            (
                "30",
                Err(
                    "\"30\" is not a time: write numbers with units (ms, s, min, h, d), such as \"10min\"",
                ),
            ),
        ] {
            let read = capture_time(text).map(|span| format!("{span:#}"));
            assert_eq!(read, expected.map(str::to_owned).map_err(str::to_owned));
        }
    }

    #[test]
    fn sites_come_last() {
        let site = Site {
            bytes: 1 << 20,
            count: 3,
            ..Site::default()
        };
        let capture = Capture {
            sites: vec![site],
            ..shrinking()
        };
        let text = text(&capture);
        assert!(
            text.ends_with("\n\n1 MiB in 3 blocks, allocated by\n"),
            "{text}"
        );
    }

    fn shrinking() -> Capture {
        Capture {
            pid: 7,
            secs: 2.0,
            method: "glibc, by chunk headers".to_owned(),
            allocated_bytes: 1 << 20,
            freed_bytes: 3 << 20,
            net_bytes: -(2 << 20),
            calls: 3000,
            lost: 1,
            cost_secs: 0.003,
            sites: Vec::new(),
            loss: vec!["what came after 2 s, as the process ended".to_owned()],
        }
    }

    #[test]
    fn what_shrinks_and_what_was_lost_is_said() {
        assert_eq!(
            text(&shrinking()),
            "process 7, measured for 2 s\n\
             allocated    1 MiB\n\
             freed        3 MiB\n\
             net          -2 MiB, -60 MiB/min\n\
             calls        3000 calls, 1500 a second\n\
             lost         1 call whose bytes could not be told\n\
             method       glibc, by chunk headers\n\
             cost         3 ms of its CPU time, 0.1% of a CPU\n\
             not seen     what came after 2 s, as the process ended\n"
        );
    }
}
