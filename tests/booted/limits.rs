//! Limits of cgroups' memory, on machines that have these: not in containers.

use crate::machine::{Machine, on_each};
use crate::stage::{SOON, UPDATED, entry, install_quick, let_measure_heaps, put_program, raised};

/// What one of its properties may be at the most, of the property that limits it.
const ROOM: [(&str, &str); 2] = [("MemoryCurrent", "MemoryMax"), ("TasksCurrent", "TasksMax")];

#[test]
#[ignore = "boots a system: make vm-matrix"]
fn a_service_is_measured_against_its_own_limit_and_the_daemon_stays_below_its() {
    on_each(|machine| {
        let_measure_heaps(machine);
        install_quick(machine, "");
        let program = put_program(machine, "leak", "tester");
        machine.ok(&format!(
            "systemd-run --quiet --unit=leaky --uid=tester --property=MemoryMax=200M {program}"
        ));
        let (entry_of_it, _) = raised(machine);
        let message = entry_of_it["MESSAGE"].as_str().expect("a text");
        let limit = "memory.max of its cgroup (200 MiB) would be reached in ";
        assert!(message.contains(limit), "{message}");

        // With the code named, it has taken most.
        entry(machine, "the sites", SOON, &format!("MESSAGE_ID={UPDATED}"));
        for (taken, limit) in ROOM {
            let (taken, limit) = (property(machine, taken), property(machine, limit));
            println!("{}: {taken} of {limit}", machine.name);
            assert!(0 < taken && taken < limit / 2, "{taken} of {limit}");
        }
        let events = machine.ok("cat /sys/fs/cgroup/system.slice/memleakd.service/memory.events");
        for event in ["max 0", "oom 0", "oom_kill 0"] {
            assert!(events.lines().any(|line| line == event), "{events}");
        }
    });
}

fn property(machine: &Machine, name: &str) -> u64 {
    let value = machine.ok(&format!(
        "systemctl show --value --property={name} memleakd"
    ));
    value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
}
