//! Who touches memory for the first time: stacks for growth that no allocator of the heap has
//! asked for.
//!
//! A BPF program runs at the page faults of one process and hands over the stacks of some, as
//! records of `bpf/stack.h`. What counts as a touch, and what is sampled, is said at the top of
//! `bpf/fault.bpf.c`.
//!
//! Sizes are low where the kernel maps several pages at a fault and fewer than a huge page
//! (`/sys/kernel/mm/transparent_hugepage/hugepages-*`), and where there are so many CPUs that a
//! huge page is not told from a small one: such a fault counts as one page.
#![allow(unsafe_code)]

mod capture;
mod sampling;
mod standing;
mod threads;
mod told;

pub use capture::TouchCapture;

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow, ensure};
use libbpf_rs::libbpf_sys::{
    PERF_COUNT_SW_PAGE_FAULTS_MIN, PERF_FLAG_FD_CLOEXEC, PERF_TYPE_SOFTWARE, perf_event_attr,
};
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder};
use rustix::io::Errno;

use self::sampling::next_sampling_bytes;
use self::threads::Threads;
use self::told::Told;
use super::table::{self, After};
use super::{Host, bpf};
use crate::sample::ProcessId;
use crate::stacks::wire::Standing;

/// The compiled program. Not the skeleton's, which would have to borrow where it is kept.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fault.bpf.o"));
/// The highest level of [`Host::perf_event_paranoid`] at which CAP_PERFMON is enough: the kernel's own.
pub const MOST_PARANOID: i32 = 2;
/// Threads that come while others are given their events may be missed: how often to begin anew.
const MAX_TRIES: usize = 3;
/// `PERF_EVENT_IOC_ENABLE` and `PERF_EVENT_IOC_SET_BPF` of include/uapi/linux/perf_event.h.
const ENABLE: libc::Ioctl = 0x2400;
const SET_BPF: libc::Ioctl = 0x4004_2408;

/// The page faults of one process, as long as this is kept: then the memory of it, about 8 MiB in
/// the kernel, goes back.
#[derive(Debug)]
pub struct Faults {
    process: ProcessId,
    host: Host,
    /// What the process ran at the beginning.
    program: (std::path::PathBuf, Option<u64>),
    /// One of each thread that there was; those that come later inherit them.
    events: Vec<OwnedFd>,
    object: Object,
    samples: MapHandle,
    pages: MapHandle,
    control: MapHandle,
    totals: MapHandle,
    told: Told,
    earlier: Option<(Instant, FaultTotals)>,
    n_threads_unseen: usize,
}

/// What has been seen of faults since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultTotals {
    /// Page faults of the process.
    pub events: u64,
    /// Records that were written.
    pub sampled: u64,
    /// Samples that were lost as the ring buffer or the table of pages was full.
    pub lost: u64,
    /// Samples of which it could not be told where the program was.
    pub without_registers: u64,
    /// Threads that there was no event for: more than 512 of them, or ones that began while the
    /// others were given theirs.
    pub threads_unseen: u64,
}

/// The last touch of a page: `struct fault_page` of bpf/fault.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
struct FaultPage {
    /// The sample's number.
    id: u64,
    /// When, in nanoseconds of the monotonic clock.
    time_ns: u64,
}

// SAFETY: plain data: two integers without padding.
unsafe impl plain::Plain for FaultPage {}

impl Faults {
    /// Loads the program and has it run at each fault of a process. The error says what this
    /// kernel or process lacks, or that the process has ended.
    pub fn start(process: ProcessId) -> Result<Self> {
        bpf::prepare()?;
        let host = Host::new("/");
        // libelf wants its data aligned, as the allocator does it.
        let elf = OBJECT.to_vec();
        let object = ObjectBuilder::default()
            .name("fault")
            .and_then(|builder| builder.open_memory(&elf))
            .and_then(libbpf_rs::OpenObject::load)
            .map_err(|error| bpf::refusal("sample page faults", &error))?;
        let map = |name: &str| {
            let found = object.maps().find(|map| map.name() == name);
            let map = found.with_context(|| format!("the BPF object has no table {name}"))?;
            MapHandle::try_from(&map).with_context(|| format!("keeping the table {name}"))
        };
        let program = host
            .program_of(process.pid)
            .context("looking at the process")?;
        let told = Told::first(process)?;
        let mut faults = Self {
            samples: map("samples")?,
            pages: map("pages")?,
            control: map("control")?,
            totals: map("totals")?,
            process,
            host,
            program,
            events: Vec::new(),
            told,
            earlier: None,
            n_threads_unseen: 0,
            object,
        };
        faults.tell(told)?;
        faults.attach()?;
        let ticks = faults.host.start_time_ticks(process.pid);
        let is_same = ticks.context("looking at the process")? == process.start_time_ticks();
        ensure!(is_same, "process {} has ended", process.pid);
        faults.earlier = Some((Instant::now(), FaultTotals::default()));
        Ok(faults)
    }

