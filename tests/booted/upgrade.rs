use crate::machine::{Machine, on_each};
use crate::stage::{DROP_IN, QUICK, SHORTLY, apt_install, daemon_pid, install, older_package};

const CONFIG: &str = "/etc/memleakd/memleakd.toml";

/// Files that are there because of a package, and those it left: not what dpkg and the journal write
/// for themselves, nor what runs.
const LISTING: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /root \
    -o -path /run/memleakd-test -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /run/systemd -o -path /run/log -o -path /var/tmp -o -path /run/lock \\) -prune -o -print | sort";

/// The test's own unit.
const AGENT: &str = "memleakd-test-agent.service";

fn version(machine: &Machine) -> String {
    machine.ok("dpkg-query --show --showformat='${Version}' memleakd")
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn an_upgrade_restarts_it_and_keeps_what_was_changed() {
    on_each(|machine| {
        apt_install(machine, &older_package());
        let (older, first) = (version(machine), daemon_pid(machine));
        machine.ok(&format!(
            "sed -i 's/^#interval = \"5s\"/interval = \"2s\"/' {CONFIG}; systemctl reload memleakd"
        ));
        let changed = machine.ok(&format!("sha256sum {CONFIG}"));

        install(machine);
        let newer = version(machine);
        machine.ok(&format!("dpkg --compare-versions {older} lt {newer}"));
        assert_eq!(machine.ok("systemctl is-active memleakd"), "active");
        assert_ne!(daemon_pid(machine), first);
        assert_eq!(machine.ok(&format!("sha256sum {CONFIG}")), changed);
        let said = machine.ok("journalctl --sync; journalctl -q -u memleakd -o cat");
        assert!(said.contains("scans every 2 s"), "{said}");

        // Whoever has switched it off wants that of the next version as well.
        apt_install(machine, &older_package());
        machine.ok("systemctl disable --quiet --now memleakd.service memleakd-mail.path");
        install(machine);
        for unit in ["memleakd.service", "memleakd-mail.path"] {
            assert_eq!(
                machine.run(&format!("systemctl is-enabled {unit}")).text,
                "disabled\n"
            );
            assert_eq!(
                machine.run(&format!("systemctl is-active {unit}")).text,
                "inactive\n",
                "{unit}"
            );
        }
        assert_eq!(
            machine.ok("systemctl is-enabled memleakd-alertmanager.path"),
            "enabled"
        );
    });
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn a_purge_leaves_nothing() {
    on_each(|machine| {
        let before = machine.ok(LISTING);
        machine.put(DROP_IN, 0o644, QUICK);
        install(machine);
        machine.ok("memleakctl silence --unit 'x*' --for 1h; memleakctl test journal");
        machine.eventually(
            "a state on disk",
            SHORTLY,
            "test -n \"$(ls -A /var/lib/memleakd)\"",
        );

        machine.ok("apt-get -qq remove memleakd");
        assert_eq!(
            machine.run("systemctl is-active memleakd").text,
            "inactive\n"
        );
        assert_eq!(machine.run("pgrep -x memleakd").text, "");
        assert_eq!(machine.run("ls /usr/bin/memleakctl 2>/dev/null").text, "");
        // Until it is installed again, what was made by hand and what is known stays.
        machine.ok(&format!("ls {CONFIG} {DROP_IN} /var/lib/memleakd"));

        machine.ok("apt-get -qq purge memleakd");
        let after = machine.ok(LISTING);
        let left: Vec<_> = after
            .lines()
            .filter(|path| !before.lines().any(|line| line == *path))
            .collect();
        let gone: Vec<_> = before
            .lines()
            .filter(|path| !after.lines().any(|line| line == *path))
            .collect();
        assert!(
            left.is_empty() && gone.is_empty(),
            "left: {left:#?}, gone: {gone:#?}"
        );
        let known = machine.ok("systemctl list-unit-files --no-legend --plain 'memleakd*'");
        assert!(
            known.starts_with(AGENT) && known.lines().count() == 1,
            "{known}"
        );
        assert_eq!(
            machine.ok("systemctl list-units --failed --plain --no-legend"),
            ""
        );
    });
}
