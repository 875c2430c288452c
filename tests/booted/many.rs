use std::time::Duration;

use crate::machine::on_each;
use crate::stage::{RAISED, asked, entries, install, put_program, put_static_program, status_line};

const N_SERVICES: usize = 500;

/// For so long the machine is looked at, with the configuration that is shipped.
const A_WHILE: Duration = Duration::from_secs(75);

#[test]
#[ignore = "boots a system: make vm-test"]
fn on_a_machine_with_500_services_nothing_is_said() {
    on_each(|machine| {
        let idle = put_static_program(machine, "idle");
        let steady = put_program(machine, "steady", "tester");
        machine.put(
            "/etc/systemd/system/idle@.service",
            0o644,
            format!("[Service]\nExecStart={idle}\n"),
        );
        machine.ok("systemctl daemon-reload");
        let start = format!("systemctl start --no-block idle@{{1..{N_SERVICES}}}.service");
        machine.ok_within(Duration::from_secs(120), &start);
        // While these start, and with one that allocates and frees without end.
        machine.ok(&format!("systemd-run --quiet --unit=steady {steady}"));
        install(machine);
        let running = format!("test $(pgrep -c -x idle) -eq {N_SERVICES}");
        machine.eventually("all services", Duration::from_secs(120), &running);
        std::thread::sleep(A_WHILE);

        assert_eq!(entries(machine, &format!("MESSAGE_ID={RAISED}")).len(), 0);
        assert_eq!(asked(machine, "alerts"), serde_json::json!([]));
        let said = machine.ok("journalctl --sync; journalctl -q -u memleakd -p warning -o cat");
        assert_eq!(said, "");
        let status = asked(machine, "status");
        let round_secs = status["round_secs"].as_f64();
        assert!(round_secs.is_some_and(|secs| secs < 0.1), "{status}");
        // A tenth of a percent of a processor is what it takes; on a busy machine it may be ten times that.
        let cpu = machine.ok("systemctl show --value --property=CPUUsageNSec memleakd");
        let cpu = Duration::from_nanos(cpu.parse().expect("a number"));
        assert!(cpu < A_WHILE / 50, "{cpu:?}");
        assert!(
            status["processes"].as_u64() > Some(N_SERVICES as u64),
            "{status}"
        );
        assert!(status_line(machine).contains("watching 5"), "{status}");
    });
}
