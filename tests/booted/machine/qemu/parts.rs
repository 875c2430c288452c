//! What a virtual machine is put together from.

use std::path::PathBuf;
use std::process::Command;

use crate::machine::root::made;

/// Which suite's kernel is which, and on which suite's system it runs: not always on that of its own
/// time, as the oldest has no libraries that are new enough.
const KERNELS: [(&str, &str, &str); 4] = [
    ("5.10", "bullseye", "bookworm"),
    ("6.1", "bookworm", "bookworm"),
    ("6.12", "trixie", "trixie"),
    ("7", "sid", "trixie"),
];

/// The files that a virtual machine boots from, which stay as they are.
pub struct Parts {
    /// What the machine is called by.
    pub kernel: String,
    /// With `disk` in it.
    pub image: PathBuf,
    /// With `vmlinux` and `initramfs` in it.
    pub linux: PathBuf,
    /// The program.
    pub qemu: PathBuf,
}

impl Parts {
    /// Those for a kernel; the first time this takes minutes.
    pub fn of(kernel: &str) -> Self {
        let suites = KERNELS.iter().find(|(name, ..)| *name == kernel);
        let (_, of_kernel, of_system) =
            suites.unwrap_or_else(|| panic!("there is no kernel {kernel}: {KERNELS:?}"));
        Self {
            kernel: kernel.to_owned(),
            image: made("image.sh", &[of_system]),
            linux: made("kernel.sh", &[of_kernel]),
            qemu: made("qemu.sh", &[]).join("qemu-system-x86_64"),
        }
    }

    /// The version of qemu: none resumes what another one has saved.
    pub fn version(&self) -> String {
        let output = Command::new(&self.qemu).arg("--version").output();
        let output = output.expect("qemu runs");
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().next().unwrap_or_default().to_owned()
    }
}
