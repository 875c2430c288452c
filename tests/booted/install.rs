use serde_json::json;

use crate::machine::{Machine, on_each};
use crate::stage::{PROBES_FOR_ALL, asked, install, status_line};

/// What the units may be exposed to at the most, by systemd's own reckoning.
const EXPOSURES: [(&str, f64); 3] = [
    ("memleakd.service", 1.5),
    ("memleakd-mail.service", 1.3),
    ("memleakd-alertmanager.service", 1.3),
];

/// Mode, owner and group of what the daemon and its package make.
const PATHS: [(&str, &str); 6] = [
    ("/etc/memleakd", "755 root root"),
    ("/etc/memleakd/memleakd.toml", "644 root root"),
    ("/run/memleakd", "755 root memleakd"),
    ("/usr/bin/memleakd", "755 root root"),
    ("/var/lib/memleakd", "751 root memleakd"),
    ("/var/lib/memleakd/reports", "2750 root adm"),
];

#[test]
#[ignore = "boots a system: make vm-test"]
fn installed_it_runs_and_says_how_it_is() {
    on_each(|machine| {
        install(machine);

        for unit in [
            "memleakd.service",
            "memleakd-mail.path",
            "memleakd-alertmanager.path",
        ] {
            assert_eq!(machine.ok(&format!("systemctl is-active {unit}")), "active");
            assert_eq!(
                machine.ok(&format!("systemctl is-enabled {unit}")),
                "enabled"
            );
        }
        assert_eq!(machine.ok("systemctl is-system-running"), "running");
        assert_eq!(property(machine, "Type"), "notify");
        assert_eq!(property(machine, "NRestarts"), "0");
        let said = machine.ok("journalctl --sync; journalctl -q -u memleakd -p warning -o cat");
        // But for heaps that an old kernel does not let it measure.
        let n_said = usize::from(machine.kernel() < PROBES_FOR_ALL);
        assert_eq!(said.lines().count(), n_said, "{said}");

        // The daemon starts with its first round; the next one has seen what was installed since.
        // Threads of the kernel have no program.
        let n_running: i64 = machine
            .ok("for process in /proc/[0-9]*; do readlink $process/exe; done | wc -l")
            .parse()
            .expect("a number");
        let n_watched = asked(machine, "status")["processes"].as_i64();
        let n_watched = n_watched.expect("a number");
        assert!(
            (n_watched - n_running).abs() <= 8,
            "{n_watched} of {n_running}"
        );
        let line = status_line(machine);
        assert!(
            line.contains(&format!("watching {n_watched} processes")),
            "{line}"
        );
        let status = machine.ok("systemctl status memleakd");
        assert!(
            status.contains("active (running)") && status.contains(&line),
            "{status}"
        );

        // With status 0: nothing is wrong.
        let findings = asked(machine, "doctor");
        let n_findings = findings.as_array().map_or(0, Vec::len);
        assert!(n_findings > 15, "{findings}");

        for (path, expected) in PATHS {
            assert_eq!(
                machine.ok(&format!("stat -c '%a %U %G' {path}")),
                expected,
                "{path}"
            );
        }
        assert_eq!(
            machine.ok("memleakctl alerts --json"),
            json!([]).to_string()
        );
    });
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn the_units_are_as_tight_as_is_promised() {
    on_each(|machine| {
        install(machine);
        for (unit, limit) in EXPOSURES {
            let verified = machine.ok(&format!("systemd-analyze verify {unit} 2>&1"));
            assert_eq!(verified, "", "{unit}");
            let line = machine.ok(&format!("systemd-analyze security {unit} | tail -n 1"));
            let exposure = line.split(' ').find_map(|word| word.parse::<f64>().ok());
            assert!(
                exposure.is_some_and(|exposure| exposure <= limit),
                "{limit}: {line}"
            );
        }
        for unit in ["memleakd-mail.path", "memleakd-alertmanager.path"] {
            assert_eq!(
                machine.ok(&format!("systemd-analyze verify {unit} 2>&1")),
                "",
                "{unit}"
            );
        }
    });
}

fn property(machine: &Machine, name: &str) -> String {
    machine.ok(&format!(
        "systemctl show --value --property={name} memleakd"
    ))
}
