//! One look at a process, by up to two ways at once: what its allocator is asked for, and what it
//! touches for the first time.

use anyhow::Result;

use crate::alert::Alert;
use crate::collect::{Pinpointed, TouchCapture};
use crate::report::StackCapture;
use crate::sample::Moment;
use crate::site::{Attribution, Site};

/// Touched pages are told before allocations if they come to so many times as much: what is
/// allocated is mostly touched as well, and who asks for memory is nearer to the cause.
const FAR_MORE: f64 = 2.0;

/// A look that is under way.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// When it began, in seconds of the monotonic clock.
    pub began_secs: f64,
    /// The user who may look into the process.
    pub owner: u32,
    /// The alerts that it is for.
    pub alerts: Vec<Alert>,
    /// Whether the allocator's part is to come.
    pub awaits_heap: bool,
    /// The part of touched pages, as long as it is to come.
    pub touch: Option<TouchCapture>,
    found: Vec<Pinpointed>,
    failures: Vec<String>,
}

impl Look {
    /// One that begins.
    pub fn begun(began_secs: f64, owner: u32) -> Self {
        Self {
            began_secs,
            owner,
            ..Self::default()
        }
    }

    /// Waits no longer for what has not come.
    pub fn give_up(&mut self) {
        if !self.is_over() {
            self.awaits_heap = false;
            self.touch = None;
            self.take(Err("nothing has come of it for too long".to_owned()));
        }
    }

    /// Takes a part in.
    pub fn take(&mut self, part: Result<Pinpointed, String>) {
        match part {
            Ok(found) => self.found.push(found),
            Err(why) => self.failures.push(why),
        }
    }

    /// Takes the part of touched pages in, if it is there.
    pub fn take_touch(&mut self) {
        if let Some(result) = self.touch.as_ref().and_then(TouchCapture::result) {
            self.touch = None;
            self.take(result.map_err(|error| format!("page faults: {error:#}")));
        }
    }

    /// Whether nothing more is to come.
    pub fn is_over(&self) -> bool {
        !self.awaits_heap && self.touch.is_none()
    }

    /// The alerts, and what has come of it all: a sentence, if nothing.
    pub fn result(self, now: &Moment) -> (Vec<Alert>, Result<StackCapture, String>) {
        (self.alerts, joined(now, self.found, self.failures))
    }
}

fn joined(
    now: &Moment,
    mut found: Vec<Pinpointed>,
    failures: Vec<String>,
) -> Result<StackCapture, String> {
    if found.is_empty() {
        return Err(failures.join("; "));
    }
    found.sort_by(|one, other| told_first(other).total_cmp(&told_first(one)));
    let longest = |of: fn(&Pinpointed) -> f64| found.iter().map(of).fold(0.0, f64::max);
    let methods: Vec<_> = found.iter().map(|part| part.method.as_str()).collect();
    let mut capture = StackCapture {
        time: now.time,
        secs: longest(|part| part.seen_secs),
        span_secs: longest(|part| part.span_secs),
        method: methods.join("; "),
        sites: Vec::new(),
        loss: failures,
    };
    for part in found {
        capture.sites.extend(part.sites.sites);
        capture.loss.extend(part.sites.loss);
    }
    Ok(capture)
}

/// Bytes a second of what stays, for the order of parts.
fn told_first(part: &Pinpointed) -> f64 {
    let bytes: f64 = part.sites.sites.iter().map(weight).sum();
    bytes / part.seen_secs.max(1e-3)
}

fn weight(site: &Site) -> f64 {
    match site.attribution {
        Attribution::Touched => site.bytes as f64 / FAR_MORE,
        _ => site.bytes as f64,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::site::Sites;

    const NOW: Moment = Moment {
        monotonic_secs: 0.0,
        boot_secs: 0.0,
        time: Timestamp::UNIX_EPOCH,
    };

    fn part(attribution: Attribution, bytes: u64, secs: f64) -> Pinpointed {
        let site = Site {
            bytes,
            attribution,
            ..Site::default()
        };
        Pinpointed {
            sites: Sites {
                sites: vec![site],
                loss: vec![format!("{attribution:?}")],
            },
            span_secs: 2.0 * secs,
            seen_secs: secs,
            method: format!("{bytes}"),
            cost_secs: 0.0,
        }
    }

    #[test]
    fn the_part_that_explains_the_growth_comes_first() {
        use Attribution::{Paired, Touched};
        for (heap_bytes, heap_secs, touched_bytes, first) in [
            (100, 10.0, 150, Paired),
            (100, 10.0, 300, Touched),
            // Looked at for a tenth of the time, it allocates ten times as much.
            (100, 1.0, 300, Paired),
            (0, 10.0, 10, Touched),
        ] {
            let mut look = Look {
                awaits_heap: true,
                ..Look::default()
            };
            assert!(!look.is_over());
            look.take(Ok(part(Touched, touched_bytes, 10.0)));
            look.take(Ok(part(Paired, heap_bytes, heap_secs)));
            look.awaits_heap = false;
            assert!(look.is_over());
            let (_, joined) = look.result(&NOW);
            let joined = joined.expect("two parts");
            assert_eq!(joined.sites[0].attribution, first, "{joined:?}");
            assert_eq!((joined.sites.len(), joined.loss.len()), (2, 2));
            assert_eq!((joined.secs, joined.span_secs), (10.0, 20.0));
        }
    }

    #[test]
    fn one_part_is_enough_and_none_says_why() {
        let failed = || Err("no allocator".to_owned());
        let mut look = Look::default();
        look.take(failed());
        assert_eq!(look.result(&NOW).1, Err("no allocator".to_owned()));
        let mut look = Look::default();
        look.take(failed());
        look.take(Ok(part(Attribution::Touched, 7, 1.0)));
        let joined = look.result(&NOW).1.expect("a part");
        assert_eq!(joined.loss, ["no allocator", "Touched"]);
    }
}
