//! The catalog that is shipped.

use std::fs;
use std::path::Path;
use std::process::Command;

use memleakd::alert::Change;
use memleakd::sink::message_id;
use tempfile::TempDir;

const CATALOG: &str = "packaging/usr/lib/systemd/catalog/memleakd.catalog";

#[test]
fn each_kind_of_change_is_explained() {
    let root = TempDir::new().expect("a directory");
    let installed = root.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&installed).expect("a directory");
    fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).expect("a directory");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(CATALOG);
    fs::copy(shipped, installed.join("memleakd.catalog")).expect("a copy");
    let journalctl = |arguments: &[&str]| {
        let output = Command::new("journalctl")
            .arg(format!("--root={}", root.path().display()))
            .args(arguments)
            .output()
            .expect("journalctl runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        assert!(output.status.success(), "{}", text(output.stderr));
        assert_eq!(text(output.stderr), "", "{arguments:?}");
        text(output.stdout)
    };
    journalctl(&["--update-catalog"]);
    let changes = [
        Change::Raised,
        Change::Escalated,
        Change::Reminded,
        Change::Updated,
        Change::Cleared,
    ];
    let listed = journalctl(&["--list-catalog"]);
    assert_eq!(listed.lines().count(), changes.len(), "{listed}");
    for change in changes {
        let text = journalctl(&["--dump-catalog", message_id(change)]);
        assert!(text.contains("Subject: "), "{change}: {text}");
        assert!(text.contains("@MEMLEAKD_ID@"), "{change}: {text}");
        // journalctl shows the bare name of a field that an entry lacks.
        let fields = text.split('@').skip(1).step_by(2);
        let always = ["ID", "PID", "COMM", "RULE", "STACKS"].map(|name| format!("MEMLEAKD_{name}"));
        for field in fields {
            assert!(always.contains(&field.to_owned()), "{change}: {field}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 90, "{change}: {line}");
        }
    }
}
