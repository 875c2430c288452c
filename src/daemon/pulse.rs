//! How the processes of open alerts are doing, by all that is watched.

use std::collections::BTreeSet;

use crate::alert::{Alert, Book};
use crate::collect::Collector;
use crate::sample::ProcessId;
use crate::watch::{End, Pulse, Watch};

/// The processes of open alerts that have ended, and in whose place their unit runs another one.
pub(super) fn restarted(
    pages: &Watch,
    collector: &mut impl Collector,
    book: &Book,
) -> BTreeSet<ProcessId> {
    let ended = book
        .members()
        .filter(|(_, process)| pages.pulse(*process).is_none());
    let restarted = ended.filter(|(alert, process)| {
        let unit = (&alert.unit, &alert.user_unit);
        let mut namesakes = pages
            .namesakes(&alert.comm, alert.uid, *process)
            .into_iter();
        unit != (&None, &None)
            && namesakes.any(|sample| {
                let facts = collector.facts(&sample);
                facts.is_ok_and(|facts| (&facts.unit, &facts.user_unit) == unit)
            })
    });
    restarted.map(|(_, process)| process).collect()
}

/// How a process is doing by the source of its alert. Who lives is known by the pages; without
/// these, nothing else is known either.
pub(super) fn pulse<'a>(
    watches: &'a [Watch],
    collector: &impl Collector,
    restarted: &BTreeSet<ProcessId>,
    alert: &Alert,
    process: ProcessId,
) -> Result<Pulse<'a>, End> {
    let Some(pages) = watches[0].pulse(process) else {
        return Err(
            match (collector.oom_killed(process), restarted.contains(&process)) {
                (true, _) => End::OomKilled,
                (false, true) => End::Restarted,
                (false, false) => End::Exited,
            },
        );
    };
    let watch = watches.iter().find(|watch| watch.source() == alert.source);
    let pulse = watch.filter(|_| pages.sizes.is_some());
    let mut pulse = pulse
        .and_then(|watch| watch.pulse(process))
        .unwrap_or_default();
    // What is not measured any more may have lost its rule all the same.
    if !watch.is_some_and(|watch| watch.has_rule(&alert.rule)) {
        pulse.rule = Some(None);
    }
    Ok(pulse)
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::{Result, bail};

    use super::*;
    use crate::alert::State;
    use crate::alert::message::tests::alert;
    use crate::collect::{Facts, Headroom, HeapReading};
    use crate::config::Config;
    use crate::past::Past;
    use crate::sample::{Comm, Moment, Sample, Source};

    /// A host with one process at the most.
    #[derive(Clone, Copy)]
    struct Host {
        lives: bool,
        scan_works: bool,
        heap_is_measured: bool,
        was_oom_killed: bool,
    }

    const PROCESS: ProcessId = ProcessId {
        pid: 7,
        start_time_ns: 0,
    };

    impl Collector for Host {
        fn scan(&mut self, source: Source, each: &mut dyn FnMut(Sample)) -> Result<()> {
            if !self.scan_works {
                bail!("no scan");
            }
            if self.lives && (source == Source::Pages || self.heap_is_measured) {
                each(Sample {
                    process: PROCESS,
                    comm: Comm::new("server"),
                    parent_pid: 1,
                    uid: 0,
                    cgroup_id: 1,
                    bytes: 1 << 20,
                    shared_bytes: 0,
                    file_bytes: 0,
                    virtual_bytes: 0,
                });
            }
            Ok(())
        }

        fn facts(&mut self, _: &Sample) -> io::Result<Facts> {
            Ok(Facts::default())
        }

        fn headroom(&mut self, _: &Sample, _: &Facts) -> Option<Headroom> {
            None
        }

        fn heap(&mut self, _: ProcessId, _: f64) -> Option<HeapReading> {
            None
        }

        fn kernel_gained_bytes(&mut self, _: f64) -> Option<f64> {
            None
        }

        fn oom_killed(&self, _: ProcessId) -> bool {
            self.was_oom_killed
        }

        fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64> {
            Ok(sample.bytes)
        }
    }

    /// What is told of the process in the second round: `seen`, `unseen` or how it has ended, and
    /// `no rule` where there is none any more.
    fn told(source: Source, rule: &str, host: Host) -> String {
        let config =
            "[rule]\ndefault = {}\nheap = { source = \"heap\" }\noff = { enabled = false }";
        let config: Config = toml::from_str(config).expect("a configuration");
        let mut watches =
            [Source::Pages, Source::Heap].map(|source| Watch::new(&config, source, 5.0));
        let whole = Host {
            lives: true,
            scan_works: true,
            heap_is_measured: true,
            was_oom_killed: false,
        };
        for (secs, mut host) in [(0.0, whole), (5.0, host)] {
            let now = Moment {
                monotonic_secs: secs,
                boot_secs: 1e6 + secs,
                time: jiff::Timestamp::UNIX_EPOCH,
            };
            let mut past = Past::default();
            // As the daemon does it: without the pages nothing else is read.
            let read = |watch: &mut Watch| watch.round(&now, &mut host, &mut past).is_ok();
            assert_eq!(watches.iter_mut().all(read), host.scan_works);
        }
        let alert = Alert {
            source,
            rule: rule.to_owned(),
            state: State::Firing,
            ..alert()
        };
        let restarted = BTreeSet::new();
        match pulse(&watches, &host, &restarted, &alert, PROCESS) {
            Err(end) => format!("{end:?}"),
            Ok(pulse) => {
                let seen = pulse.sizes.map_or("unseen", |_| "seen");
                let rule = pulse
                    .rule
                    .map_or("", |rule| rule.map_or(", no rule", |_| ", a rule"));
                format!("{seen}{rule}")
            }
        }
    }

    #[test]
    fn missing_data_are_no_end() {
        let lives = Host {
            lives: true,
            scan_works: true,
            heap_is_measured: true,
            was_oom_killed: false,
        };
        let unmeasured = Host {
            heap_is_measured: false,
            ..lives
        };
        let blind = Host {
            scan_works: false,
            ..lives
        };
        let gone = Host {
            lives: false,
            ..lives
        };
        let killed = Host {
            was_oom_killed: true,
            ..gone
        };
        for (source, rule, host, expected) in [
            (Source::Pages, "default", lives, "seen"),
            (Source::Pages, "default", unmeasured, "seen"),
            (Source::Pages, "default", blind, "unseen"),
            (Source::Pages, "default", gone, "Exited"),
            (Source::Pages, "default", killed, "OomKilled"),
            (Source::Pages, "heap", lives, "seen, no rule"),
            (Source::Pages, "off", blind, "unseen, no rule"),
            (Source::Heap, "heap", lives, "seen"),
            (Source::Heap, "heap", unmeasured, "unseen"),
            (Source::Heap, "heap", blind, "unseen"),
            (Source::Heap, "heap", gone, "Exited"),
            (Source::Heap, "heap", killed, "OomKilled"),
            (Source::Heap, "gone", unmeasured, "unseen, no rule"),
            (Source::Heap, "default", unmeasured, "unseen, no rule"),
        ] {
            assert_eq!(told(source, rule, host), expected, "{source:?} {rule}");
        }
    }
}
