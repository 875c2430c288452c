use crate::machine::{Machine, Output, on_each};
use crate::stage::{SHORTLY, SOON, install_quick, raised, start_leak};

const GRANT: &str = r#"
polkit.addRule(function (action, subject) {
    if (action.id.indexOf("org.memleakd.Memleakd1.") == 0 && subject.user == "visitor")
        return polkit.Result.YES;
});
"#;

fn as_user(machine: &Machine, user: &str, arguments: &str) -> Output {
    machine.run(&format!("runuser -u {user} -- memleakctl {arguments}"))
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn polkit_says_who_else_may_see_and_manage() {
    on_each(|machine| {
        machine.ok("useradd --create-home visitor");
        install_quick(machine, "");
        let pid = start_leak(machine, "leaky.service", "tester");
        let (_, id) = raised(machine);
        machine.eventually("a report", SOON, &format!("memleakctl report {id}"));

        let asked = [
            (format!("show {id}"), 1),
            (format!("report {id}"), 1),
            (format!("capture --pid {pid} --for 1s"), 1),
            (format!("explain {pid}"), 1),
            (format!("ack {id}"), 1),
            ("silence --unit leaky.service --for 1h".to_owned(), 1),
            ("reload".to_owned(), 1),
            ("test journal".to_owned(), 1),
            // This is for everybody.
            ("status".to_owned(), 0),
        ];
        for (arguments, expected) in &asked {
            let Output { status, text } = as_user(machine, "visitor", arguments);
            assert_eq!(status, *expected, "{arguments}: {text}");
            assert!(
                *expected == 0 || text.lines().count() == 1,
                "{arguments}: {text}"
            );
        }
        assert_eq!(as_user(machine, "visitor", "alerts --json").text, "[]\n");

        // Whose process it is sees it, and may not keep it from others.
        let Output { status, text } = as_user(machine, "tester", &format!("show {id}"));
        assert!(status == 0 && text.contains("leaky.service"), "{text}");
        assert_eq!(
            as_user(machine, "tester", &format!("report {id}")).status,
            0
        );
        assert_eq!(
            as_user(machine, "tester", "silence --unit '*' --for 1h").status,
            1
        );

        machine.put("/etc/polkit-1/rules.d/10-test.rules", 0o644, GRANT);
        // polkitd finds the file by itself.
        let granted = format!("runuser -u visitor -- memleakctl show {id}");
        machine.eventually("the new rule", SHORTLY, &granted);
        for (arguments, _) in &asked {
            let Output { status, text } = as_user(machine, "visitor", arguments);
            assert_eq!(status, 0, "{arguments}: {text}");
        }
        let silences = machine.ok("memleakctl silences");
        assert!(
            silences.contains("leaky.service") && silences.contains("visitor"),
            "{silences}"
        );
    });
}
