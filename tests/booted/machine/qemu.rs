//! Machines as virtual ones: a system on a kernel of its own, each processor emulated by qemu, so
//! that it runs everywhere, and slowly.
//!
//! They go on from where one that had booted was saved, which takes three seconds instead of thirty.

mod parts;
mod snapshot;
mod virtual_machine;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

use super::Runner;
use parts::Parts;
use snapshot::Snapshot;
use virtual_machine::VirtualMachine;

/// Emulated, a machine is slower than this one by so much, and more where others work here as well.
const SLOWNESS: u32 = 4;

/// A virtual machine, or none yet.
pub struct Qemu {
    parts: Parts,
    running: Option<Running>,
}

struct Running {
    machine: VirtualMachine,
    // The same from the first boot to the last, as the other end of a cable.
    stream: UnixStream,
}

impl Qemu {
    /// One with a kernel, as `5.10`, or as `7` if any such will do.
    pub fn new(kernel: &str) -> Self {
        Self {
            parts: Parts::of(kernel),
            running: None,
        }
    }

    fn resume(&self) -> Running {
        let snapshot = Snapshot::of(&self.parts);
        let machine = VirtualMachine::resumed(&self.parts, &snapshot);
        let mut stream = machine.connection();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("a clock that is set").as_secs_f64();
        writeln!(stream, "resume {now}").expect("an agent that reads");
        Running { machine, stream }
    }
}

impl Runner for Qemu {
    fn boot(&mut self) -> UnixStream {
        // One that reboots does so by itself.
        let running = match self.running.take() {
            Some(running) => running,
            None => self.resume(),
        };
        let stream = running.stream.try_clone().expect("a socket");
        self.running = Some(running);
        stream
    }

    fn console(&self) -> String {
        let running = self.running.as_ref();
        running.map_or_else(String::new, |running| running.machine.console())
    }

    fn slowness(&self) -> u32 {
        SLOWNESS
    }
}
