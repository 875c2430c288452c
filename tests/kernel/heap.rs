//! The heap measuring, held against what programs know of their own heaps.

pub mod allocators;
mod causes;
mod counting;
mod limits;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use memleakd::collect::{Capture, Listen, Listener, Prober};
use memleakd::config::Returns;
use memleakd::sample::ProcessId;
use memleakd::site::Sites;
use memleakd::stacks::wire::{Class, Standing};

use crate::stage::{Running, eventually};

/// Who asks for captures.
const ROOT: u32 = 0;

/// One for all tests, as programs are loaded once and for all.
static PROBER: LazyLock<Prober> = LazyLock::new(|| start(env!("CARGO_BIN_EXE_memleakd")));

/// Stacks are sampled in each capture, which must not change what is counted. Here nobody cares
/// where they are from.
fn start(exe: &str) -> Prober {
    let listen: Listen = Arc::new(|_, _| Ok(Box::new(Indifferent) as Box<dyn Listener>));
    Prober::start_with(exe.into(), Returns::Auto, listen).expect("a thread")
}

struct Indifferent;

impl Listener for Indifferent {
    fn sample(&mut self, _: &[u8]) -> anyhow::Result<()> {
        Ok(())
    }

    fn window(&mut self, _: f64, _: &[Standing], _: &[Class]) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _: u64, _: Duration) -> anyhow::Result<Sites> {
        Ok(Sites::default())
    }
}

/// Programs that have been compiled by this run.
static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Compiles a program of tests/programs in a way of its own, under a name of its own.
pub fn build(name: &str, sources: &[&str], compiler: &str, arguments: &[&str]) -> PathBuf {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("heap-{name}"));
    let mut built = BUILT.lock().expect("no test fails in here");
    if !built.insert(name.to_owned()) {
        return path;
    }
    let status = Command::new(compiler)
        // Or the compiler leaves out pairs of malloc and free.
        .args([
            "-O2",
            "-fno-builtin",
            "-Wno-alloc-size-larger-than",
            "-pthread",
            "-o",
        ])
        .arg(&path)
        .args(sources.iter().map(|source| programs.join(source)))
        .args(arguments)
        .status()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(status.success(), "{sources:?} {arguments:?}");
    path
}

/// A program that answers each line that it is told with a line.
pub struct Program {
    pub running: Running,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(command);
        let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let mut program = Self { running, output };
        assert_eq!(program.hear(), "ready");
        program
    }

    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    pub fn tell(&mut self, line: &str) {
        let input = self.running.0.stdin.as_mut().expect("a pipe");
        writeln!(input, "{line}").expect("it reads");
    }

    /// The numbers of its answer, by the words before them.
    pub fn ask(&mut self, line: &str) -> Answer {
        self.tell(line);
        Answer(self.hear())
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub fn process(&self) -> ProcessId {
        process_id(self.pid())
    }

    pub fn has_probes(&self) -> bool {
        has_probes(self.pid())
    }
}

#[derive(Debug)]
pub struct Answer(String);

impl Answer {
    pub fn number(&self, name: &str) -> i64 {
        let mut words = self.0.split(' ').skip_while(|word| *word != name);
        let number = words.nth(1).and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("{name} of {:?}", self.0))
    }
}

fn process_id(pid: u32) -> ProcessId {
    let ticks: u64 = crate::stage::start_time(pid).parse().expect("a number");
    ProcessId {
        pid,
        start_time_ns: ticks * 10_000_000,
    }
}

/// Whether there are breakpoints in a process: its code is other than in the files that it is of.
fn has_probes(pid: u32) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let (Ok(maps), Ok(memory)) = (
        fs::read_to_string(process.join("maps")),
        File::open(process.join("mem")),
    ) else {
        return false;
    };
    maps.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [range, "r-xp", offset, _, _, path] = words[..] else {
            return false;
        };
        let number = |text| u64::from_str_radix(text, 16).expect("a number");
        let (start, end) = range.split_once('-').expect("a range");
        let length = (number(end) - number(start)) as usize;
        let (mut here, mut there) = (vec![0; length], vec![0; length]);
        // What is no file, or not so long, is not compared.
        let file = File::open(path).and_then(|file| file.read_at(&mut there, number(offset)));
        let read = memory.read_at(&mut here, number(start));
        match (file, read) {
            (Ok(a), Ok(b)) => here[..a.min(b)] != there[..a.min(b)],
            _ => false,
        }
    })
}

/// Captures programs for a time, and has them do something in it.
fn capture(
    programs: &mut [Program],
    time: Duration,
    mut act: impl FnMut(usize, &mut Program),
) -> Vec<Capture> {
    let begun = programs.iter().map(|program| {
        let id = PROBER.capture(program.process(), time, ROOT);
        (id.expect("room for a capture"), program.pid())
    });
    let begun: Vec<_> = begun.collect();
    for (_, pid) in &begun {
        eventually("a probe", || has_probes(*pid));
    }
    // One was seen, the others follow.
    thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    for (index, program) in programs.iter_mut().enumerate() {
        act(index, program);
    }
    let took = started.elapsed();
    let captures = begun.iter().map(|(id, _)| captured(&PROBER, *id));
    let captures: Vec<_> = captures.map(|done| done.expect("a capture")).collect();
    let shortest = captures.iter().map(|capture| capture.secs).reduce(f64::min);
    let room = shortest.expect("a capture") - 0.3;
    assert!(took.as_secs_f64() < room, "{took:?} of {room} s");
    captures
}

/// Waits for what has come of a capture.
pub fn captured(prober: &Prober, id: u64) -> Result<Capture, String> {
    let mut done = None;
    eventually("a capture", || {
        done = prober.captured(id, ROOT);
        done.is_some()
    });
    done.expect("a result")
}
