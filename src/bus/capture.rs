//! Who may have which process captured, and for how long.

use std::io;
use std::time::Duration;

use zbus::fdo;

use super::CAPTURE_SECS;
use super::audience::Audience;
use crate::collect::{Host, Prober};
use crate::sample::ProcessId;

/// Begins a capture of a process for a user who may have it measured. Errors are sentences.
pub(super) fn start(prober: &Prober, uid: u32, process: ProcessId, secs: f64) -> fdo::Result<u64> {
    let time = time(secs)?;
    prober
        .capture(process, time, uid)
        .map_err(fdo::Error::LimitsExceeded)
}

fn time(secs: f64) -> fdo::Result<Duration> {
    // That is false of what is no number.
    match CAPTURE_SECS.contains(&secs) {
        true => Ok(Duration::from_secs_f64(secs)),
        false => Err(fdo::Error::InvalidArgs(format!(
            "a capture takes {} to {} seconds",
            CAPTURE_SECS.start(),
            CAPTURE_SECS.end()
        ))),
    }
}

/// A process that somebody may have measured, or ask about.
pub(super) fn subject(host: &Host, audience: Audience, pid: u32) -> fdo::Result<ProcessId> {
    let unknown = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            fdo::Error::UnixProcessIdUnknown(format!("there is no process {pid}"))
        }
        _ => fdo::Error::Failed(format!("process {pid} cannot be looked at: {error}")),
    };
    // Asked first: if another process gets the number now, the prober finds out.
    let ticks = host.start_time_ticks(pid).map_err(unknown)?;
    let owner = host.owner(pid).map_err(unknown)?;
    let leader = host.leader(pid).map_err(unknown)?;
    if leader != pid {
        let message = format!("{pid} is a thread of process {leader}: name the process");
        return Err(fdo::Error::UnixProcessIdUnknown(message));
    }
    match audience.may_see(owner) {
        true => Ok(ProcessId {
            pid,
            start_time_ns: ticks.saturating_mul(10_000_000),
        }),
        false => Err(fdo::Error::AccessDenied(format!(
            "process {pid} belongs to another user"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_neither_too_short_nor_too_long() {
        for (secs, is_right) in [
            (1.0, true),
            (30.0, true),
            (600.0, true),
            (0.999, false),
            (600.001, false),
            (0.0, false),
            (-5.0, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(time(secs).is_ok(), is_right, "{secs}");
        }
    }

    #[test]
    fn a_process_is_for_its_owner_and_for_root() {
        let host = Host::new("/");
        let pid = std::process::id();
        let owner = rustix::process::geteuid().as_raw();
        for (audience, may) in [
            (Audience::Everybody, true),
            (Audience::User(owner), true),
            (Audience::User(owner + 1), false),
        ] {
            let found = subject(&host, audience, pid);
            assert_eq!(found.is_ok(), may, "{audience:?}: {found:?}");
        }
        let of_thread = std::thread::spawn(move || {
            let own = std::fs::read_link("/proc/thread-self").expect("a thread");
            let thread = own.file_name().and_then(|name| name.to_str()?.parse().ok());
            subject(
                &Host::new("/"),
                Audience::Everybody,
                thread.expect("a number"),
            )
        });
        let error = of_thread.join().expect("a thread").expect_err("no process");
        let expected = format!("is a thread of process {pid}: name the process");
        assert!(error.to_string().ends_with(&expected), "{error}");
        for pid in [0, u32::MAX] {
            let found = subject(&host, Audience::Everybody, pid);
            let expected = fdo::Error::UnixProcessIdUnknown(format!("there is no process {pid}"));
            assert_eq!(found, Err(expected));
        }
    }
}
