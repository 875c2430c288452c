use crate::machine::{Machine, on_each};
use crate::stage::{
    PROBES, PROBES_FOR_ALL, SHORTLY, SOON, UPDATED, asked, entry, install_quick, let_measure_heaps,
    raised, start_leak, status_line,
};

/// Where the package has what to do about it.
const EXAMPLE: &str = "/usr/share/doc/memleakd/examples/old-kernel.conf";

#[test]
#[ignore = "boots a system: make vm-test"]
fn what_a_kernel_asks_for_to_measure_heaps_is_said_and_helps() {
    on_each(|machine| {
        let kernel = machine.kernel();
        install_quick(machine, "");
        if kernel < PROBES_FOR_ALL {
            // Debian's kernels hide page faults.
            machine.ok("sysctl -q kernel.perf_event_paranoid=2");
        }
        // Without heaps it finds the leak all the same, and where memory is touched first.
        start_leak(machine, "leaky.service", "tester");
        let (_, id) = raised(machine);
        let updated = entry(machine, "the sites", SOON, &format!("MESSAGE_ID={UPDATED}"));
        let stacks = updated["MEMLEAKD_STACKS"].as_str().expect("a text");
        assert!(stacks.contains("leak_record"), "{stacks}");
        let is_of_heap = asked(machine, &format!("show {id}"))["cause"] == "heap";
        assert_eq!(is_of_heap, kernel >= PROBES_FOR_ALL);

        let said = machine.ok("journalctl --sync; journalctl -q -u memleakd -p warning -o cat");
        let status = status_line(machine);
        let needs_it = (PROBES..PROBES_FOR_ALL).contains(&kernel);
        for (what, text) in [
            ("journal", said),
            ("status", status),
            ("doctor", heaps(machine)),
        ] {
            println!("{}: {what}: {text}", machine.name);
            assert_eq!(text.contains(EXAMPLE), needs_it, "{what}: {text}");
        }
        machine.ok(&format!("test -s {EXAMPLE}"));
        if !needs_it {
            return;
        }

        machine.ok("systemctl stop leaky.service");
        let_measure_heaps(machine);
        machine.ok("systemctl daemon-reload; systemctl restart memleakd");
        start_leak(machine, "second.service", "tester");
        let script = "memleakctl alerts --json | grep '\"cause\": *\"heap\"'";
        machine.eventually("a leak of the heap", SOON, script);
        assert!(!status_line(machine).contains(EXAMPLE));
        machine.eventually(
            "the doctor",
            SHORTLY,
            "! memleakctl doctor | grep old-kernel",
        );
        println!("{}: with it: {}", machine.name, heaps(machine));
    });
}

/// What the doctor says of heaps.
fn heaps(machine: &Machine) -> String {
    let found = asked(machine, "doctor");
    let found = found.as_array().into_iter().flatten();
    let mut of_heaps = found.filter(|finding| finding["subject"] == "heaps");
    of_heaps.next().expect("it looks at heaps").to_string()
}
