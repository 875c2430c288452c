//! Allocators of real programs. What is found is held against nm, readelf and objdump.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Instant;

use memleakd::collect::{Absent, Allocator, Cost, Function, Host, Method};
use tempfile::TempDir;

use crate::stage::Running;

const MAPPING: [Function; 3] = [Function::Mmap, Function::Munmap, Function::Mremap];

/// A copy of the program, linked in some way, in a directory of its own.
struct Built {
    directory: TempDir,
    path: PathBuf,
}

fn build(compiler: &str, arguments: &[&str]) -> Built {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("idle_heap");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/idle_heap.c");
    let status = Command::new(compiler)
        .arg("-O2")
        .arg("-o")
        .arg(&path)
        .arg(source)
        .args(arguments)
        .status()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(status.success(), "{compiler} {arguments:?}");
    Built { directory, path }
}

struct Idle {
    running: Running,
    output: BufReader<ChildStdout>,
}

impl Idle {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(command);
        let output = BufReader::new(running.0.stdout.take().expect("a pipe"));
        let mut idle = Self { running, output };
        idle.says("ready");
        idle
    }

    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        assert_eq!(line.trim_end(), expected);
    }

    fn allocators(&self) -> Result<Vec<Allocator>, Absent> {
        Host::new("/")
            .allocators(self.running.pid())
            .expect("a running process")
    }
}

/// Where a library of this machine is, by the linker's own list.
fn library(name: &str) -> PathBuf {
    let list = output("ldconfig", &["-p"]);
    let line = list.lines().find(|line| {
        let is_64_bit = line.contains("x86-64") || line.contains("AArch64");
        is_64_bit && line.trim_start().starts_with(&format!("{name} "))
    });
    let path = line.and_then(|line| line.split_once("=> "));
    let path = path.unwrap_or_else(|| panic!("{name} is not installed")).1;
    fs::canonicalize(path).expect("a library")
}

