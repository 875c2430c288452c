use crate::machine::on_each;
use crate::stage::{
    SHORTLY, SOON, UPDATED, asked, entry, install_quick, let_measure_heaps, raised,
};

#[test]
#[ignore = "boots a system: make vm-test"]
fn the_leak_on_purpose_is_found_by_its_own_rule_and_named_though_the_program_is_stripped() {
    on_each(|machine| {
        let measures_heaps = let_measure_heaps(machine);
        // The rule that is shipped, in a hurry.
        install_quick(machine, "[rule.demo-leak]\nsustained = \"15s\"\n");
        machine.ok(
            "systemd-run --quiet --unit=demo memleakctl demo-leak --rate 16MiB/min --most 256MiB",
        );
        let (raised, id) = raised(machine);
        assert_eq!(raised["MEMLEAKD_RULE"], "demo-leak");
        assert_eq!(raised["MEMLEAKD_COMM"], "memleakd-demo");

        let said = "journalctl --sync; journalctl -q -u demo -o cat";
        let tells = format!("{said} | grep -q 'there is an alert: {id}'");
        machine.eventually("that it is told", SHORTLY, &tells);
        if measures_heaps {
            let named = format!("MESSAGE_ID={UPDATED} | grep memleakd_demo_leak");
            entry(machine, "the function", SOON, &named);
            machine.ok(&format!("memleakctl report {id} -o /root/report.html"));
            machine.ok("grep -q memleakd_demo_leak /root/report.html");
        }
        let curve = &asked(machine, "top")[0]["curve"];
        assert!(curve.as_array().is_some_and(|points| points.len() > 3));

        machine.ok("systemctl stop demo");
        machine.ok("! grep -sqx memleakd-demo /proc/[0-9]*/comm");
    });
}
