use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;

use super::*;
use crate::collect::{Headroom, HeapReading, LimitKind};
use crate::config::Severity;
use crate::sample::Comm;

const MIB: u64 = 1 << 20;

/// A host that is made up, with a word on what was asked of it.
#[derive(Default)]
struct Host {
    samples: BTreeMap<u32, Sample>,
    headroom_bytes: Option<u64>,
    exact: Option<io::ErrorKind>,
    exact_bytes: Option<u64>,
    heap: Option<HeapReading>,
    scan_fails: bool,
    asked: Vec<&'static str>,
}

impl Host {
    fn has(&mut self, pid: u32, comm: &str, bytes: u64) {
        self.samples.insert(
            pid,
            Sample {
                process: ProcessId {
                    pid,
                    start_time_ns: 0,
                },
                comm: Comm::new(comm),
                parent_pid: 1,
                uid: 0,
                cgroup_id: 1,
                bytes,
                shared_bytes: 0,
                file_bytes: 0,
                virtual_bytes: bytes,
            },
        );
    }
}

impl Collector for Host {
    fn scan(&mut self, _: Source, each: &mut dyn FnMut(Sample)) -> Result<()> {
        anyhow::ensure!(!self.scan_fails, "no scan");
        self.samples.values().copied().for_each(each);
        Ok(())
    }

    fn facts(&mut self, sample: &Sample) -> io::Result<Facts> {
        self.asked.push("facts");
        Ok(Facts {
            exe: Some(format!("/bin/{}", sample.comm)),
            ..Facts::default()
        })
    }

    fn headroom(&mut self, _: &Sample, _: &Facts) -> Option<Headroom> {
        self.asked.push("headroom");
        let headroom_bytes = self.headroom_bytes?;
        Some(Headroom {
            kind: LimitKind::Host,
            limit_bytes: headroom_bytes * 2,
            headroom_bytes,
        })
    }

    fn heap(&mut self, _: ProcessId, _: f64) -> Option<HeapReading> {
        self.heap.clone()
    }

    fn kernel_gained_bytes(&mut self, _: f64) -> Option<f64> {
        None
    }

    fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64> {
        self.asked.push("exact");
        match self.exact {
            Some(kind) => Err(kind.into()),
            None => Ok(self.exact_bytes.unwrap_or(sample.bytes)),
        }
    }
}

/// Two hours of a process that gains `mib_per_min`, scanned every five seconds: the first leak and
/// after how many minutes it was found.
fn leak_of(
    host: &mut Host,
    config: &str,
    mib_per_min: f64,
    name_at: impl Fn(u32) -> String,
) -> Option<(u32, Leak)> {
    let config: Config = toml::from_str(config).expect("a configuration");
    let mut watch = Watch::new(&config, Source::Pages, 5.0);
    (0..1440u32).find_map(|step| {
        let secs = f64::from(step) * 5.0;
        host.has(
            7,
            &name_at(step),
            50 * MIB + (secs / 60.0 * mib_per_min * MIB as f64) as u64,
        );
        host.has(8, "steady", 500 * MIB);
        let now = Moment {
            monotonic_secs: secs,
            boot_secs: 1e6 + secs,
            time: Timestamp::UNIX_EPOCH,
        };
        let leaks = watch.round(&now, host).expect("a round");
        leaks.into_iter().next().map(|leak| (step / 12, leak))
    })
}

fn server(_: u32) -> String {
    "server".to_owned()
}

#[test]
fn a_leak_is_found_and_only_the_leaking_process_is_looked_at() {
    let mut host = Host {
        headroom_bytes: Some(100_000 * MIB),
        ..Host::default()
    };
    let (minutes, leak) = leak_of(&mut host, "", 10.0, server).expect("a leak");
    assert_eq!(
        (leak.sample.process.pid, leak.rule.as_str(), leak.severity),
        (7, "default", Severity::Warning)
    );
    assert!((9..16).contains(&minutes), "{minutes}");
    // The fast lane asks more than once how much time is left.
    host.asked.retain(|asked| *asked != "headroom");
    assert_eq!(host.asked, ["facts", "exact"]);
}

