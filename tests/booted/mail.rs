use std::ops::RangeInclusive;

use serde_json::Value;

use crate::machine::{Machine, on_each};
use crate::stage::{SHORTLY, SOON, entry, install_quick, start_leak};

/// The uids that systemd has for users that exist as long as their unit runs.
const DYNAMIC_USERS: RangeInclusive<u32> = 61184..=65519;

const PORT: u16 = 2587;

const CONFIG: &str = r#"
[mail]
to = ["ops@example.org"]
server = "localhost"
port = 2587
tls = "starttls"
ca_file = "/etc/memleakd/ca.pem"
username = "memleakd"
"#;

const CERTIFICATES: &str = "
mkdir -p /etc/memleakd /root/tls
cd /root/tls
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=authority of the test' \
    -keyout ca.key -out /etc/memleakd/ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
printf 'subjectAltName = DNS:localhost\n' >extensions
openssl x509 -req -in server.csr -CA /etc/memleakd/ca.pem -CAkey ca.key -CAcreateserial -days 2 \
    -extfile extensions -out server.pem
chmod 644 /etc/memleakd/ca.pem
";

/// A mail server that tells what it is sent, one JSON object a line.
fn serve(machine: &Machine) {
    machine.put(
        "/root/smtp/server.py",
        0o755,
        include_str!("../smtp/server.py"),
    );
    machine.put(
        "/root/smtp/parse.py",
        0o644,
        include_str!("../smtp/parse.py"),
    );
    machine.ok(CERTIFICATES);
    machine.ok(&format!(
        "systemd-run --quiet --unit=smtp --property=StandardOutput=file:/run/smtp \
         python3 /root/smtp/server.py --port {PORT} --tls starttls --certificate /root/tls/server.pem \
         --key /root/tls/server.key --user memleakd --password 'correct horse'"
    ));
    machine.eventually("the mail server", SHORTLY, "grep ready /run/smtp");
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn mail_arrives_with_its_password_from_a_credential() {
    on_each(|machine| {
        serve(machine);
        machine.put(
            "/etc/credstore/memleakd.smtp-password",
            0o600,
            "correct horse",
        );
        install_quick(machine, CONFIG);
        start_leak(machine, "leaky.service", "tester");

        let line = machine.eventually(
            "a mail",
            SOON,
            "grep -m1 '\"event\": \"message\"' /run/smtp",
        );
        let mail: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(mail["tls"], true, "{line}");
        assert_eq!(mail["user"], "memleakd", "{line}");
        assert_eq!(mail["recipients"][0], "ops@example.org", "{line}");
        assert_eq!(mail["sender"], "memleakd@machine", "{line}");
        assert!(line.contains("leaky.service"), "{line}");

        // Sent is gone, and who has sent it was a user made for the unit, without any rights.
        let spool = "! ls /var/lib/memleakd/spool/*.eml 2>/dev/null";
        machine.eventually("an empty spool", SHORTLY, spool);
        for (unit, expected) in [
            ("memleakd-mail.path", "active"),
            ("memleakd-mail.service", "inactive"),
        ] {
            let state = machine.run(&format!("systemctl is-active {unit}")).text;
            assert_eq!(state.trim_end(), expected, "{unit}");
        }
        let sent = entry(machine, "its word", SHORTLY, "_COMM=memleakd-mail");
        assert_eq!(sent["_SYSTEMD_UNIT"], "memleakd-mail.service", "{sent}");
        let uid = sent["_UID"].as_str().and_then(|uid| uid.parse().ok());
        assert!(
            uid.is_some_and(|uid| DYNAMIC_USERS.contains(&uid)),
            "{sent}"
        );
        assert_eq!(sent["_CAP_EFFECTIVE"], "0", "{sent}");
    });
}
