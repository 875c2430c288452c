//! The .rpm as it is installed, upgraded and erased: what its scriptlets do where no systemd runs.
//!
//! That happens in a throwaway layer over this machine's own root, with its systemd, so nothing of it
//! is seen outside. The programs are stand-ins that nobody starts. Booted systems have tests of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const PROGRAMS: [&str; 5] = [
    "memleakctl",
    "memleakd",
    "memleakd-alertmanager",
    "memleakd-mail",
    "memleakd-notify",
];

/// Mounts the layer where nobody else sees it, and runs what it is told within.
const LAYER: &str = r#"
set -e
layer=$1
mount -t tmpfs layer "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" layer "$layer/root"
mount -t proc proc "$layer/root/proc"
mkdir "$layer/root/packages"
cp "$2"/*.rpm "$layer/root/packages"
exec chroot "$layer/root" sh -c "$3"
"#;

/// Steps and what each of them says.
const STEPS: [(&str, &str); 20] = [
    // A distribution says by presets what is enabled, for the whole machine and for users.
    (
        "mkdir -p /etc/systemd/system-preset /etc/systemd/user-preset
         echo 'enable memleakd*' >/etc/systemd/system-preset/00-of-this-test.preset
         echo 'enable memleakd*' >/etc/systemd/user-preset/00-of-this-test.preset",
        "",
    ),
    (
        "rpm --install --nodeps memleakd-0.0.8-1.*.rpm memleakd-desktop-0.0.8-1.*.rpm",
        "",
    ),
    ("getent group memleakd | cut -d: -f1", "memleakd\n"),
    (
        "stat --format '%a %U:%G %n' /var/lib/memleakd /var/lib/memleakd/reports",
        "751 root:memleakd /var/lib/memleakd\n2750 root:adm /var/lib/memleakd/reports\n",
    ),
    (
        "systemctl is-enabled memleakd.service memleakd-mail.path memleakd-alertmanager.path",
        "enabled\nenabled\nenabled\n",
    ),
    (
        "systemctl --global is-enabled memleakd-notify.service",
        "enabled\n",
    ),
    ("journalctl --list-catalog | grep --count memleakd", "5\n"),
    // Nothing differs from what is in the packages.
    ("rpm --verify --nodeps memleakd memleakd-desktop", ""),
    // What the administrator decides outlives upgrades.
    (
        "systemctl disable memleakd-mail.path
         systemctl --global disable memleakd-notify.service
         echo '# Changed.' >>/etc/memleakd/memleakd.toml",
        "Removed /etc/systemd/system/multi-user.target.wants/memleakd-mail.path.\n\
         Removed /etc/systemd/user/graphical-session.target.wants/memleakd-notify.service.\n",
    ),
    (
        "rpm --upgrade --nodeps memleakd-0.0.9-1.*.rpm memleakd-desktop-0.0.9-1.*.rpm",
        "",
    ),
    ("rpm --query memleakd | cut -d- -f2", "0.0.9\n"),
    (
        "systemctl is-enabled memleakd.service memleakd-mail.path memleakd-alertmanager.path",
        "enabled\ndisabled\nenabled\n",
    ),
    (
        "systemctl --global is-enabled memleakd-notify.service",
        "disabled\n",
    ),
    ("tail -n 1 /etc/memleakd/memleakd.toml", "# Changed.\n"),
    (
        "rpm --verify --nodeps memleakd",
        "S.5....T.  c /etc/memleakd/memleakd.toml\n",
    ),
    (
        "rpm --erase memleakd memleakd-desktop",
        "warning: /etc/memleakd/memleakd.toml saved as /etc/memleakd/memleakd.toml.rpmsave\n",
    ),
    // State stays, and configuration under another name.
    (
        "ls -d /var/lib/memleakd /etc/memleakd/*",
        "/etc/memleakd/memleakd.toml.rpmsave\n/var/lib/memleakd\n",
    ),
    (
        "find /etc /usr -name '*memleakd*' ! -path '/etc/memleakd*' ! -path '/usr/src/*'",
        "",
    ),
    ("find /etc/systemd /usr/lib/systemd -lname '*memleakd*'", ""),
    ("journalctl --list-catalog | grep --count memleakd", "0\n"),
];

#[test]
#[ignore = "needs root and BTF"]
fn the_rpm_is_installed_upgraded_and_erased_without_a_trace() {
    let made = TempDir::new().expect("a directory");
    for version in ["0.0.8", "0.0.9"] {
        make_rpm(made.path(), version);
    }
    let layer = TempDir::new().expect("a directory");
    // Each step's words follow a line that no step says.
    let mut script = String::from("export LC_ALL=C\ncd /packages\nexec 2>&1\n");
    for (step, _) in STEPS {
        script += &format!("echo '--- next'\n{step}\n");
    }
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            LAYER,
            "sh",
        ])
        .args([layer.path(), made.path()])
        .arg(script)
        .output()
        .expect("unshare runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (said, complaints) = (text(output.stdout), text(output.stderr));
    assert_eq!(complaints, "");
    let mut said = said.split("--- next\n");
    assert_eq!(said.next(), Some(""));
    for (step, expected) in STEPS {
        let said = said.next().expect(step);
        assert_eq!(without_chatter(said), expected, "{step}");
    }
}

fn make_rpm(made: &Path, version: &str) {
    let programs = made.join("programs");
    fs::create_dir_all(&programs).expect("a directory");
    for name in PROGRAMS {
        fs::copy("/bin/true", programs.join(name)).expect("a copy");
    }
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/rpm.sh"))
        .env("BINARIES", &programs)
        .env("PACKAGES", made)
        .env("RPM_VERSION", version)
        .output()
        .expect("rpm.sh runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What was said without Debian's warning against rpm, and without quotes, which systemctl puts
/// around names since version 252.
fn without_chatter(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("rpm: "));
    lines.map(|line| line.replace('"', "") + "\n").collect()
}