#[test]
fn what_is_ignored_or_too_slow_is_none() {
    for config in [
        "rule.mine = { match.exe = [\"/bin/serv*\"], ignore = true }",
        "rule.default.growth = \"20MiB/min\"",
        "rule.default.min_growth = \"10GiB\"",
        "rule.default.enabled = false",
    ] {
        assert_eq!(
            leak_of(&mut Host::default(), config, 10.0, server),
            None,
            "{config}"
        );
    }
}

#[test]
fn little_time_left_is_critical_and_does_not_wait() {
    let mut host = Host {
        headroom_bytes: Some(1000 * MIB),
        ..Host::default()
    };
    let (minutes, leak) = leak_of(&mut host, "", 60.0, server).expect("a leak");
    assert_eq!(leak.severity, Severity::Critical);
    assert!(minutes <= 2, "{minutes}");
}

#[test]
fn growth_that_the_exact_size_does_not_show_is_none() {
    let mut host = Host {
        exact_bytes: Some(51 * MIB),
        ..Host::default()
    };
    assert_eq!(leak_of(&mut host, "", 10.0, server), None);
    // Doubt lasts, and asking costs: once a minute at the most.
    let n_asked = host.asked.iter().filter(|asked| **asked == "exact").count();
    assert!((10..=120).contains(&n_asked), "{n_asked}");
}

#[test]
fn without_the_right_to_look_the_scan_is_believed_and_the_loss_told() {
    let mut host = Host {
        exact: Some(io::ErrorKind::PermissionDenied),
        ..Host::default()
    };
    let (_, leak) = leak_of(&mut host, "", 10.0, server).expect("a leak");
    assert!(leak.loss[0].contains("CAP_SYS_PTRACE"), "{:?}", leak.loss);
    let mut host = Host {
        exact: Some(io::ErrorKind::NotFound),
        ..Host::default()
    };
    assert_eq!(leak_of(&mut host, "", 10.0, server), None);
}

#[test]
fn a_process_cannot_hide_by_changing_its_name() {
    let name_at = |step: u32| format!("at work {}", step % 100);
    assert!(leak_of(&mut Host::default(), "", 10.0, name_at).is_some());
}

#[test]
fn facts_of_many_are_read_in_several_rounds() {
    let config = Config::default();
    let mut watch = Watch::new(&config, Source::Pages, 5.0);
    let mut host = Host::default();
    for step in 0..10u32 {
        for pid in 0..100 {
            host.has(pid, "job", u64::from(step) * 10 * MIB);
        }
        host.asked.clear();
        let secs = f64::from(step) * 5.0;
        let now = Moment {
            monotonic_secs: secs,
            boot_secs: secs,
            time: Timestamp::UNIX_EPOCH,
        };
        watch.round(&now, &mut host).expect("a round");
        assert!(host.asked.iter().filter(|asked| **asked == "facts").count() <= MAX_FACTS);
    }
    assert_eq!(watch.growers(3).len(), 3);
    assert_eq!(watch.n_processes(), 100);
}

#[test]
fn a_pulse_stands_for_the_time_that_was_seen() {
    let config = Config::default();
    let mut watch = Watch::new(&config, Source::Pages, 5.0);
    let mut host = Host::default();
    host.has(7, "server", MIB);
    let mut secs_at = |secs: f64, scan_fails: bool| {
        host.scan_fails = scan_fails;
        let now = Moment {
            monotonic_secs: secs,
            boot_secs: 1e6 + secs,
            time: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(watch.round(&now, &mut host).is_err(), scan_fails);
        let process = host.samples[&7].process;
        let pulse = watch.pulse(process).expect("it has not ended");
        pulse.sizes.map(|sizes| sizes.secs)
    };
    for (secs, scan_fails, expected) in [
        (0.0, true, None),
        (5.0, false, Some(0.0)),
        (10.0, false, Some(5.0)),
        (17.0, false, Some(7.0)),
        (20.0, true, None),
        (25.0, true, None),
        (30.0, false, Some(13.0)),
        // Of a gap, no more than that of a few rounds that were late.
        (3600.0, false, Some(30.0)),
        (3605.0, false, Some(5.0)),
    ] {
        assert_eq!(secs_at(secs, scan_fails), expected, "{secs}");
    }
}
