//! `memleakctl doctor`, over directories that stand for a machine: each check as it is well and as
//! it is not.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use memleakd::bus::{Measured, Status};
use memleakd::client::{Answers, Asked, Finding, Machine, Outcome, Unit};
use memleakd::collect::{OLD_KERNEL_DROP_IN, Release};
use memleakd::config::{Config, Search};
use memleakd::sample::Source;
use tempfile::TempDir;

/// The daemon's process.
const PID: u32 = 812;
/// Those of the unit: CAP_DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF and CHECKPOINT_RESTORE, as
/// capabilities(7) numbers them.
const FIVE: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39 | 1 << 40;
const SYS_ADMIN: u64 = 1 << 21;

/// A machine on which all is well, for a test to break.
struct Patient {
    root: TempDir,
    release: Release,
    answers: Option<Answers>,
    is_root: bool,
}

impl Patient {
    fn well() -> Self {
        let root = TempDir::new().expect("a directory");
        let patient = Self {
            root,
            release: Release(6, 12, 57),
            answers: Some(Answers {
                owner: Some(PID),
                is_activatable: true,
                has_polkit: true,
                units: Some(units()),
                status: Ok(Status {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    processes: 212,
                    interval_secs: 5.0,
                    round_secs: 0.002,
                    ..Status::default()
                }),
                measured: Vec::new(),
            }),
            is_root: true,
        };
        for file in [
            "/sys/kernel/btf/vmlinux",
            "/run/systemd/journal/socket",
            "/usr/share/dbus-1/system.d/org.memleakd.Memleakd1.conf",
            "/usr/share/dbus-1/system-services/org.memleakd.Memleakd1.service",
            "/usr/share/polkit-1/actions/org.memleakd.Memleakd1.policy",
            "/usr/lib/systemd/catalog/memleakd.catalog",
            "/usr/lib/systemd/user/memleakd-notify.service",
            "/run/memleakd/memleakd.prom",
            "/etc/credstore/memleakd.smtp-password",
        ] {
            patient.write(file, "");
        }
        // The compiled catalog has ids as they are, 16 bytes each.
        let id: Vec<u8> = (0..16)
            .map(|index| &"8cfacbc0f4424276a4fc02126ce7ac04"[2 * index..2 * index + 2])
            .map(|digits| u8::from_str_radix(digits, 16).expect("digits"))
            .collect();
        patient.write("/var/lib/systemd/catalog/database", "");
        fs::write(
            patient.path("/var/lib/systemd/catalog/database"),
            [b"before", &id[..], b"after"].concat(),
        )
        .expect("a file");
        patient.capabilities(FIVE);
        patient.write("/proc/sys/kernel/perf_event_paranoid", "2\n");
        for directory in [
            "/var/log/journal",
            "/var/lib/memleakd/spool/rejected",
            "/var/lib/memleakd/alertmanager/rejected",
            "/usr/lib/systemd/user/graphical-session.target.wants",
        ] {
            fs::create_dir_all(patient.path(directory)).expect("a directory");
        }
        fs::set_permissions(
            patient.path("/var/lib/memleakd"),
            fs::Permissions::from_mode(0o751),
        )
        .expect("a directory");
        symlink(
            "../memleakd-notify.service",
            patient.path(
                "/usr/lib/systemd/user/graphical-session.target.wants/memleakd-notify.service",
            ),
        )
        .expect("a link");
        patient.write(
            "/etc/memleakd/memleakd.toml",
            "mail.to = [\"root@example.org\"]
             mail.username = \"alerts\"
             alertmanager.url = \"http://localhost:9093\"
             hook.unit = \"page@.service\"
             metrics.file = \"/run/memleakd/memleakd.prom\"",
        );
        patient
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(&path[1..])
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    fn remove(&self, path: &str) {
        let path = self.path(path);
        match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        }
        .expect("it was there");
    }

    /// Makes a file older.
    fn age(&self, path: &str, by: Duration) {
        let file = fs::File::options().write(true).open(self.path(path));
        let then = SystemTime::now() - by;
        file.and_then(|file| file.set_modified(then))
            .expect("a file");
    }

    fn capabilities(&self, bits: u64) {
        let status = format!("Name:\tmemleakd\nCapPrm:\t0\nCapEff:\t{bits:016x}\nCapBnd:\t0\n");
        self.write(&format!("/proc/{PID}/status"), &status);
        self.write(&format!("/proc/{PID}/statm"), "5000 4096 1000 1 0 1 0\n");
    }

