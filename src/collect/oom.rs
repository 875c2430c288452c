//! Whom the kernel has killed as memory ran out.
//!
//! A BPF program on the tracepoint `oom/mark_victim` puts the processes into a small table, and
//! nobody reads it until a process of an open alert has ended.

use anyhow::{Context, Result};
use libbpf_rs::{
    Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, ProgramInput, ProgramMut,
};

use super::bpf;
use crate::sample::ProcessId;

/// The compiled programs. Not the skeleton's, which would have to borrow where they are kept.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/oom.bpf.o"));

/// Kills by the kernel's OOM killer, the last thousand since they were attached to.
#[derive(Debug)]
pub struct OomKills {
    object: Object,
    victims: MapHandle,
    _link: Link,
}

impl OomKills {
    /// Loads and attaches the program. The error says what this kernel or process lacks.
    pub fn attach() -> Result<Self> {
        bpf::prepare()?;
        // libelf wants its data aligned, as the allocator does it.
        let elf = OBJECT.to_vec();
        let object = ObjectBuilder::default()
            .name("oom")
            .and_then(|builder| builder.open_memory(&elf))
            .and_then(libbpf_rs::OpenObject::load)
            .map_err(refusal)?;
        program(&object, "observe_reader")?
            .test_run(ProgramInput::default())
            .context("asking for the pid namespace")?;
        let link = program(&object, "mark_victim")?
            .attach()
            .context("attaching to the tracepoint oom/mark_victim")?;
        let victims = object.maps().find(|map| map.name() == "victims");
        let victims = victims.context("the BPF object has no table victims")?;
        let victims = MapHandle::try_from(&victims).context("keeping the table victims")?;
        Ok(Self {
            object,
            victims,
            _link: link,
        })
    }

    /// Has the program run as if the kernel had marked a task of this number, as older kernels
    /// tell it. For tests.
    pub fn mark(&self, task: u32) -> Result<()> {
        let mut arguments = u64::from(task).to_ne_bytes();
        let input = ProgramInput {
            context_in: Some(&mut arguments),
            ..ProgramInput::default()
        };
        let marked = program(&self.object, "mark_victim")?.test_run(input);
        marked.context("running the program")?;
        Ok(())
    }

    /// Whether a process is one of them.
    pub fn has(&self, process: ProcessId) -> bool {
        // Older kernels give the pid only, which may have been that of an earlier process.
        let by_pid = ProcessId {
            start_time_ns: 0,
            ..process
        };
        self.marked_ns(process).is_some()
            || (self.marked_ns(by_pid)).is_some_and(|marked_ns| marked_ns > process.start_time_ns)
    }

    /// When a process was marked, in ns since boot. A table that cannot be read has nobody in it.
    fn marked_ns(&self, process: ProcessId) -> Option<u64> {
        let marked = self.victims.lookup(&key(process), MapFlags::ANY);
        let bytes = marked
            .inspect_err(|error| tracing::debug!("looking for a process that was killed: {error}"))
            .ok()??;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }
}

fn program<'a>(object: &'a Object, name: &str) -> Result<ProgramMut<'a>> {
    let found = object.progs_mut().find(|program| program.name() == name);
    found.with_context(|| format!("the BPF object has no program {name}"))
}

/// A process as `struct oom_victim`.
fn key(process: ProcessId) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&process.start_time_ns.to_ne_bytes());
    key[8..12].copy_from_slice(&process.pid.to_ne_bytes());
    key
}

fn refusal(error: libbpf_rs::Error) -> anyhow::Error {
    bpf::refusal("see whom the kernel kills", &error)
}
