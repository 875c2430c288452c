//! Who may have the curve of which process.

use zbus::fdo;

use super::audience::Audience;
use crate::collect::Host;
use crate::curve::Curve;

/// The curve that was found for a process, if it may be seen; beside it is the process's user.
/// Errors are sentences.
pub(super) fn seen<'c>(
    host: &Host,
    audience: Audience,
    pid: u32,
    start_time: u64,
    found: Option<&'c (u32, Curve)>,
) -> fdo::Result<&'c Curve> {
    let ticks = host.start_time_ticks(pid).ok();
    let runs = ticks.is_some_and(|ticks| start_time == 0 || ticks == start_time);
    match found {
        Some((uid, curve)) if audience.may_see(*uid) => Ok(curve),
        Some(_) if runs => Err(fdo::Error::AccessDenied(format!(
            "process {pid} belongs to another user"
        ))),
        None if runs => Err(fdo::Error::Failed(format!(
            "the last scan has not seen process {pid}: it is new, or a thread of the kernel"
        ))),
        None if start_time == 0 => Err(fdo::Error::UnixProcessIdUnknown(format!(
            "there is no process {pid}"
        ))),
        // That there was one is nobody else's business.
        _ => Err(fdo::Error::UnixProcessIdUnknown(format!(
            "no curve is kept of a process {pid} that started {start_time} clock ticks after boot: it grew like no leak, or that is too long ago"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_for_root_and_for_whose_process_it_is() {
        let host = Host::new("/");
        let pid = std::process::id();
        let ticks = host.start_time_ticks(pid).expect("this process");
        let curve = Curve {
            pid,
            start_time: ticks,
            ..Curve::default()
        };
        let found = (1000, curve);
        let (root, own, other) = (
            Audience::Everybody,
            Audience::User(1000),
            Audience::User(1001),
        );
        let another = "belongs to another user";
        let (gone, not_kept, unseen) = ("there is no process", "no curve is kept", "has not seen");
        for (audience, pid, start_time, found, expected) in [
            (root, pid, ticks, Some(&found), ""),
            (own, pid, 0, Some(&found), ""),
            (own, pid, ticks, Some(&found), ""),
            (other, pid, 0, Some(&found), another),
            (other, pid, ticks, Some(&found), another),
            // It has ended, and so has another one with its number.
            (own, pid, ticks + 1, Some(&found), ""),
            (other, pid, ticks + 1, Some(&found), not_kept),
            (other, pid, ticks + 1, None, not_kept),
            (other, u32::MAX, 7, Some(&found), not_kept),
            (root, u32::MAX, 7, None, not_kept),
            (root, u32::MAX, 0, None, gone),
            (root, pid, 0, None, unseen),
        ] {
            match seen(&host, audience, pid, start_time, found) {
                Ok(curve) => assert_eq!((curve, expected), (&found.expect("one").1, "")),
                Err(error) => {
                    let is_right = !expected.is_empty() && error.to_string().contains(expected);
                    assert!(is_right, "{audience:?} {start_time}: {error}");
                }
            }
        }
    }
}