    fn answers(&mut self) -> &mut Answers {
        self.answers.as_mut().expect("a bus")
    }

    fn status(&mut self) -> &mut Status {
        self.answers().status.as_mut().expect("a daemon")
    }

    fn unit(&mut self, name: &str) -> &mut Unit {
        let units = self.answers().units.as_mut().expect("systemd");
        units.get_mut(name).expect("a unit")
    }

    fn config(&self) -> Result<Config, String> {
        let search = Search {
            root: self.root.path().to_owned(),
        };
        search.load().map_err(|fault| fault.to_string())
    }

    fn examine(self) -> Vec<Finding> {
        let machine = Machine {
            root: self.root.path().to_owned(),
            release: Some(self.release),
            config: self.config(),
            asked: Asked {
                answers: self.answers.ok_or_else(|| "no such file".to_owned()),
            },
            is_root: self.is_root,
        };
        let findings = machine.examine();
        drop(self.root);
        findings
    }
}

fn units() -> HashMap<String, Unit> {
    let active = Unit {
        load: "loaded".to_owned(),
        active: "active".to_owned(),
        enabled: "enabled".to_owned(),
        result: "success".to_owned(),
        ..Unit::default()
    };
    let daemon = Unit {
        main_pid: PID,
        bounding_set: Some(FIVE),
        memory: Some(20 << 20),
        memory_max: Some(512 << 20),
        // It has taken nothing since the machine was started, which is more than a minute ago.
        cpu_nanos: Some(0),
        status_text: "no alerts".to_owned(),
        ..active.clone()
    };
    let idle = Unit {
        active: "inactive".to_owned(),
        ..active.clone()
    };
    [
        ("memleakd.service", daemon),
        ("memleakd-mail.path", active.clone()),
        ("memleakd-mail.service", idle.clone()),
        ("memleakd-alertmanager.path", active),
        ("memleakd-alertmanager.service", idle.clone()),
        ("page@.service", idle),
    ]
    .map(|(name, unit)| (name.to_owned(), unit))
    .into()
}

#[test]
fn on_a_machine_where_all_is_well_every_check_says_so() {
    let findings = Patient::well().examine();
    let not_ok: Vec<_> = findings
        .iter()
        .filter(|finding| finding.outcome != Outcome::Ok)
        .collect();
    assert!(not_ok.is_empty(), "{not_ok:#?}");
    let subjects: Vec<_> = findings
        .iter()
        .map(|finding| &finding.subject[..])
        .collect();
    assert_eq!(
        subjects,
        [
            "kernel",
            "BTF",
            "heaps",
            "page faults",
            "service",
            "capabilities",
            "memory",
            "processor",
            "scan",
            "losses",
            "bus",
            "polkit",
            "configuration",
            "state",
            "journal",
            "catalog",
            "mail",
            "Alertmanager",
            "hook",
            "metrics",
            "desktop"
        ]
    );
}

/// What is broken, the subject that says so, how, and words of it or of what to do.
type Case = (fn(&mut Patient), &'static str, Outcome, &'static str);

