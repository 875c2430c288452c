use crate::machine::on_each;
use crate::stage::{DROP_IN, QUICK, SHORTLY, daemon_pid, install_quick, status_line};

const METRICS: &str = "[metrics]\nfile = \"/run/memleakd/test.prom\"\n";
const OTHER: &str = "/etc/memleakd/memleakd.toml.d/60-other.toml";

#[test]
#[ignore = "boots a system: make vm-test"]
fn a_reload_tells_whether_the_configuration_is_good() {
    on_each(|machine| {
        install_quick(machine, "");
        let pid = daemon_pid(machine);
        assert_eq!(machine.run("ls /run/memleakd/test.prom").status, 2);

        machine.put(DROP_IN, 0o644, format!("{QUICK}\n{METRICS}"));
        machine.ok("systemctl reload memleakd");
        machine.eventually("the file", SHORTLY, "ls /run/memleakd/test.prom");

        machine.put(OTHER, 0o644, "[rule.quick]\nsustained = \"ten minutes\"\n");
        let refused = machine.run("systemctl reload memleakd");
        assert_eq!(refused.status, 1, "{}", refused.text);
        let said = machine.ok("journalctl --sync; journalctl -q -u memleakd -o cat");
        let status = machine.run("systemctl status memleakd").text;
        for reason in [OTHER, "sustained", "ten minutes"] {
            assert!(said.contains(reason), "{reason:?} in {said}");
            assert!(status.contains(reason), "{reason:?} in {status}");
        }
        assert!(
            status_line(machine).contains("old configuration"),
            "{}",
            status_line(machine)
        );
        // The old one goes on.
        machine.ok("rm /run/memleakd/test.prom");
        machine.eventually("the file", SHORTLY, "ls /run/memleakd/test.prom");

        machine.ok(&format!("rm {OTHER}; systemctl reload memleakd"));
        assert!(
            !status_line(machine).contains("old configuration"),
            "{}",
            status_line(machine)
        );
        assert_eq!(daemon_pid(machine), pid);
    });
}