    /// The ring buffer of records, which somebody should empty at least as often as [`Self::tend`]
    /// is called: it has room for 250.
    pub fn ring(&self) -> Result<MapHandle> {
        MapHandle::try_from(&self.samples).context("keeping the ring buffer of page faults")
    }

    /// Follows the rate of faults with the sampling. Wants to be called some four times a second.
    pub fn tend(&mut self) -> Result<()> {
        let (now, totals) = (Instant::now(), self.totals()?);
        let Some((at, before)) = self.earlier else {
            return Ok(());
        };
        let secs = now.duration_since(at).as_secs_f64();
        // Of less than that a rate would be chance.
        if secs < 0.1 {
            return Ok(());
        }
        self.earlier = Some((now, totals));
        let tried = |totals: FaultTotals| totals.sampled + totals.lost;
        let per_sec = tried(totals).saturating_sub(tried(before)) as f64 / secs;
        let next = next_sampling_bytes(self.told.sampling_bytes, self.told.page_bytes, per_sec);
        if next != self.told.sampling_bytes {
            self.tell(Told {
                sampling_bytes: next,
                ..self.told
            })?;
        }
        Ok(())
    }

    /// What of the sampled memory still holds what was put there: what was given back, or is a
    /// page of a file, is not among it. Nothing stands of a process that runs another program now;
    /// an error if it has ended.
    ///
    /// Takes about a microsecond a sample, of which there are 32768 at the most.
    pub fn standing(&self) -> Result<Vec<Standing>> {
        let mut touched = Vec::new();
        table::read(
            &self.pages,
            After::Keep,
            &mut |address: &u64, page: &FaultPage| {
                touched.push((*address, *page));
            },
        )
        .context("reading the pages that were touched")?;
        let pid = self.process.pid;
        let is_same = || -> io::Result<bool> {
            Ok(
                self.host.start_time_ticks(pid)? == self.process.start_time_ticks()
                    && self.host.program_of(pid)? == self.program,
            )
        };
        if !is_same().context("looking at the process")? {
            return Ok(Vec::new());
        }
        standing::of(&self.host, pid, self.told.page_bytes, touched)
            .context("reading which pages still stand")
    }