#[test]
fn what_is_broken_is_found_by_its_check() {
    use Outcome::{Note, Wrong};
    let cases: &[Case] = &[
        (
            |p| p.release = Release(5, 4, 0),
            "kernel",
            Wrong,
            "Linux 5.10 or later",
        ),
        (
            |p| p.remove("/sys/kernel/btf/vmlinux"),
            "BTF",
            Wrong,
            "CONFIG_DEBUG_INFO_BTF=y",
        ),
        (
            |p| p.release = Release(5, 10, 0),
            "heaps",
            Note,
            "Linux 5.15 or later",
        ),
        (
            |p| {
                p.release = Release(6, 1, 192);
                p.unit("memleakd.service").status_text =
                    format!("no alerts; {OLD_KERNEL_DROP_IN} grants it");
            },
            "heaps",
            Note,
            OLD_KERNEL_DROP_IN,
        ),
        (|p| p.release = Release(6, 11, 0), "heaps", Note, "seccomp"),
        (
            |p| p.write("/proc/sys/kernel/perf_event_paranoid", "3\n"),
            "page faults",
            Note,
            "kernel.perf_event_paranoid = 2",
        ),
        (
            |p| p.write("/etc/memleakd/memleakd.toml", "heap.watch = \"off\""),
            "heaps",
            Note,
            "heap.watch",
        ),
        (
            |p| p.unit("memleakd.service").active = "failed".to_owned(),
            "service",
            Wrong,
            "journalctl -u memleakd",
        ),
        (
            |p| p.unit("memleakd.service").active = "inactive".to_owned(),
            "service",
            Wrong,
            "systemctl start memleakd",
        ),
        (
            |p| p.unit("memleakd.service").active = "activating".to_owned(),
            "service",
            Wrong,
            "in a moment",
        ),
        (
            |p| p.unit("memleakd.service").load = "masked".to_owned(),
            "service",
            Wrong,
            "unmask",
        ),
        (
            |p| p.unit("memleakd.service").enabled = "disabled".to_owned(),
            "service",
            Note,
            "systemctl enable",
        ),
        (
            |p| p.unit("memleakd.service").n_restarts = 3,
            "service",
            Note,
            "3 times",
        ),
        (
            |p| p.answers().units = None,
            "service",
            Note,
            "systemd cannot be asked",
        ),
        (
            |p| p.capabilities(FIVE & !(1 << 39)),
            "capabilities",
            Wrong,
            "CAP_BPF",
        ),
        (
            |p| p.capabilities(FIVE | SYS_ADMIN),
            "capabilities",
            Note,
            "CAP_SYS_ADMIN",
        ),
        (
            |p| p.capabilities((1 << 41) - 1),
            "capabilities",
            Note,
            "36 capabilities more",
        ),
        (
            |p| p.unit("memleakd.service").memory = Some(500 << 20),
            "memory",
            Wrong,
            "MemoryMax=",
        ),
        (
            |p| p.unit("memleakd.service").cpu_nanos = Some(u64::MAX / 2),
            "processor",
            Note,
            "scan.interval",
        ),
        (
            |p| p.status().round_secs = 3.0,
            "scan",
            Wrong,
            "scan.interval",
        ),
        (
            |p| p.status().version = "0.0.1".to_owned(),
            "version",
            Wrong,
            "systemctl restart memleakd",
        ),
        (
            |p| p.answers().status = Err("it does not answer".to_owned()),
            "scan",
            Wrong,
            "does not answer",
        ),
        (
            |p| p.status().dropped = 2,
            "losses",
            Wrong,
            "2 changes given up",
        ),
        (
            |p| p.status().undelivered = 1,
            "losses",
            Note,
            "1 change yet",
        ),
        (
            |p| p.status().held_back = 1,
            "losses",
            Note,
            "alert.max_per_hour",
        ),
        (
            |p| p.status().stale = 1,
            "losses",
            Note,
            "1 open alert nothing",
        ),
        (
            |p| p.answers().measured = vec![heap(5, 1, "glibc", "")],
            "losses",
            Note,
            "of 5 calls in heaps, 1 could",
        ),
        (
            |p| p.answers().measured = vec![heap(0, 0, "", "no symbols")],
            "losses",
            Note,
            "no symbols",
        ),
        (|p| p.answers = None, "bus", Wrong, "start dbus"),
        (
            |p| p.answers().owner = None,
            "bus",
            Wrong,
            "journalctl -u memleakd",
        ),
        (
            |p| p.remove("/usr/share/dbus-1/system.d/org.memleakd.Memleakd1.conf"),
            "bus",
            Wrong,
            "install the package again",
        ),
        (
            |p| p.answers().is_activatable = false,
            "bus",
            Note,
            "systemctl reload dbus",
        ),
        (
            |p| {
                p.answers().owner = None;
                p.unit("memleakd.service").main_pid = 0;
            },
            "bus",
            Note,
            "does not run",
        ),
        (
            |p| {
                p.answers().owner = None;
                p.write("/etc/memleakd/memleakd.toml", "dbus.enabled = false");
            },
            "bus",
            Note,
            "dbus.enabled",
        ),
        (
            |p| p.answers().has_polkit = false,
            "polkit",
            Note,
            "only root",
        ),
        (
            |p| p.remove("/usr/share/polkit-1/actions/org.memleakd.Memleakd1.policy"),
            "polkit",
            Wrong,
            "install the package again",
        ),
        (
            |p| p.write("/etc/memleakd/memleakd.toml", "scan.interval = 5"),
            "configuration",
            Wrong,
            "memleakd.toml:1: scan.interval",
        ),
        (
            |p| {
                p.unit("memleakd.service").status_text =
                    "no alerts; the old configuration is in force, because of x".to_owned()
            },
            "configuration",
            Wrong,
            "systemctl reload memleakd",
        ),
        (
            |p| p.remove("/var/lib/memleakd"),
            "state",
            Note,
            "STATE_DIRECTORY",
        ),
        (
            |p| {
                fs::set_permissions(
                    p.path("/var/lib/memleakd"),
                    fs::Permissions::from_mode(0o777),
                )
                .expect("a mode")
            },
            "state",
            Wrong,
            "chmod 751",
        ),
        (
            |p| {
                p.remove("/var/lib/memleakd");
                p.write("/var/lib/memleakd", "");
            },
            "state",
            Wrong,
            "no directory",
        ),
        (
            |p| p.write("/var/lib/memleakd/past.json.unreadable", ""),
            "state",
            Note,
            "past.json.unreadable",
        ),
        (
            |p| p.remove("/run/systemd/journal/socket"),
            "journal",
            Wrong,
            "systemd-journald",
        ),
        (
            |p| p.remove("/var/log/journal"),
            "journal",
            Note,
            "mkdir /var/log/journal",
        ),
        (
            |p| p.write("/etc/memleakd/memleakd.toml", "journal.enabled = false"),
            "journal",
            Note,
            "journal.enabled",
        ),
        (
            |p| p.remove("/usr/lib/systemd/catalog/memleakd.catalog"),
            "catalog",
            Note,
            "install the package again",
        ),
        (
            |p| p.write("/var/lib/systemd/catalog/database", "others"),
            "catalog",
            Note,
            "--update-catalog",
        ),
        (
            |p| p.write("/etc/memleakd/memleakd.toml", ""),
            "mail",
            Note,
            "mail.to",
        ),
        (
            |p| p.unit("memleakd-mail.path").active = "inactive".to_owned(),
            "mail",
            Wrong,
            "enable --now memleakd-mail.path",
        ),
        (
            |p| p.unit("memleakd-mail.service").active = "failed".to_owned(),
            "mail",
            Wrong,
            "journalctl -u memleakd-mail",
        ),
        (
            |p| {
                p.write("/var/lib/memleakd/spool/a.eml", "");
                p.age("/var/lib/memleakd/spool/a.eml", Duration::from_secs(7200));
            },
            "mail",
            Wrong,
            "1 mail waits, the oldest for 2 h",
        ),
        (
            |p| p.write("/var/lib/memleakd/spool/rejected/a.eml", ""),
            "mail",
            Wrong,
            "1 has been refused",
        ),
        (
            |p| p.remove("/etc/credstore/memleakd.smtp-password"),
            "mail",
            Note,
            "/etc/credstore/memleakd.smtp-password",
        ),
        (
            |p| {
                p.remove("/etc/credstore");
                p.is_root = false;
            },
            "mail",
            Note,
            "may not look at the password",
        ),
        (
            |p| {
                p.write(
                    "/etc/memleakd/memleakd.toml",
                    "mail = { to = [\"a@b.c\"], username = \"a\", password_file = \"/etc/none\" }",
                )
            },
            "mail",
            Wrong,
            "/etc/none",
        ),
        (
            |p| p.write("/etc/memleakd/memleakd.toml", ""),
            "Alertmanager",
            Note,
            "alertmanager.url",
        ),
        (
            |p| p.unit("memleakd-alertmanager.path").active = "inactive".to_owned(),
            "Alertmanager",
            Wrong,
            "memleakd-alertmanager.path",
        ),
        (
            |p| p.write("/var/lib/memleakd/alertmanager/rejected/a.json", ""),
            "Alertmanager",
            Wrong,
            "1 has been refused",
        ),
        (
            |p| p.write("/etc/memleakd/memleakd.toml", ""),
            "hook",
            Note,
            "no unit",
        ),
        (
            |p| p.unit("page@.service").load = "not-found".to_owned(),
            "hook",
            Wrong,
            "page@.service",
        ),
        (|p| p.answers().units = None, "hook", Wrong, "page@.service"),
        (
            |p| p.write("/etc/memleakd/memleakd.toml", ""),
            "metrics",
            Note,
            "no file",
        ),
        (
            |p| p.age("/run/memleakd/memleakd.prom", Duration::from_secs(60)),
            "metrics",
            Wrong,
            "1 min old",
        ),
        (
            |p| p.remove("/run/memleakd/memleakd.prom"),
            "metrics",
            Wrong,
            "/run/memleakd",
        ),
        (
            |p| p.remove("/usr/lib/systemd/user/memleakd-notify.service"),
            "desktop",
            Note,
            "memleakd-desktop",
        ),
        (
            |p| p.remove("/usr/lib/systemd/user/graphical-session.target.wants"),
            "desktop",
            Note,
            "systemctl --global enable",
        ),
    ];
    for (index, (break_it, subject, outcome, words)) in cases.iter().enumerate() {
        let mut patient = Patient::well();
        break_it(&mut patient);
        let findings = patient.examine();
        let found = findings.iter().any(|finding| {
            let text = format!(
                "{} {}",
                finding.found,
                finding.to_do.as_deref().unwrap_or_default()
            );
            finding.subject == *subject && finding.outcome == *outcome && text.contains(words)
        });
        let of_subject: Vec<_> = findings
            .iter()
            .filter(|finding| finding.subject == *subject)
            .collect();
        assert!(
            found,
            "case {index}, {subject} {outcome} {words:?}: {of_subject:#?}"
        );
    }
}