/// Where a program finds a library, links not followed.
fn library_of(program: &Path, name: &str) -> String {
    let list = output("ldd", &[program.to_str().expect("a path")]);
    let line = list
        .lines()
        .find(|line| line.contains(name))
        .expect("a line");
    let path = line.split_whitespace().nth(2).expect("a path");
    path.to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file as binutils see it.
struct Truth {
    addresses: BTreeMap<String, u64>,
    /// Address, offset and length of the executable segments.
    segments: Vec<(u64, u64, u64)>,
    /// Instructions by address.
    code: BTreeMap<u64, String>,
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a number")
}

/// What the manual pages say of each, without flags and alignments behind sizes.
fn n_arguments(function: Function) -> usize {
    use Function::{Free, Malloc, Mmap, Mremap, PosixMemalign, Pvalloc, Reallocarray, Valloc};
    match function {
        Malloc | Free | Valloc | Pvalloc => 1,
        PosixMemalign | Reallocarray => 3,
        Mremap => 5,
        Mmap => 6,
        _ => 2,
    }
}

impl Truth {
    fn of(path: &Path) -> Self {
        let path = path.to_str().expect("a path");
        let mut addresses = BTreeMap::new();
        for arguments in [
            &["-D", "--defined-only", path][..],
            &["--defined-only", path],
        ] {
            for line in output("nm", arguments).lines() {
                if let [address, kind, name] = line.split(' ').collect::<Vec<_>>()[..]
                    && ["T", "W", "t"].contains(&kind)
                {
                    let name = name.split('@').next().expect("a name");
                    addresses.insert(name.to_owned(), number(address));
                }
            }
        }
        let headers = output("readelf", &["-lW", path]);
        let segments = headers.lines().filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let is_code = words.first() == Some(&"LOAD") && words.contains(&"E");
            is_code.then(|| (number(words[2]), number(words[1]), number(words[4])))
        });
        let listing = output("objdump", &["-d", "--no-show-raw-insn", path]);
        let code = listing.lines().filter_map(|line| {
            let (address, instruction) = line.split_once(":\t")?;
            Some((number(address.trim()), instruction.trim().to_owned()))
        });
        Self {
            addresses,
            segments: segments.collect(),
            code: code.collect(),
        }
    }

    fn address(&self, offset: u64) -> u64 {
        let into =
            |&&(_, start, length): &&(u64, u64, u64)| (start..start + length).contains(&offset);
        let (address, start, _) = self.segments.iter().find(into).expect("code");
        offset - start + address
    }

    /// Holds probes against the instructions at and before them.
    fn check(&self, allocator: &Allocator) {
        let mut offsets = BTreeSet::new();
        for probe in &allocator.probes {
            assert!(offsets.insert(probe.offset), "twice: {probe:?}");
            let start = self.address(probe.entry_offset);
            assert_eq!(self.addresses.get(&probe.symbol), Some(&start), "{probe:?}");
            let end = self.address(probe.offset);
            let at = self
                .code
                .get(&end)
                .unwrap_or_else(|| panic!("no instruction: {probe:?}"));
            let word = at.split_whitespace().next().expect("a mnemonic");
            let is_emulated = ["push", "nop", "call"].contains(&word)
                || word.starts_with('j') && !at.contains('*');
            assert_eq!(is_emulated, probe.cost == Cost::Emulated, "{probe:?}: {at}");
            if probe.cost == Cost::Stepped {
                assert_eq!(probe.offset, probe.entry_offset, "{probe:?}");
            }
            for (_, before) in self.code.range(start..end) {
                let word = before.split_whitespace().next().expect("a mnemonic");
                let moves_on = ["push", "pop", "call", "ret", "syscall", "leave"].contains(&word);
                assert!(!moves_on && !word.starts_with('j'), "{probe:?}: {before}");
                let written = before.rsplit([',', ' ']).next().expect("an operand");
                let is_read_only = ["test", "cmp"].iter().any(|name| word.starts_with(name));
                let registers = [
                    "%rsp",
                    "%rdi %edi",
                    "%rsi %esi",
                    "%rdx %edx",
                    "%rcx %ecx",
                    "%r8 %r8d",
                    "%r9 %r9d",
                ];
                let n_needed = 1 + n_arguments(probe.function);
                let mut needed = registers[..n_needed]
                    .iter()
                    .flat_map(|names| names.split(' '));
                assert!(
                    is_read_only || !needed.any(|name| name == written),
                    "{probe:?}: {before}"
                );
            }
        }
    }

    /// Every distinct place of these functions that does not only jump to another of them.
    fn places(&self, names: &[&str]) -> BTreeSet<u64> {
        let addresses = names.iter().filter_map(|name| self.addresses.get(*name));
        let all: BTreeSet<u64> = addresses.copied().collect();
        let is_seen_elsewhere = |address: &u64| {
            let first = self.code.get(address).expect("an instruction");
            let target = first.strip_prefix("jmp").map(str::trim_start);
            let target = target.and_then(|target| target.split(' ').next());
            let target = target.and_then(|target| u64::from_str_radix(target, 16).ok());
            target.is_some_and(|target| target != *address && all.contains(&target))
        };
        let kept = all.iter().filter(|address| !is_seen_elsewhere(address));
        kept.copied().collect()
    }
}

fn entries(allocator: &Allocator, truth: &Truth, are_mapping: bool) -> BTreeSet<u64> {
    let probes = allocator.probes.iter();
    let of_kind = probes.filter(|probe| MAPPING.contains(&probe.function) == are_mapping);
    of_kind
        .map(|probe| truth.address(probe.entry_offset))
        .collect()
}

const STANDARD: &str =
    "malloc calloc realloc free cfree memalign aligned_alloc posix_memalign valloc pvalloc";

