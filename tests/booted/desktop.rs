use crate::machine::{Machine, on_each};
use crate::stage::{
    RAISED, SHORTLY, SOON, entry, install_package, install_quick, put_program, start_leak,
};

/// What a desktop has, and a user's manager does not start by hand: its session.
const SESSION: &str = "
[Unit]
BindsTo=graphical-session.target
";

/// Runs a script in the user's session.
fn in_session(script: &str) -> String {
    format!("runuser -u tester -- env XDG_RUNTIME_DIR=/run/user/1000 bash -ec '{script}'")
}

/// A user's session with who shows notifications, and writes down what it is asked for.
fn log_in(machine: &Machine) {
    machine.put("/etc/systemd/user/test-session.target", 0o644, SESSION);
    machine.ok("loginctl enable-linger tester");
    machine.eventually(
        "the user's manager",
        SHORTLY,
        &in_session("systemctl --user is-system-running --wait"),
    );
    machine.ok(&in_session(
        "systemd-run --quiet --user --unit=notifications python3 -m dbusmock --session \
         --template notification_daemon -l /home/tester/asked",
    ));
    machine.eventually(
        "the mock",
        SHORTLY,
        &in_session("busctl --user status org.freedesktop.Notifications"),
    );
    machine.ok(&in_session("systemctl --user start test-session.target"));
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn in_a_session_people_are_told_of_their_own_programs() {
    on_each(|machine| {
        install_quick(machine, "");
        install_package(machine, "memleakd-desktop");
        log_in(machine);
        // The package has enabled it for everybody's session.
        let active = in_session("systemctl --user is-active memleakd-notify");
        assert_eq!(machine.eventually("the agent", SHORTLY, &active), "active");

        // Somebody else's is not theirs to know of.
        machine.ok("useradd --create-home visitor");
        start_leak(machine, "other.service", "visitor");
        let leak = put_program(machine, "leak", "tester");
        let start = format!("systemd-run --quiet --user --unit=leaky {leak}");
        machine.ok(&in_session(&start));
        for unit in [
            "OBJECT_SYSTEMD_UNIT=other.service",
            "OBJECT_SYSTEMD_USER_UNIT=leaky.service",
        ] {
            entry(
                machine,
                "an alert",
                SOON,
                &format!("MESSAGE_ID={RAISED} {unit}"),
            );
        }
        let told = |words: &str| {
            let script = format!("grep -m1 '{words}' /home/tester/asked");
            machine.eventually("a bubble", SHORTLY, &script)
        };
        told("Notify .*leak leaks memory");
        machine.ok("systemctl stop other");
        machine.ok(&in_session("systemctl --user stop leaky"));
        // Over is over: the bubble goes.
        told("CloseNotification 1");
        let n_told = machine.ok("grep -c 'leak leaks memory' /home/tester/asked");
        assert_eq!(n_told, "1");
        let failed = in_session("systemctl --user list-units --failed --plain --no-legend");
        assert_eq!(machine.ok(&failed), "");
    });
}
