use crate::machine::on_each;
use crate::stage::{
    CLEARED, RAISED, SHORTLY, SOON, UPDATED, asked, entries, entry, install_quick,
    let_measure_heaps, raised, start_leak,
};

#[test]
#[ignore = "boots a system: make vm-test"]
fn a_service_that_leaks_is_told_of_wherever_its_administrator_looks() {
    on_each(|machine| {
        let measures_heaps = let_measure_heaps(machine);
        install_quick(machine, "");
        machine.ok("systemd-run --quiet --unit=monitor --property=StandardOutput=file:/run/monitor \
            busctl monitor --json=short --match=\"type='signal',interface='org.memleakd.Memleakd1'\"");
        machine.eventually("the monitor", SHORTLY, "busctl list | grep -q busctl");
        let pid = start_leak(machine, "leaky.service", "tester");

        let (raised, id) = raised(machine);
        let text = |name: &str| raised[name].as_str().unwrap_or_default().to_owned();
        for (name, expected) in [
            ("OBJECT_PID", pid.as_str()),
            ("OBJECT_SYSTEMD_UNIT", "leaky.service"),
            ("MEMLEAKD_PID", &pid),
            ("MEMLEAKD_UNIT", "leaky.service"),
            ("MEMLEAKD_EXE", "/home/tester/leak"),
            ("MEMLEAKD_UID", "1000"),
            ("MEMLEAKD_RULE", "quick"),
            ("MEMLEAKD_CHANGE", "raised"),
            ("PRIORITY", "4"),
            ("_SYSTEMD_UNIT", "memleakd.service"),
        ] {
            assert_eq!(text(name), expected, "{name}");
        }
        // 1 KiB and a little more each millisecond and a little more, or a few where that is emulated.
        let rate: f64 = text("MEMLEAKD_GROWTH_BYTES_PER_SEC")
            .parse()
            .expect("a rate");
        let least = 400_000.0 / f64::from(machine.slowness());
        assert!((least..1_200_000.0).contains(&rate), "{rate}");

        let of_the_unit = machine.ok("journalctl -q -u leaky.service -t memleakd -o cat");
        assert!(of_the_unit.starts_with(&text("MESSAGE")), "{of_the_unit}");
        let status = machine.ok("systemctl status leaky.service");
        assert!(
            status.contains(&format!("memleakd[{}]", text("_PID"))),
            "{status}"
        );
        let explained = machine.ok(&format!("journalctl -q -x MESSAGE_ID={RAISED}"));
        for line in [
            format!("Subject: Process {pid} (leak) leaks memory"),
            format!("memleakctl show {id}"),
        ] {
            assert!(explained.contains(&line), "{line:?} in {explained}");
        }

        // The program is in a mount namespace of its own, below a home that the daemon does not see.
        let named = format!("MESSAGE_ID={UPDATED} | grep leak_record");
        let updated = entry(machine, "the sites", SOON, &named);
        let stacks = updated["MEMLEAKD_STACKS"].as_str().expect("a text");
        assert!(stacks.contains("tests/programs/leak.c:"), "{stacks}");
        let report = machine.ok(&format!("memleakctl report {id}"));
        assert!(report.contains("leak_record"), "{report}");
        let heap = asked(machine, &format!("show {id}"));
        assert_eq!(heap["cause"] == "heap", measures_heaps, "{heap}");

        machine.ok("systemctl stop leaky.service");
        let cleared = entry(machine, "its end", SOON, &format!("MESSAGE_ID={CLEARED}"));
        assert_eq!(cleared["MEMLEAKD_ID"], raised["MEMLEAKD_ID"]);
        assert_eq!(entries(machine, &format!("MESSAGE_ID={RAISED}")).len(), 1);

        let signals = machine.ok("cat /run/monitor");
        for member in ["AlertRaised", "AlertCleared"] {
            let signal = signals
                .lines()
                .find(|line| line.contains(&format!("\"{member}\"")));
            let signal = signal.unwrap_or_else(|| panic!("no {member} in {signals}"));
            assert!(signal.contains(&format!("/alert/{id}")), "{signal}");
        }
    });
}
