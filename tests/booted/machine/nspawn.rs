//! Machines as containers of systemd-nspawn: a system with all its services, on this machine's own
//! kernel, in about two seconds.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Runner;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/booted/machine/nspawn.sh"
);
const AGENT: &str = include_str!("../agent/memleakd-test-agent");
const AGENT_UNIT: &str = include_str!("../agent/memleakd-test-agent.service");

/// What needs a terminal, or hardware, that a container does not have.
const MASKED: [&str; 4] = [
    "console-getty.service",
    "getty.target",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
];

/// The agent is there after so long, or something is wrong.
const BOOT: Duration = Duration::from_secs(60);

/// Tells the machines of this program apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A container, or none yet.
pub struct Nspawn {
    root: PathBuf,
    name: String,
    directory: TempDir,
    listener: UnixListener,
    cgroups: Vec<PathBuf>,
    child: Option<Child>,
}

impl Nspawn {
    /// One that is to boot from a root directory, which stays as it is.
    pub fn new(root: &Path) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("memleakd-test-{}-{number}", id());
        let directory = TempDir::with_prefix("memleakd-booted-").expect("a directory");
        for part in ["upper", "work", "root", "share"] {
            fs::create_dir(directory.path().join(part)).expect("a directory");
        }
        prepare(&directory.path().join("upper"));
        let listener = UnixListener::bind(directory.path().join("share/agent")).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let cgroups = cgroups(&name);
        for cgroup in &cgroups {
            fs::create_dir(cgroup)
                .unwrap_or_else(|error| panic!("{}: {error}: only root can", cgroup.display()));
        }
        Self {
            root: root.to_owned(),
            name,
            directory,
            listener,
            cgroups,
            child: None,
        }
    }

    fn start(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.expect("a log");
        let cgroups: Vec<_> = self
            .cgroups
            .iter()
            .map(|path| path.to_string_lossy())
            .collect();
        // A pid namespace around it: whoever ends, this program or what it starts here, takes the
        // whole system along, which nspawn alone would leave running.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if has_systemd() {
            command.args(["systemd-run", "--quiet", "--collect", "--scope"]);
            command.arg("--property=Delegate=yes");
        }
        command
            .args(["unshare", "--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", SCRIPT])
            .env("ROOT", &self.root)
            .env("DIRECTORY", self.directory.path())
            .env("NAME", &self.name)
            .env("CGROUPS", cgroups.join(" "))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        // Within one hierarchy only, whatever this machine itself has.
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        command.spawn().expect("setpriv runs")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn off(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The system goes with the one who runs it. It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Runner for Nspawn {
    fn boot(&mut self) -> UnixStream {
        let until = Instant::now() + BOOT;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a socket");
                    return stream;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            // Not yet started, or ended in order to be started again.
            let has_ended = match &mut self.child {
                Some(child) => child.try_wait().expect("a child of ours").is_some(),
                None => true,
            };
            if has_ended {
                self.child = Some(self.start());
            }
            assert!(
                Instant::now() < until,
                "no agent; the console:\n{}",
                self.console()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn console(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn slowness(&self) -> u32 {
        1
    }
}

impl Drop for Nspawn {
    fn drop(&mut self) {
        self.off();
        for cgroup in &self.cgroups {
            remove(cgroup);
        }
    }
}

/// Whether systemd runs on this machine: then cgroups are for it to give.
fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// The cgroups that a container is started in, one in each hierarchy, if nobody else gives it any.
fn cgroups(name: &str) -> Vec<PathBuf> {
    if has_systemd() {
        return Vec::new();
    }
    let hierarchies = [
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup/systemd",
    ];
    let hierarchies = hierarchies.iter().map(Path::new);
    let usable = hierarchies.filter(|path| path.join("cgroup.procs").exists());
    usable.map(|path| path.join(name)).collect()
}

/// Removes a cgroup with those in it, once the kernel has done with their processes.
fn remove(cgroup: &Path) {
    let until = Instant::now() + Duration::from_secs(5);
    while fs::remove_dir(cgroup).is_err() && cgroup.exists() && Instant::now() < until {
        for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                remove_below(&entry.path());
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn remove_below(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_below(&entry.path());
        }
    }
    // Whether it worked shows in the one above.
    fs::remove_dir(cgroup).ok();
}

/// Puts the agent into what covers the root.
fn prepare(upper: &Path) {
    let units = upper.join("etc/systemd/system");
    let wanted = units.join("multi-user.target.wants");
    let programs = upper.join("usr/local/sbin");
    for directory in [&wanted, &programs] {
        fs::create_dir_all(directory).expect("a directory");
    }
    let agent = programs.join("memleakd-test-agent");
    fs::write(&agent, AGENT).expect("a file");
    fs::set_permissions(&agent, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("a file");
    fs::write(units.join("memleakd-test-agent.service"), AGENT_UNIT).expect("a file");
    symlink(
        "../memleakd-test-agent.service",
        wanted.join("memleakd-test-agent.service"),
    )
    .expect("a link");
    for unit in MASKED {
        symlink("/dev/null", units.join(unit)).expect("a link");
    }
}
