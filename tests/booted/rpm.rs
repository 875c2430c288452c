use crate::machine::{Machine, on_each};
use crate::stage::{daemon_pid, rpm_package};

const CONFIG: &str = "/etc/memleakd/memleakd.toml";

/// Where rpm has its database if no Debian of a user's keeps it elsewhere.
const DATABASE: &str = "--dbpath=/var/lib/rpm";

/// rpm, whose packages depend on packages of others. Debian's may want to be told that this is meant.
fn rpm(machine: &Machine) -> String {
    let insists = machine.run("rpm --force-debian --version").status == 0;
    let meant = if insists { "--force-debian" } else { "" };
    format!("rpm {DATABASE} --nodeps {meant}")
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn the_rpm_installs_into_a_fresh_root_and_its_scriptlets_do_their_work() {
    on_each(|machine| {
        machine.copy(&rpm_package("memleakd"), "/root/memleakd.rpm");
        let rpm = rpm(machine);

        // As an image is made: what is in the package is there, and nothing of it has changed.
        machine.ok(&format!(
            "mkdir /root/fresh; rpm {DATABASE} --root=/root/fresh --initdb"
        ));
        machine.ok(&format!(
            "{rpm} --root=/root/fresh --noscripts --install /root/memleakd.rpm"
        ));
        assert_eq!(
            machine.ok(&format!(
                "rpm {DATABASE} --root=/root/fresh --verify --nodeps memleakd"
            )),
            ""
        );
        let listed = machine.ok("rpm -qlp /root/memleakd.rpm | sort");
        let there = machine.ok(
            "cd /root/fresh; find . -path ./var/lib/rpm -prune -o \\( -type f -o -type l \\) -print | sed s/^.// | sort",
        );
        for path in there.lines() {
            assert!(
                listed.lines().any(|line| line == path),
                "{path} is not of the package"
            );
        }
        assert!(there.lines().any(|path| path == CONFIG), "{there}");

        // As on a machine that runs: enabled as the distribution has it, started by its administrator.
        machine.ok(&format!("{rpm} --install /root/memleakd.rpm"));
        for unit in [
            "memleakd.service",
            "memleakd-mail.path",
            "memleakd-alertmanager.path",
        ] {
            assert_eq!(
                machine.ok(&format!("systemctl is-enabled {unit}")),
                "enabled"
            );
            assert_eq!(
                machine.ok(&format!("systemd-analyze verify {unit} 2>&1")),
                "",
                "{unit}"
            );
        }
        assert_eq!(
            machine.ok("stat -c '%a %U %G' /var/lib/memleakd"),
            "751 root memleakd"
        );
        assert!(
            machine
                .ok("journalctl --list-catalog")
                .contains("leaks memory")
        );
        machine.ok("systemctl start memleakd; memleakctl status");

        // What is done at an upgrade, although it is to the same version.
        let first = daemon_pid(machine);
        machine.ok(&format!(
            "echo '# by hand' >>{CONFIG}; {rpm} --upgrade --replacepkgs /root/memleakd.rpm"
        ));
        assert_eq!(machine.ok("systemctl is-active memleakd"), "active");
        assert_ne!(daemon_pid(machine), first);
        assert_eq!(machine.ok(&format!("tail -n 1 {CONFIG}")), "# by hand");

        machine.ok(&format!("rpm {DATABASE} --erase memleakd"));
        assert_eq!(
            machine.run("systemctl is-active memleakd").text,
            "inactive\n"
        );
        assert_eq!(machine.run("pgrep -x memleakd").text, "");
        let left = format!(
            "find {} -maxdepth 0 -type f 2>/dev/null",
            listed.replace('\n', " ")
        );
        assert_eq!(machine.run(&left).text, "");
        assert_eq!(
            machine.ok("find /etc/systemd -name 'memleakd*' ! -name 'memleakd-test*'"),
            ""
        );
        assert_eq!(
            machine.ok(&format!("tail -n 1 {CONFIG}.rpmsave")),
            "# by hand"
        );
    });
}