/// A process whose heap is measured, or if there is no method why it is not.
fn heap(calls: u64, lost: u64, method: &str, why: &str) -> Measured {
    Measured {
        pid: 7,
        comm: "server".to_owned(),
        uid: 0,
        unit: None,
        source: Source::Heap,
        net_bytes: 0,
        allocated_bytes: 0,
        freed_bytes: 0,
        calls,
        lost,
        growth_bytes_per_sec: 0.0,
        span_secs: 1.0,
        seen_secs: 1.0,
        method: method.to_owned(),
        cost_secs: 0.0,
        loss: vec![why.to_owned()],
    }
}

#[test]
fn on_an_old_kernel_probes_are_what_the_daemon_has_found() {
    // It tries at its start, and has nothing to say if they go in; or it may do anything.
    for may_all in [false, true] {
        let mut patient = Patient::well();
        patient.release = Release(6, 1, 0);
        if may_all {
            patient.capabilities(FIVE | SYS_ADMIN);
            patient.write("/proc/sys/kernel/perf_event_paranoid", "3\n");
            patient.answers().units = None;
        }
        let findings = patient.examine();
        for subject in ["heaps", "page faults", "capabilities"] {
            let found = findings.iter().find(|finding| finding.subject == subject);
            assert_eq!(found.expect("a finding").outcome, Outcome::Ok, "{subject}");
        }
    }
}

