//! Alerts that go on to other programs: a unit of the administrator's, and Alertmanager.

use serde_json::Value;

use crate::machine::on_each;
use crate::stage::{SHORTLY, SOON, install_quick, raised, start_leak};

/// Writes what it is told where the test finds it, and as whom it runs.
const HOOK: &str = "
[Service]
Type=oneshot
DynamicUser=yes
SupplementaryGroups=memleakd
StateDirectory=page
ExecStart=/bin/sh -c 'id -u >/var/lib/page/uid; cat /run/memleakd/hook/%i.json >>/var/lib/page/told'
";

#[test]
#[ignore = "boots a system: make vm-test"]
fn a_unit_is_started_and_alertmanager_told() {
    on_each(|machine| {
        machine.put("/etc/systemd/system/page@.service", 0o644, HOOK);
        machine.put(
            "/root/server.py",
            0o755,
            include_str!("../monitoring/server.py"),
        );
        machine.ok(
            "systemctl daemon-reload; systemd-run --quiet --unit=alertmanager \
            --property=StandardOutput=file:/run/alertmanager python3 /root/server.py",
        );
        let port = machine.eventually(
            "a server",
            SHORTLY,
            "sed -n 's/.*\"ready\", \"port\": \\([0-9]*\\).*/\\1/p' /run/alertmanager | grep .",
        );
        install_quick(
            machine,
            &format!(
                "[hook]\nunit = \"page@.service\"\n[alertmanager]\nurl = \"http://127.0.0.1:{port}\"\n"
            ),
        );
        start_leak(machine, "leaky.service", "tester");
        let (_, id) = raised(machine);

        let told = machine.eventually(
            "the unit",
            SHORTLY,
            "grep -m 1 . /var/lib/private/page/told",
        );
        let told: Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(told["id"], *id, "{told}");
        assert_eq!(told["unit"], "leaky.service", "{told}");
        let uid: u32 = machine
            .ok("cat /var/lib/private/page/uid")
            .parse()
            .expect("a uid");
        assert!((61184..=65519).contains(&uid), "{uid}");

        let post = machine.eventually("a post", SOON, "grep -m1 '\"post\"' /run/alertmanager");
        let post: Value = serde_json::from_str(&post).expect("JSON");
        assert_eq!(post["path"], "/api/v2/alerts", "{post}");
        assert_eq!(post["body"][0]["labels"]["unit"], "leaky.service", "{post}");
        assert_eq!(post["body"][0]["labels"]["id"], *id, "{post}");
        machine.ok("systemctl stop leaky.service");
        machine.eventually(
            "its end",
            SOON,
            "test $(grep -c '\"post\"' /run/alertmanager) -ge 2",
        );
        machine.eventually(
            "no more incidents",
            SOON,
            "! ls /var/lib/memleakd/alertmanager/*.json",
        );
        assert_eq!(
            machine.ok("systemctl list-units --failed --plain --no-legend"),
            ""
        );
    });
}
