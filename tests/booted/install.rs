use crate::machine::on_each;

#[test]
#[ignore = "boots a system: make vm-test"]
fn boots() {
    on_each(|machine| {
        println!(
            "{}",
            machine.ok("systemctl --version | head -1; systemctl is-system-running; id; date")
        );
        machine.put("/opt/x/y", 0o640, "hallo");
        println!(
            "{}",
            machine.ok("ls -la /opt/x/y; cat /opt/x/y; echo marke > /var/lib/marke")
        );
        assert_eq!(machine.run("false; echo no").status, 1);
        machine.reboot();
        println!(
            "{}",
            machine.ok("cat /var/lib/marke; uptime; cat /proc/1/cgroup | tail -1")
        );
    });
}
