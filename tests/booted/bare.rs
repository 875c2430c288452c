use std::thread;
use std::time::Duration;

use crate::machine::on_each;
use crate::stage::install;

/// As on a kernel that was built without BTF.
const WITHOUT_BTF: &str = "[Service]\nInaccessiblePaths=/sys/kernel/btf\n";

#[test]
#[ignore = "boots a system: make vm-test"]
fn a_kernel_that_lacks_what_it_needs_is_told_of_once() {
    on_each(|machine| {
        machine.put(
            "/etc/systemd/system/memleakd.service.d/test.conf",
            0o644,
            WITHOUT_BTF,
        );
        install(machine);
        // Longer than it would take to be started again.
        thread::sleep(Duration::from_secs(7));
        let state = machine
            .ok("systemctl show --property=ActiveState,Result,ExecMainStatus,NRestarts memleakd");
        let mut state: Vec<_> = state.lines().collect();
        state.sort_unstable();
        assert_eq!(
            state,
            [
                "ActiveState=failed",
                "ExecMainStatus=1",
                "NRestarts=0",
                "Result=exit-code"
            ]
        );
        let said = machine.ok("journalctl --sync; journalctl -q -t memleakd -o cat");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("BTF"), "{said}");
        let status = machine.run("systemctl status memleakd").text;
        assert!(status.contains(&said), "{status}");
        assert_eq!(
            machine.ok("dpkg-query --show --showformat='${db:Status-Abbrev}' memleakd"),
            "ii"
        );

        // With what it needs there again it runs.
        machine.ok("rm -r /etc/systemd/system/memleakd.service.d; systemctl daemon-reload");
        machine.ok("systemctl start memleakd; systemctl is-active memleakd");
    });
}
