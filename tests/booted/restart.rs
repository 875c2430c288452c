use crate::machine::{Machine, on_each};
use crate::stage::{
    RAISED, SHORTLY, SOON, asked, daemon_pid, entries, entry, install_quick, put_program,
    start_leak,
};

/// Restarted so soon, and looked after so closely, that a test can wait for it.
const WATCHED: &str = "[Service]\nWatchdogSec=4s\nRestartSec=200ms\n";

/// An alert stays open for as long as the test takes.
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

fn quick_and_lasting() -> String {
    crate::stage::QUICK.replace("keep_firing = \"10s\"", "keep_firing = \"10min\"")
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
        install_quick(machine, "");
        machine.put(crate::stage::DROP_IN, 0o644, quick_and_lasting());
        machine.ok("systemctl reload memleakd");
        start_leak(machine, "leaky.service");
        let raised = entry(machine, "an alert", SOON, &format!("MESSAGE_ID={RAISED}"));
        let id = raised["MEMLEAKD_ID"].as_str().expect("an id");

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

        // As long as it takes to find the leak once more.
        std::thread::sleep(std::time::Duration::from_secs(20));
        let alerts = asked(machine, "alerts");
        assert_eq!(alerts[0]["id"], id, "{alerts}");
        assert_eq!(alerts.as_array().map(Vec::len), Some(1), "{alerts}");
        assert_eq!(entries(machine, &format!("MESSAGE_ID={RAISED}")).len(), 1);
    });
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn silences_and_open_alerts_outlive_a_reboot() {
    on_each(|machine| {
        install_quick(machine, "");
        machine.put(crate::stage::DROP_IN, 0o644, quick_and_lasting());
        machine.ok("systemctl reload memleakd");
        put_program(machine, "leak");
        machine.put("/etc/systemd/system/leaky.service", 0o644, LEAKY);
        machine.ok("systemctl daemon-reload; systemctl enable --now leaky.service");
        let raised = entry(machine, "an alert", SOON, &format!("MESSAGE_ID={RAISED}"));
        let id = raised["MEMLEAKD_ID"].as_str().expect("an id");
        machine.ok("memleakctl silence --unit 'batch-*' --for 7d -c 'fixed in 2.1'");
        machine.ok(&format!("memleakctl ack {id}"));
        let silences = asked(machine, "silences");
        let boot = machine.ok("cat /proc/sys/kernel/random/boot_id");

        machine.reboot();

        assert_ne!(machine.ok("cat /proc/sys/kernel/random/boot_id"), boot);
        assert_eq!(machine.ok("systemctl is-active memleakd"), "active");
        assert_eq!(asked(machine, "silences"), silences);
        let alerts = asked(machine, "alerts");
        assert_eq!(alerts[0]["id"], id, "{alerts}");
        assert_eq!(alerts[0]["acknowledged"], true, "{alerts}");
        // The same leak in the process that has begun with the boot is the same alert.
        let pid = machine.ok("systemctl show --value --property=MainPID leaky.service");
        let script = format!("memleakctl alerts --json | grep '\"pid\": *{pid}'");
        machine.eventually("the new process in it", SOON, &script);
        let alerts = asked(machine, "alerts");
        assert_eq!(alerts[0]["id"], id, "{alerts}");
        assert_eq!(entries(machine, &format!("MESSAGE_ID={RAISED}")).len(), 1);
        let _ = LASTING;
    });
}
