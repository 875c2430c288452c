//! Programs that stop in the middle of a chain of calls, and their stacks.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use memleakd::site::{Frame, Site, Sites};
use memleakd::stacks::Resolver;
use memleakd::stacks::wire::{STACK_BYTES_MAX, Standing};

pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The program that is tested.
pub fn memleakd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_memleakd"))
}

/// A program of tests/programs, and what it is compiled with.
pub fn compile(source: &str, name: &str, compiler: &str, arguments: &[&str]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stacks");
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join(name);
    run(Command::new(compiler)
        .args(["-O2", "-o"])
        .arg(&path)
        .arg(path_of(source))
        .args(arguments));
    path
}

pub fn path_of(source: &str) -> PathBuf {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    programs.join(source)
}

pub fn run(command: &mut Command) {
    let status = command.status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// The line of a program that has a mark.
pub fn line_of(source: &str, mark: &str) -> u32 {
    let text = std::fs::read_to_string(path_of(source)).expect("a source");
    let mark = format!("line: {mark}");
    let mut lines = text.lines().enumerate();
    let found = lines.find(|(_, line)| line.trim_end_matches(" */").ends_with(&mark));
    let (at, _) = found.unwrap_or_else(|| panic!("{source} has no {mark}"));
    u32::try_from(at).expect("short") + 1
}

/// A program that has stopped where it takes.
pub struct Taken {
    child: Child,
    /// A record, but for its number, of 100 bytes.
    pub record: Vec<u8>,
}

impl Taken {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut line = String::new();
        let output = child.stdout.as_mut().expect("a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("registers");
        let registers: Vec<u64> = line
            .split_whitespace()
            .map(|word| u64::from_str_radix(word, 16).expect("a number"))
            .collect();
        let [ip, sp, fp] = registers[..] else {
            panic!("{command:?} says {line:?}")
        };
        let stack = stack_of(child.id(), sp);
        let record = record(0, [100, 100], [ip, sp, fp], &stack);
        Self { child, record }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on to its end.
    pub fn end(mut self) {
        let mut input = self.child.stdin.take().expect("a pipe");
        input.write_all(b"\n").expect("it waits");
        drop(input);
        self.child.wait().expect("it ends");
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A record as the kernel makes it: what was asked for and one byte in how many is sampled, and
/// the registers.
pub fn record(id: u64, [bytes, sampling]: [u64; 2], registers: [u64; 3], stack: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    let [ip, sp, fp] = registers;
    let kind_and_length = (stack.len() as u64) << 32;
    for word in [id, 1, bytes, sampling, ip, sp, fp, ip, kind_and_length] {
        record.extend(word.to_le_bytes());
    }
    record.extend(stack);
    record
}

/// As much of a stack as there is.
fn stack_of(pid: u32, sp: u64) -> Vec<u8> {
    let memory = File::open(format!("/proc/{pid}/mem")).expect("a child's memory");
    let mut stack = Vec::new();
    let mut page = sp;
    while stack.len() < STACK_BYTES_MAX {
        let mut bytes = vec![0; (4096 - page % 4096) as usize];
        if memory.read_exact_at(&mut bytes, page).is_err() {
            break;
        }
        stack.extend(&bytes);
        page += bytes.len() as u64;
    }
    stack.truncate(STACK_BYTES_MAX);
    stack
}

/// What the resolver makes of one block that stands.
pub fn resolve(taken: &Taken) -> Sites {
    let mut resolver = Resolver::start(memleakd(), taken.pid()).expect("a resolver");
    resolver.sample(&taken.record).expect("a sample");
    stand(&mut resolver);
    resolver.finish(0, TIMEOUT).expect("sites")
}

pub fn stand(resolver: &mut Resolver) {
    let standing = [Standing {
        id: 0,
        age_ns: 1,
        bytes: 0,
    }];
    resolver.window(1.0, &standing, &[]).expect("a window");
}

/// The functions of a site, inlined ones in brackets, as far as the outermost that is named.
pub fn functions(site: &Site) -> Vec<String> {
    let name = |frame: &Frame| match (&frame.function, frame.inlined) {
        (Some(function), true) => format!("[{function}]"),
        (Some(function), false) => function.clone(),
        (None, _) => format!("? {:?}", frame.unknown),
    };
    site.frames.iter().map(name).collect()
}

pub fn only(sites: Sites) -> Site {
    assert_eq!(sites.sites.len(), 1, "{sites:#?}");
    assert_eq!(sites.loss, Vec::<String>::new());
    sites.sites.into_iter().next().expect("one")
}
