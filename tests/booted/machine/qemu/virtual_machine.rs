//! A process of qemu, with what it is connected to.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::parts::Parts;
use super::snapshot::Snapshot;

/// Two processors, as races between them are what an emulated machine can show. The clock is said
/// to be good, and needs no time to be measured; nothing is mitigated that costs time.
const HARDWARE: [&str; 17] = [
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max",
    "-smp",
    "2",
    "-m",
    "1024",
    "-machine",
    "q35,hpet=off",
    "-nodefaults",
    "-no-user-config",
    "-nographic",
    "-device",
    "virtio-rng-pci",
    "-device",
    "virtio-serial-pci",
];
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet loglevel=4 systemd.show_status=0 systemd.log_color=0 \
    systemd.journald.forward_to_console=1 mitigations=off audit=0 net.ifnames=0 tsc=reliable \
    no_timer_check init_on_alloc=0";

/// How long qemu itself may take to start, on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A virtual machine that runs; it is off when this is dropped.
pub struct VirtualMachine {
    directory: TempDir,
    listener: UnixListener,
    child: Child,
}

impl VirtualMachine {
    /// One that boots, and keeps what it writes in a file of the kind qcow2.
    pub fn booted(parts: &Parts, disk: &Path) -> Self {
        let drive = format!("file={},format=qcow2", disk.display());
        Self::start(parts, &drive, &[])
    }

    /// One that goes on from what was saved, which stays as it is.
    pub fn resumed(parts: &Parts, snapshot: &Snapshot) -> Self {
        let drive = format!(
            "file={},format=qcow2,snapshot=on",
            snapshot.disk().display()
        );
        let memory = format!("file:{}", snapshot.memory().display());
        Self::start(parts, &drive, &["-incoming", &memory])
    }

    /// What its agent speaks through.
    pub fn connection(&self) -> UnixStream {
        let until = Instant::now() + START;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a socket");
                    return stream;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            assert!(
                Instant::now() < until,
                "qemu does not start: {}",
                self.console()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Saves its memory in a file, and switches it off.
    pub fn save(mut self, memory: &Path) {
        let monitor = UnixStream::connect(self.directory.path().join("monitor"));
        let mut monitor = monitor.expect("qemu's monitor");
        // As fast as it can, without having it stopped before: it would not go on by itself.
        let commands = format!(
            "migrate_set_parameter max-bandwidth 100G\nmigrate file:{}\nquit\n",
            memory.display()
        );
        monitor.write_all(commands.as_bytes()).expect("a monitor");
        let mut said = Vec::new();
        // It may be gone before it has answered.
        monitor.read_to_end(&mut said).ok();
        let said = String::from_utf8_lossy(&said);
        let status = self.child.wait().expect("a child of ours");
        assert!(
            status.success() && !said.contains("Error"),
            "{status}: {said}"
        );
    }

    /// What it has said on its console, and qemu itself.
    pub fn console(&self) -> String {
        let files = ["console", "said"].map(|name| self.directory.path().join(name));
        let texts = files.map(|path| fs::read(path).unwrap_or_default());
        String::from_utf8_lossy(&texts.concat()).into_owned()
    }

    fn start(parts: &Parts, drive: &str, more: &[&str]) -> Self {
        let directory = TempDir::with_prefix("memleakd-booted-").expect("a directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let listener = UnixListener::bind(path("agent")).expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let said = fs::File::create(path("said")).expect("a file");
        let child = Command::new("setpriv")
            // Off with it also if this program is killed.
            .args(["--pdeathsig", "KILL"])
            .arg(&parts.qemu)
            .args(HARDWARE)
            .arg("-kernel")
            .arg(parts.linux.join("vmlinux"))
            .arg("-initrd")
            .arg(parts.linux.join("initramfs"))
            .args(["-append", KERNEL_ARGUMENTS])
            .arg("-drive")
            .arg(format!("{drive},if=none,id=root,cache=unsafe"))
            .args(["-device", "virtio-blk-pci,drive=root"])
            .arg("-chardev")
            .arg(format!("socket,id=agent,path={}", path("agent")))
            .args([
                "-device",
                "virtserialport,chardev=agent,name=memleakd-test",
                "-serial",
            ])
            .arg(format!("file:{}", path("console")))
            .arg("-monitor")
            .arg(format!("unix:{},server=on,wait=off", path("monitor")))
            .args(more)
            .stdin(Stdio::null())
            .stdout(said.try_clone().expect("a file"))
            .stderr(said)
            .spawn()
            .expect("setpriv runs");
        Self {
            directory,
            listener,
            child,
        }
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// All that a saved state depends on but for files.
pub fn description() -> String {
    format!("{} {KERNEL_ARGUMENTS}", HARDWARE.join(" "))
}
