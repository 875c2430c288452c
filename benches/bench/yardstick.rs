//! The usual way to follow a heap by uprobes: benches/yardstick.bpf.c.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libbpf_rs::{Link, MapCore, Object, ObjectBuilder, UprobeOpts};
use memleakd::collect::{Allocator, Function};

/// The programs, loaded into the kernel.
pub struct Yardstick {
    object: Object,
}

/// Its programs, the function that each sits on, and whether it sits on the return.
const PROBES: [(&str, Function, bool); 3] = [
    ("leave_malloc", Function::Malloc, true),
    ("enter_malloc", Function::Malloc, false),
    ("enter_free", Function::Free, false),
];

impl Yardstick {
    /// Compiles and loads them.
    pub fn load() -> Result<Self> {
        let file = compile()?;
        let open = ObjectBuilder::default().open_file(file)?;
        Ok(Self {
            object: open.load().context("loading the yardstick")?,
        })
    }

    /// Puts its probes to the first instructions of a process's allocator, until the links are
    /// dropped.
    pub fn attach(&mut self, pid: u32, allocator: &Allocator) -> Result<Vec<Link>> {
        let mut links = Vec::new();
        for program in self.object.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            let (_, function, retprobe) = PROBES
                .iter()
                .find(|(probe, ..)| *probe == name)
                .with_context(|| format!("{name} is not known"))?;
            let mut probes = allocator.probes.iter();
            let probe = probes
                .find(|probe| probe.function == *function)
                .with_context(|| format!("{} has no {function:?}", allocator.name))?;
            let options = UprobeOpts {
                retprobe: *retprobe,
                ..Default::default()
            };
            let link = program.attach_uprobe_with_opts(
                i32::try_from(pid)?,
                &allocator.path,
                probe.entry_offset as usize,
                options,
            );
            links.push(link.context("putting the yardstick's probes in")?);
        }
        Ok(links)
    }

    /// How many blocks are in its table.
    pub fn n_objects(&self) -> Result<usize> {
        let mut maps = self.object.maps();
        let objects = maps.find(|map| map.name() == "objects");
        Ok(objects
            .context("the yardstick has no table")?
            .keys()
            .count())
    }
}

fn compile() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let object = Path::new(env!("CARGO_TARGET_TMPDIR")).join("yardstick.bpf.o");
    let target = match ARCH {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => other,
    };
    let status = Command::new("clang")
        .args(["-target", "bpf", "-g", "-O2", "-Wall", "-Wextra", "-Werror"])
        .arg(format!("-D__TARGET_ARCH_{target}"))
        .arg("-I")
        .arg(root.join("bpf"))
        .arg("-c")
        .arg(root.join("benches/yardstick.bpf.c"))
        .arg("-o")
        .arg(&object)
        .status()
        .context("starting clang")?;
    ensure!(
        status.success(),
        "benches/yardstick.bpf.c does not compile (package libbpf-dev is needed)"
    );
    Ok(object)
}