#[test]
fn the_drop_in_that_messages_name_is_shipped() {
    let shipped = format!(
        "{}/packaging{OLD_KERNEL_DROP_IN}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(shipped).expect("a drop-in");
    let settings: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        settings,
        ["[Service]", "CapabilityBoundingSet=CAP_SYS_ADMIN"]
    );
    assert!(
        text.contains(&format!("cp {OLD_KERNEL_DROP_IN} ")),
        "{text}"
    );
}

#[test]
fn names_on_the_machine_cannot_speak_to_the_terminal() {
    let mut patient = Patient::well();
    patient.unit("memleakd.service").status_text = "\u{1b}[2Jgone".to_owned();
    let findings = patient.examine();
    assert!(
        findings
            .iter()
            .all(|finding| !finding.found.contains('\u{1b}')),
        "{findings:#?}"
    );
}

#[test]
fn a_bus_that_never_answers_is_given_up() {
    let directory = TempDir::new().expect("a directory");
    let socket = directory.path().join("bus");
    // Connections wait for somebody to accept them.
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let began = Instant::now();
    let output = doctor(&socket, &["--json"]);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(output.status.code(), Some(1));
    let findings: Vec<Finding> = serde_json::from_slice(&output.stdout).expect("JSON");
    let bus = findings.iter().find(|finding| finding.subject == "bus");
    let bus = bus.expect("a finding");
    assert!(
        bus.outcome == Outcome::Wrong && bus.found.contains("does not answer"),
        "{bus:?}"
    );
}

#[test]
fn it_is_readable_on_a_narrow_terminal() {
    let output = doctor(Path::new("/nowhere"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let is_word = |line: &str| line.split_whitespace().count() == 1;
    for line in text.lines() {
        assert!(line.chars().count() <= 80 || is_word(line), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    assert!(text.contains("wrong  bus  "), "{text}");
    assert_eq!(output.stderr, b"");
}

fn doctor(bus: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_memleakctl"))
        .arg("doctor")
        .args(arguments)
        .env(
            "DBUS_SYSTEM_BUS_ADDRESS",
            format!("unix:path={}", bus.display()),
        )
        .output()
        .expect("memleakctl runs")
}