    /// What has been seen so far.
    pub fn totals(&self) -> Result<FaultTotals> {
        let each_cpu = self
            .totals
            .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)
            .context("reading the totals of page faults")?
            .unwrap_or_default();
        let sum = |field: usize| -> u64 {
            let of_cpu = each_cpu.iter().filter_map(|bytes| {
                let bytes = bytes.get(field * 8..field * 8 + 8)?;
                Some(u64::from_ne_bytes(bytes.try_into().ok()?))
            });
            of_cpu.sum()
        };
        Ok(FaultTotals {
            events: sum(0),
            sampled: sum(1),
            lost: sum(2) + sum(3),
            without_registers: sum(4),
            threads_unseen: self.n_threads_unseen as u64,
        })
    }

    /// Keeps to one sampling: one byte in so many, a power of two. For tests, until the next
    /// [`Self::tend`].
    pub fn sample_one_byte_in(&mut self, sampling_bytes: u64) -> Result<()> {
        self.tell(Told {
            sampling_bytes: sampling_bytes.max(self.told.page_bytes).next_power_of_two(),
            ..self.told
        })
    }

    fn tell(&mut self, told: Told) -> Result<()> {
        self.control
            .update(&0u32.to_ne_bytes(), &told.to_bytes(), MapFlags::ANY)
            .context("telling the program the sampling")?;
        self.told = told;
        Ok(())
    }

    /// Gives each thread an event. A thread that one with an event starts inherits it, so that
    /// none may be given a second one: if some have begun meanwhile, it is done once more.
    fn attach(&mut self) -> Result<()> {
        let pid = self.process.pid;
        for _ in 0..MAX_TRIES {
            self.events.clear();
            let threads = Threads::of(&self.host, pid).context("listing the threads")?;
            self.n_threads_unseen = threads.n_over;
            for thread in &threads.ids {
                match self.open(*thread) {
                    Ok(event) => self.events.push(event),
                    Err(error) if is(&error, Errno::SRCH) => continue,
                    Err(error) if is(&error, Errno::ACCESS) || is(&error, Errno::PERM) => {
                        return Err(self.refusal(&error));
                    }
                    Err(error) => return Err(error).context("opening a perf event"),
                }
            }
            let n_new = Threads::of(&self.host, pid)
                .context("listing the threads")?
                .n_not_in(&threads);
            self.n_threads_unseen += n_new;
            if n_new == 0 || threads.n_over > 0 {
                break;
            }
        }
        ensure!(!self.events.is_empty(), "process {pid} has ended");
        Ok(())
    }

    /// What to do about a kernel that does not let us sample. Debian and Ubuntu have levels of their
    /// own above the kernel's, at which only CAP_SYS_ADMIN helps.
    fn refusal(&self, error: &io::Error) -> Error {
        match self.host.perf_event_paranoid() {
            Some(level) if level > MOST_PARANOID => anyhow!(
                "page faults are hidden from memleakd while kernel.perf_event_paranoid is {level}: \"sysctl kernel.perf_event_paranoid={MOST_PARANOID}\" shows them"
            ),
            _ => anyhow!(
                "memleakd may not sample page faults ({error}): it needs the capability CAP_PERFMON; run it as root or by its unit"
            ),
        }
    }

    /// An event of one thread and those that it starts, which runs the program from now on.
    fn open(&self, thread: i32) -> io::Result<OwnedFd> {
        let program = self.object.progs_mut().next();
        let program = program.ok_or_else(|| io::Error::other("the BPF object has no program"))?;
        // Before 5.13 children inherit it too, and the program tells them by their memory.
        let event = match perf_event_open(thread, true) {
            Err(error) if is(&error, Errno::INVAL) => perf_event_open(thread, false)?,
            opened => opened?,
        };
        ioctl(&event, SET_BPF, program.as_fd().as_raw_fd())?;
        ioctl(&event, ENABLE, 0)?;
        Ok(event)
    }
}

impl Host {
    /// What perf events are kept from whom: the sysctl of this name, where there is one.
    pub fn perf_event_paranoid(&self) -> Option<i32> {
        let level = self.read(Path::new("proc/sys/kernel/perf_event_paranoid"));
        String::from_utf8_lossy(&level.ok()?).trim().parse().ok()
    }
}

fn perf_event_open(thread: i32, threads_only: bool) -> io::Result<OwnedFd> {
    let mut about = perf_event_attr {
        type_: PERF_TYPE_SOFTWARE,
        size: size_of::<perf_event_attr>() as u32,
        config: PERF_COUNT_SW_PAGE_FAULTS_MIN.into(),
        ..perf_event_attr::default()
    };
    about.__bindgen_anon_1.sample_period = 1;
    about.set_disabled(1);
    about.set_inherit(1);
    about.set_inherit_thread(threads_only.into());
    let (any_cpu, no_group) = (-1, -1);
    // SAFETY: the kernel reads `size` bytes of the attributes, which are initialized and outlive
    // the call, and gives back a number.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const about,
            thread,
            any_cpu,
            no_group,
            libc::c_ulong::from(PERF_FLAG_FD_CLOEXEC),
        )
    };
    let fd = i32::try_from(opened).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn ioctl(event: &OwnedFd, request: libc::Ioctl, argument: i32) -> io::Result<()> {
    // SAFETY: both requests take a number, no pointer.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), request, argument) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    #[test]
    fn bounds_are_those_of_the_program() {
        let source = include_str!("../../bpf/fault.bpf.c");
        assert!(source.contains("#define MAX_PAGES (32 << 10)"));
        assert!(source.contains("#define RING_BYTES (4 << 20)"));
    }
}
