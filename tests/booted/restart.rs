use std::thread;
use std::time::Duration;

use crate::machine::{Machine, on_each};
use crate::stage::{
    CLEARED, RAISED, SHORTLY, SOON, asked, daemon_pid, entries, entry, install_quick, put_program,
    raised, start_leak,
};

/// Restarted so soon, and looked after so closely, that a test can wait for it.
const WATCHED: &str = "[Service]\nWatchdogSec=4s\nRestartSec=200ms\n";

/// An alert stays open for longer than the test takes.
const LASTING: &str = "[alert]\nkeep_firing = \"10min\"\n";

/// A service that begins to leak when the machine has booted.
const LEAKY: &str = "
[Service]
User=tester
ExecStart=/home/tester/leak
[Install]
WantedBy=multi-user.target
";

/// Waits until the daemon runs anew, and its open alerts are known again.
fn restarted(machine: &Machine, before: &str) -> String {
    let script = format!(
        "pid=$(systemctl show --value --property=MainPID memleakd)
         systemctl is-active memleakd >/dev/null
         test $pid != 0; test $pid != {before}; memleakctl status >/dev/null; echo $pid"
    );
    machine.eventually("a daemon that is new", SHORTLY, &script)
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn a_daemon_that_hangs_or_is_killed_starts_again_and_says_nothing_twice() {
    on_each(|machine| {
        machine.put(
            "/etc/systemd/system/memleakd.service.d/test.conf",
            0o644,
            WATCHED,
        );
        install_quick(machine, LASTING);
        start_leak(machine, "leaky.service", "tester");
        let (_, id) = raised(machine);

        let first = daemon_pid(machine);
        machine.ok(&format!("kill -STOP {first}"));
        let second = restarted(machine, &first);
        let said = machine.ok("journalctl --sync; journalctl -q -u memleakd -o cat");
        assert!(said.contains("Watchdog timeout"), "{said}");
        machine.ok(&format!("kill -KILL {second}"));
        restarted(machine, &second);
        assert_eq!(
            machine.ok("systemctl show --value --property=NRestarts memleakd"),
            "2"
        );

        // Longer than it would take to find the leak once more.
        thread::sleep(Duration::from_secs(20));
        let alerts = asked(machine, "alerts");
        assert_eq!(alerts[0]["id"], *id, "{alerts}");
        assert_eq!(alerts.as_array().map(Vec::len), Some(1), "{alerts}");
        assert_eq!(entries(machine, &format!("MESSAGE_ID={RAISED}")).len(), 1);
    });
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn silences_and_open_alerts_outlive_a_reboot() {
    on_each(|machine| {
        install_quick(machine, LASTING);
        put_program(machine, "leak", "tester");
        machine.put("/etc/systemd/system/leaky.service", 0o644, LEAKY);
        machine.ok("systemctl daemon-reload; systemctl enable --now leaky.service");
        let (_, id) = raised(machine);
        machine.ok("memleakctl silence --unit 'leaky*' --for 7d -c 'fixed in 2.1'");
        let silences = asked(machine, "silences");
        let boot = machine.ok("cat /proc/sys/kernel/random/boot_id");

        machine.reboot();

        assert_ne!(machine.ok("cat /proc/sys/kernel/random/boot_id"), boot);
        assert_eq!(machine.ok("systemctl is-active memleakd"), "active");
        assert_eq!(asked(machine, "silences"), silences);
        // What was open is over with its process, which is said, with the number that it had.
        let cleared = entry(
            machine,
            "its end",
            SHORTLY,
            &format!("MESSAGE_ID={CLEARED}"),
        );
        assert_eq!(cleared["MEMLEAKD_ID"], *id, "{cleared}");
        // Either its unit runs already, or not yet.
        let reason = cleared["MEMLEAKD_REASON"].as_str().unwrap_or_default();
        assert!(["exited", "restarted"].contains(&reason), "{cleared}");
        assert_eq!(entries(machine, &format!("MESSAGE_ID={CLEARED}")).len(), 1);
        // And what leaks again is told again, to nobody whom the silence spares.
        let pid = machine.ok("systemctl show --value --property=MainPID leaky.service");
        let again = format!("MESSAGE_ID={RAISED} MEMLEAKD_PID={pid}");
        let again = entry(machine, "the alert of the new process", SOON, &again);
        assert!(again["MEMLEAKD_SILENCED_UNTIL"].is_string(), "{again}");
    });
}
