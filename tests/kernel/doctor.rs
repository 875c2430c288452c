use std::process::Command;

use memleakd::client::{Finding, Outcome};
use rustix::process::Signal;

use crate::bus::Bus;
use crate::stage::{Daemon, eventually, run_by};

/// Those of the unit.
const FIVE: &str = "+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore";

/// What the doctor finds on a subject, by its outcomes.
fn outcomes(bus: &Bus, user: Option<&str>, subject: &str) -> Vec<Outcome> {
    let (_, text, error) = bus.ctl(user, &["doctor", "--json"]);
    assert_eq!(error, "");
    let findings: Vec<Finding> = serde_json::from_str(&text).expect("JSON");
    let of_subject = findings
        .into_iter()
        .filter(|found| found.subject == subject);
    of_subject.map(|found| found.outcome).collect()
}

#[test]
#[ignore = "needs root and BTF"]
fn the_doctor_sees_the_running_daemon_and_that_it_has_gone() {
    let bus = Bus::start();
    assert_eq!(outcomes(&bus, None, "scan"), []);
    assert_eq!(outcomes(&bus, None, "service"), [Outcome::Wrong]);

    let bound = format!("--bounding-set=-all,{FIVE}");
    let runner = ["setpriv", &bound, "--inh-caps=-all", "--"];
    let mut daemon = Daemon::start("dbus.enabled = true", |command| {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
        run_by(command, &runner);
    });
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    for user in [None, Some("65534")] {
        for subject in ["scan", "losses", "capabilities", "memory"] {
            assert_eq!(
                outcomes(&bus, user, subject),
                [Outcome::Ok],
                "{subject} {user:?}"
            );
        }
    }
    // There is no systemd on this bus.
    assert_eq!(outcomes(&bus, None, "service"), [Outcome::Note]);
    assert_eq!(
        outcomes(&bus, None, "bus")[0],
        outcomes(&bus, None, "scan")[0]
    );

    daemon.running.signal(Signal::TERM);
    daemon.running.0.wait().expect("an end");
    assert_eq!(outcomes(&bus, None, "scan"), []);
    let (code, text, _) = bus.ctl(None, &["doctor"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("systemctl start memleakd"), "{text}");
}

#[test]
#[ignore = "needs root and BTF"]
fn a_daemon_that_may_do_anything_is_noted() {
    let bus = Bus::start();
    let _daemon = bus.daemon();
    eventually("the name", || bus.ctl(None, &["status"]).0 == Some(0));
    assert_eq!(outcomes(&bus, None, "capabilities"), [Outcome::Note]);
}

#[test]
#[ignore = "needs root and BTF"]
fn as_exec_reload_the_client_needs_no_bus() {
    let daemon = Daemon::start("", |_| {});
    daemon.wait_for_log("alerts go to: ");
    let reload = |main_pid: Option<u32>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memleakctl"));
        command
            .arg("reload")
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
            .env_remove("MAINPID");
        command.envs(main_pid.map(|pid| ("MAINPID", pid.to_string())));
        command.output().expect("memleakctl runs").status.code()
    };
    assert_eq!(reload(None), Some(1));
    assert!(!daemon.log().contains("configuration reloaded"));
    assert_eq!(reload(Some(daemon.running.pid())), Some(0));
    daemon.wait_for_log("configuration reloaded");
}