/// Holds an allocator against the file that it is in. `names` are what is to be probed there.
fn check(idle: &Idle, allocator: &Allocator, file: &Path, names: &str) {
    let truth = Truth::of(file);
    truth.check(allocator);
    let names: Vec<_> = names.split(' ').collect();
    assert_eq!(
        entries(allocator, &truth, false),
        truth.places(&names),
        "{allocator:#?}"
    );
    assert_eq!(allocator.skipped, [""; 0]);

    let opened = fs::metadata(&allocator.path).expect("can be opened");
    let expected = fs::metadata(file).expect("is there");
    assert_eq!(
        (opened.dev(), opened.ino()),
        (expected.dev(), expected.ino())
    );
    assert_eq!(allocator.file.inode, expected.ino());

    let maps = fs::read_to_string(format!("/proc/{}/maps", idle.running.pid())).expect("maps");
    let of_file = format!(" {} ", expected.ino());
    let line = maps
        .lines()
        .find(|line| line.contains(&of_file) && line.contains("r-xp"));
    let (range, _) = line.expect("code").split_once(' ').expect("a range");
    let (start, end) = range.split_once('-').expect("a range");
    assert_eq!(allocator.text, number(start)..number(end));
}

#[test]
#[ignore = "needs root"]
fn the_hosts_libc_is_found_and_probed_where_it_is_cheap() {
    let built = build("cc", &[]);
    let idle = Idle::start(&mut Command::new(&built.path));
    let started = Instant::now();
    let allocators = idle.allocators().expect("an allocator");
    eprintln!("found in {:?}", started.elapsed());
    let [glibc] = &allocators[..] else {
        panic!("{allocators:#?}")
    };
    let version = output("getconf", &["GNU_LIBC_VERSION"]);
    assert_eq!(glibc.name, version.trim());
    assert_eq!(glibc.method, Method::Header);
    let file = library("libc.so.6");
    assert_eq!(glibc.shown_path, file.to_str().expect("a path"));
    check(&idle, glibc, &file, STANDARD);
    let truth = Truth::of(&file);
    let mapping = truth.places(&["mmap", "munmap", "mremap"]);
    assert_eq!(entries(glibc, &truth, true), mapping);
    for probe in &glibc.probes {
        eprintln!("{probe:x?}");
        let is_hot = [
            Function::Malloc,
            Function::Calloc,
            Function::Realloc,
            Function::Free,
        ];
        if cfg!(target_arch = "x86_64") && is_hot.contains(&probe.function) {
            assert_eq!(probe.cost, Cost::Emulated, "{probe:?}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn musl_is_found_shared_and_static() {
    for arguments in [&[][..], &["-static"]] {
        let built = build("musl-gcc", arguments);
        let idle = Idle::start(&mut Command::new(&built.path));
        let allocators = idle.allocators().expect("an allocator");
        let [musl] = &allocators[..] else {
            panic!("{allocators:#?}")
        };
        assert_eq!((musl.name.as_str(), musl.method), ("musl", Method::Map));
        let file = match arguments {
            [] => fs::canonicalize(format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH))
                .expect("musl"),
            _ => built.path.clone(),
        };
        check(&idle, musl, &file, &format!("{STANDARD} reallocarray"));
        assert!(!entries(musl, &Truth::of(&file), true).is_empty());
    }
}

/// Library, name, and what of it is probed besides malloc and its like.
const OTHERS: [(&str, &str, &[&str]); 4] = [
    (
        "libjemalloc.so.2",
        "jemalloc",
        &["mallocx", "rallocx", "dallocx", "sdallocx"],
    ),
    (
        "libtcmalloc_minimal.so.4",
        "tcmalloc",
        &["tc_malloc_skip_new_handler"],
    ),
    (
        "libtcmalloc.so.4",
        "tcmalloc",
        &["tc_malloc_skip_new_handler"],
    ),
    (
        "libmimalloc.so.2",
        "mimalloc",
        &[
            "mi_malloc_small",
            "mi_zalloc",
            "mi_zalloc_small",
            "mi_mallocn",
            "mi_rezalloc",
            "mi_recalloc",
            "mi_reallocn",
            "mi_reallocf",
            "mi_new_n",
            "mi_new_nothrow",
            "mi_new_aligned_nothrow",
            "mi_free_size",
            "mi_free_size_aligned",
            "mi_free_aligned",
            "mi_cfree",
            "mi_posix_memalign",
            "mi_memalign",
            "mi_valloc",
            "mi_pvalloc",
            "mi_aligned_alloc",
            "mi_reallocarray",
            "mi_malloc_aligned",
            "mi_malloc_aligned_at",
            "mi_zalloc_aligned",
            "mi_zalloc_aligned_at",
            "mi_calloc_aligned",
            "mi_calloc_aligned_at",
            "mi_realloc_aligned",
            "mi_realloc_aligned_at",
            "mi_rezalloc_aligned",
            "mi_rezalloc_aligned_at",
            "mi_recalloc_aligned",
            "mi_recalloc_aligned_at",
            "mi_heap_malloc",
            "mi_heap_zalloc",
            "mi_heap_malloc_small",
            "mi_heap_malloc_aligned",
            "mi_heap_zalloc_aligned",
        ],
    ),
];

/// All that a library defines of operator new and operator delete, as c++filt has it.
fn operators(truth: &Truth) -> Vec<&str> {
    let names = truth.addresses.keys().map(String::as_str);
    let is_operator = |name: &&str| {
        ["_Znw", "_Zna", "_Zdl", "_Zda"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    names.filter(is_operator).collect()
}

fn check_instead_of_libc(idle: &Idle, file: &Path, name: &str, more: &[&str]) {
    let allocators = idle.allocators().expect("an allocator");
    let heaps: Vec<_> = allocators
        .iter()
        .filter(|allocator| allocator.method != Method::Mapping)
        .collect();
    let [heap] = heaps[..] else {
        panic!("{allocators:#?}")
    };
    assert_eq!((heap.name.as_str(), heap.method), (name, Method::Map));
    let truth = Truth::of(file);
    let mut names = vec![STANDARD, "reallocarray"];
    names.extend(operators(&truth));
    names.extend(more);
    check(idle, heap, file, &names.join(" "));
    // libc's malloc is called by nobody, its mmap is (tcmalloc has one of its own).
    let mappers: Vec<_> = allocators
        .iter()
        .filter(|allocator| {
            allocator
                .probes
                .iter()
                .any(|probe| probe.function == Function::Mmap)
        })
        .collect();
    let [mapper] = mappers[..] else {
        panic!("{allocators:#?}")
    };
    assert!(
        mapper.method == Method::Mapping || mapper.path == heap.path,
        "{mapper:#?}"
    );
}

#[test]
#[ignore = "needs root"]
fn preloaded_and_linked_allocators_are_found_in_the_place_of_libc() {
    let plain = build("cc", &[]);
    for (library_name, name, more) in OTHERS {
        let file = library(library_name);
        let path = file.to_str().expect("a path");
        let preloaded = Idle::start(Command::new(&plain.path).env("LD_PRELOAD", path));
        check_instead_of_libc(&preloaded, &file, name, more);
        let linked = build("cc", &["-Wl,--no-as-needed", path]);
        let linked = Idle::start(&mut Command::new(&linked.path));
        check_instead_of_libc(&linked, &file, name, more);
    }
}

#[test]
#[ignore = "needs root"]
fn what_comes_after_libc_is_called_by_its_own_names_only() {
    for (library_name, name, more) in OTHERS {
        let file = library(library_name);
        let path = file.to_str().expect("a path");
        let linked = build("cc", &["-Wl,--no-as-needed", "-lc", path]);
        let linked = Idle::start(&mut Command::new(&linked.path));
        let mut idles = vec![linked];
        if name != "jemalloc" {
            // That one refuses to be opened, for want of room for its thread-local storage.
            let opens = build("cc", &[&format!("-DOPENS=\"{path}\"")]);
            let mut opens = Idle::start(&mut Command::new(&opens.path));
            assert_eq!(opens.allocators().expect("libc").len(), 1);
            let input = opens.running.0.stdin.as_mut().expect("a pipe");
            input.write_all(b"\n").expect("it reads");
            opens.says("opened");
            idles.push(opens);
        }
        for idle in idles {
            let allocators = idle.allocators().expect("an allocator");
            let [glibc, other] = &allocators[..] else {
                panic!("{allocators:#?}")
            };
            assert_eq!(glibc.method, Method::Header);
            check(&idle, glibc, &library("libc.so.6"), STANDARD);
            assert_eq!((other.name.as_str(), other.method), (name, Method::Map));
            let truth = Truth::of(&file);
            truth.check(other);
            let found = entries(other, &truth, false);
            let expected = truth.places(more);
            assert!(found.is_superset(&expected), "{other:#?}");
            let is_own = |symbol: &str| {
                more.contains(&symbol) || symbol.starts_with("mi_") || symbol.starts_with("tc_")
            };
            assert!(
                other.probes.iter().all(|probe| is_own(&probe.symbol)),
                "{other:#?}"
            );
        }
    }
}

#[test]
#[ignore = "needs root"]
fn static_programs_are_found_by_their_symbols_or_not_at_all() {
    let built = build("cc", &["-static"]);
    let idle = Idle::start(&mut Command::new(&built.path));
    let allocators = idle.allocators().expect("an allocator");
    let [glibc] = &allocators[..] else {
        panic!("{allocators:#?}")
    };
    assert!(glibc.name.starts_with("glibc"), "{}", glibc.name);
    assert_eq!(glibc.method, Method::Header);
    check(&idle, glibc, &built.path, STANDARD);

    let stripped = build("cc", &["-static", "-s"]);
    let idle = Idle::start(&mut Command::new(&stripped.path));
    assert_eq!(idle.allocators(), Err(Absent::Unknown));
    // A kernel thread.
    let host = Host::new("/");
    assert_eq!(host.allocators(2).expect("kthreadd"), Err(Absent::NoCode));
    let ended = host.allocators(u32::MAX).expect_err("no process");
    assert_eq!(ended.kind(), std::io::ErrorKind::NotFound);
}

#[test]
#[ignore = "needs root"]
fn a_deleted_program_is_opened_all_the_same() {
    let built = build("cc", &["-static"]);
    let idle = Idle::start(&mut Command::new(&built.path));
    let kept = built.directory.path().join("kept");
    fs::hard_link(&built.path, &kept).expect("a link");
    fs::remove_file(&built.path).expect("its name");
    fs::write(&built.path, "another file").expect("room");
    let allocators = idle.allocators().expect("an allocator");
    assert_eq!(Some(allocators[0].shown_path.as_str()), built.path.to_str());
    check(&idle, &allocators[0], &kept, STANDARD);
}

#[test]
#[ignore = "needs root"]
fn a_process_in_another_mount_namespace_and_root_is_seen() {
    let built = build("cc", &["-fuse-ld=bfd"]);
    let root = built.directory.path().join("root");
    fs::create_dir(&root).expect("room");
    let script = "set -e; mount -t tmpfs none \"$1\"; cp \"$2\" \"$1/idle\"
        for file in $(ldd \"$2\" | grep -o '/[^ ]*'); do
            mkdir -p \"$1$(dirname $file)\"; cp \"$file\" \"$1$file\"
        done
        exec chroot \"$1\" /idle";
    let idle = Idle::start(
        Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
            .args([&root, &built.path]),
    );
    let here = fs::read_dir(&root).expect("a directory").count();
    assert_eq!(here, 0, "the files are seen from here too");
    let allocators = idle.allocators().expect("an allocator");
    let [glibc] = &allocators[..] else {
        panic!("{allocators:#?}")
    };
    let libc = library_of(&built.path, "libc.so.6");
    let inside = format!("/proc/{}/root{libc}", idle.running.pid());
    check(&idle, glibc, Path::new(&inside), STANDARD);
    let outside = fs::metadata(libc).expect("this machine's");
    assert_ne!(glibc.file.inode, outside.ino());
}

#[test]
#[ignore = "needs root"]
fn a_sanitizers_own_malloc_is_named_as_such() {
    let built = build("cc", &["-fsanitize=address"]);
    let idle = Idle::start(Command::new(&built.path).env("ASAN_OPTIONS", "detect_leaks=0"));
    let allocators = idle.allocators().expect("an allocator");
    assert_eq!(allocators[0].name, "AddressSanitizer");
    assert_eq!(allocators[0].method, Method::Map);
    let truth = Truth::of(&fs::canonicalize(&allocators[0].shown_path).expect("a file"));
    truth.check(&allocators[0]);
    let others: Vec<_> = allocators[1..].iter().map(|other| other.method).collect();
    assert!(
        others.iter().all(|method| *method == Method::Mapping),
        "{others:?}"
    );
}
