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
    oom_kills: bool,
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

    fn oom_killed(&self, _: ProcessId) -> bool {
        self.oom_kills
    }

    fn exact_bytes(&mut self, sample: &Sample) -> io::Result<u64> {
        self.asked.push("exact");
        match self.exact {
            Some(kind) => Err(kind.into()),
            None => Ok(self.exact_bytes.unwrap_or(sample.bytes)),
        }
    }
}

/// A configuration whose default rule finds within two hours what there is to be found, unless it
/// says otherwise: these tests are not about how long that takes.
fn with_short_patience(config: &str) -> Config {
    let mut config: toml::Table = config.parse().expect("a table");
    let mut within = &mut config;
    for name in ["rule", "default"] {
        let inner = within.entry(name).or_insert(toml::Table::new().into());
        within = inner.as_table_mut().expect("a table");
    }
    for (key, value) in [
        ("growth", "512KiB/min"),
        ("min_growth", "32MiB"),
        ("sustained", "10min"),
    ] {
        within.entry(key).or_insert(value.into());
    }
    config.try_into().expect("a configuration")
}

/// Two hours of a process that gains `mib_per_min`, scanned every five seconds: the first leak and
/// after how many minutes it was found.
fn leak_of(
    host: &mut Host,
    config: &str,
    mib_per_min: f64,
    name_at: impl Fn(u32) -> String,
) -> Option<(u32, Leak)> {
    let mut watch = Watch::new(&with_short_patience(config), Source::Pages, 5.0);
    let mut past = Past::default();
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
        let leaks = watch.round(&now, host, &mut past).expect("a round");
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
    let mut past = Past::default();
    let mut host = Host::default();
    let moment = |step: u32| Moment {
        monotonic_secs: f64::from(step) * 5.0,
        boot_secs: f64::from(step) * 5.0,
        time: Timestamp::UNIX_EPOCH,
    };
    for step in 0..10u32 {
        for pid in 0..100 {
            host.has(pid, "job", u64::from(step) * 10 * MIB);
        }
        host.asked.clear();
        watch
            .round(&moment(step), &mut host, &mut past)
            .expect("a round");
        assert!(host.asked.iter().filter(|asked| **asked == "facts").count() <= MAX_FACTS);
    }
    assert_eq!(watch.growers(&moment(10), 3).len(), 3);
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
        assert_eq!(
            watch.round(&now, &mut host, &mut Past::default()).is_err(),
            scan_fails
        );
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

/// Five minutes of a process that grows, a change of it, and two minutes more; what is remembered.
fn learnt(source: Source, change: impl Fn(&mut Watch, &mut Host)) -> serde_json::Value {
    let config = Config::default();
    let mut watch = Watch::new(&config, source, 5.0);
    let mut past = Past::default();
    let mut host = Host::default();
    host.has(7, "server", 50 * MIB);
    host.has(8, "steady", 500 * MIB);
    for step in 0..84u32 {
        if step == 60 {
            change(&mut watch, &mut host);
        }
        if let Some(sample) = host.samples.get_mut(&7) {
            sample.bytes += MIB;
        }
        let secs = f64::from(step) * 5.0;
        let now = Moment {
            monotonic_secs: secs,
            boot_secs: 1e6 + secs,
            time: Timestamp::UNIX_EPOCH,
        };
        watch.round(&now, &mut host, &mut past).expect("a round");
    }
    serde_json::to_value(&past).expect("can be written")["programs"].take()
}

#[test]
fn a_run_ends_with_its_process_or_its_program() {
    type Change = dyn Fn(&mut Watch, &mut Host);
    let cases: [(&str, u64, &Change); 7] = [
        ("it goes on", 0, &|_, _| {}),
        ("the rules are others", 0, &|watch, _| {
            watch.set_rules(&Config::default());
        }),
        ("it is in another cgroup", 0, &|_, host| {
            host.samples.get_mut(&7).expect("it runs").cgroup_id = 2;
        }),
        ("it ends", 1, &|_, host| {
            host.samples.remove(&7);
        }),
        ("its pid is another's", 1, &|_, host| {
            let sample = host.samples.get_mut(&7).expect("it runs");
            sample.process.start_time_ns = 1;
        }),
        ("it has replaced itself", 1, &|_, host| {
            host.has(7, "other", MIB)
        }),
        ("by something as big", 1, &|_, host| {
            host.has(7, "other", 110 * MIB);
        }),
    ];
    for (name, n_runs, change) in cases {
        let programs = learnt(Source::Pages, change);
        let learnt = programs["/bin/server"]["n_runs"].as_u64();
        assert_eq!(learnt.unwrap_or_default(), n_runs, "{name}");
        assert_eq!(programs.get("/bin/steady"), None, "{name}");
    }
    let of_heap = learnt(Source::Heap, |_, host| {
        host.samples.remove(&7);
    });
    assert_eq!(of_heap, serde_json::json!({}));
}

/// Two runs of an hour and a half, the second right after the first, that each gain 1 MiB a
/// minute: in which a leak is found.
fn leaking_run(host: &mut Host) -> Option<u32> {
    let config = Config::default();
    let mut watch = Watch::new(&config, Source::Pages, 5.0);
    let mut past = Past::default();
    (0..1800u32).find_map(|step| {
        let secs = f64::from(step) * 5.0;
        let (run, in_run) = (step / 900, f64::from(step % 900) / 12.0);
        host.samples.clear();
        host.has(7 + run, "server", 50 * MIB + (in_run * MIB as f64) as u64);
        let sample = host.samples.get_mut(&(7 + run)).expect("it runs");
        sample.process.start_time_ns = 1_000_000_000_000_000 + u64::from(run) * 4_500_000_000_000;
        let now = Moment {
            monotonic_secs: secs,
            boot_secs: 1e6 + secs,
            time: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(secs),
        };
        let leaks = watch.round(&now, host, &mut past).expect("a round");
        leaks.first().map(|leak| leak.sample.process.pid - 7)
    })
}

#[test]
fn one_run_is_enough_if_it_ended_for_lack_of_memory() {
    for (name, oom_kills, headroom_bytes, found) in [
        ("restarted", false, None, None),
        ("killed", true, None, Some(1)),
        ("far from its limit", false, Some(1 << 40), None),
    ] {
        let mut host = Host {
            oom_kills,
            headroom_bytes,
            ..Host::default()
        };
        assert_eq!(leaking_run(&mut host), found, "{name}");
    }
}

#[test]
fn what_belongs_together_is_looked_up_for_growth_only() {
    let config = Config::default();
    let mut watch = Watch::new(&config, Source::Pages, 5.0);
    let mut past = Past::default();
    let mut host = Host::default();
    let mut n_lookups = 0;
    for step in 0..1000u32 {
        // They come and go by 20 MiB, and one grows from the middle on.
        for pid in 0..20 {
            let bytes = 50 * MIB + u64::from((step + pid) % 10) * 2 * MIB;
            host.has(pid, "worker", bytes);
        }
        let grown = u64::from(step.saturating_sub(500)) * MIB / 4;
        host.has(20, "server", 50 * MIB + grown);
        let secs = f64::from(step) * 5.0;
        let now = Moment {
            monotonic_secs: secs,
            boot_secs: 1e6 + secs,
            time: Timestamp::UNIX_EPOCH,
        };
        let leaks = watch.round(&now, &mut host, &mut past).expect("a round");
        assert_eq!(leaks, Vec::new());
        n_lookups += u32::from(!watch.programs.is_empty());
        assert!(step > 500 || n_lookups == 0, "{step}");
    }
    assert!((1..500).contains(&n_lookups), "{n_lookups}");
}
