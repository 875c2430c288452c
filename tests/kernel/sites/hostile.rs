//! Programs that are made to give trouble: files that are not what they say, and too much of all.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use object::{Object, ObjectSection};

use super::changes::{Host, ends_well};
use super::programs::{compile, run};
use super::*;

/// How a library is spoilt.
type Spoil = fn(&mut Vec<u8>, &dyn Fn(&str) -> Range<usize>);

/// What a program runs by, the loader's tables, stays as it is.
const SPOILT: [(&str, Spoil); 12] = [
    ("unwinding of ones", |file, of| {
        file[of(".eh_frame")].fill(0xff);
    }),
    ("unwinding of noughts", |file, of| {
        file[of(".eh_frame")].fill(0);
    }),
    ("unwinding by chance", |file, of| {
        scramble(&mut file[of(".eh_frame")], 0);
    }),
    ("unwinding of lengths that are wrong", |file, of| {
        for word in file[of(".eh_frame")].chunks_exact_mut(4).step_by(6) {
            word.copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
        }
    }),
    ("a table of unwinding without end", |file, of| {
        let range = of(".eh_frame_hdr");
        file[range.start + 4..range.end].fill(0xff);
    }),
    ("no section headers where they are to be", |file, _| {
        file[40..48].copy_from_slice(&(1_u64 << 62).to_le_bytes());
        file[58..64].fill(0xff);
    }),
    ("section headers by chance", |file, _| {
        let start: [u8; 8] = file[40..48].try_into().expect("eight bytes");
        let start = u64::from_le_bytes(start) as usize;
        scramble(&mut file[start..], 0);
    }),
    ("symbols of ones", |file, of| {
        file[of(".symtab")].fill(0xff);
    }),
    ("symbols without ends", |file, of| {
        file[of(".strtab")].fill(b'a');
    }),
    ("names that command terminals", |file, of| {
        let names = &mut file[of(".strtab")];
        let name = b"plugin_leak";
        let at = names.windows(name.len()).position(|bytes| bytes == name);
        let at = at.expect("the name");
        names[at..at + name.len()].copy_from_slice(b"\x1b[31m\x1b[2J\r\n");
    }),
    ("a build id longer than the file", |file, of| {
        let range = of(".note.gnu.build-id");
        file[range][..8].fill(0xff);
    }),
    ("debugging information by chance", |file, of| {
        for name in [
            ".debug_info",
            ".debug_abbrev",
            ".debug_line",
            ".debug_str",
            ".debug_aranges",
        ] {
            scramble(&mut file[of(name)], 12);
        }
    }),
];

/// Bytes that look like chance, from some byte on.
fn scramble(bytes: &mut [u8], from: usize) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in &mut bytes[from..] {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
}

fn spoil(good: &Path, bad: &Path, spoil: Spoil) {
    let mut file = fs::read(good).expect("a library");
    let elf = file.clone();
    let elf = object::File::parse(&elf[..]).expect("an ELF file");
    spoil(&mut file, &|name| {
        let section = elf.section_by_name(name);
        let range = section.and_then(|section| section.file_range());
        let (start, length) = range.unwrap_or_else(|| panic!("no {name}"));
        start as usize..(start + length) as usize
    });
    fs::write(bad, file).expect("a file");
}

/// Captures all of them at once. The library that leaks is told of, whatever is wrong with it.
fn captured_all(stage: &Stage, started: &[(&str, Leaking)]) {
    thread::scope(|scope| {
        for (title, leaking) in started {
            scope.spawn(move || {
                let began = Instant::now();
                let capture = stage.capture(leaking.pid(), "3s");
                eprintln!("{title}: {:?}", began.elapsed());
                assert!(began.elapsed() < Duration::from_secs(20), "{title}");
                ends_well(&capture);
                let capture = capture.unwrap_or_else(|error| panic!("{title}: {error}"));
                let sites = capture["sites"].as_array().expect("a list");
                let is_plugin = |site: &&Value| {
                    let module = site["frames"][0]["module"].as_str().unwrap_or_default();
                    module.contains("libplugin")
                };
                let found = sites.iter().find(is_plugin);
                assert!(found.is_some(), "{title}: {}", told(&capture));
            });
        }
    });
}

#[test]
#[ignore = "needs root and BTF"]
fn files_that_are_not_what_they_say_cost_names_only() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let at = directory.path();
    let arguments = ["-g", "-Wl,--build-id=sha1"];
    let host = Host::build(at, &arguments);
    let program = at.join("host");
    let stage = Stage::set("");
    for some in SPOILT.chunks(4) {
        let started: Vec<_> = some
            .iter()
            .enumerate()
            .map(|(index, (title, how))| {
                let bad = at.join(format!("libplugin{index}.so"));
                spoil(&host.plugin, &bad, *how);
                (*title, Host::start_with(&program, &bad))
            })
            .collect();
        captured_all(&stage, &started);
        drop(started);
        stage.is_as_before();
    }
}

#[test]
#[ignore = "needs root and BTF"]
fn files_that_are_cut_short_or_never_end_cost_names_only() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let at = directory.path();
    let program = Host::build(at, &["-g"]);
    let stage = Stage::set("");

    // What the program has mapped stays, and nothing else.
    let short = at.join("libplugin-short.so");
    fs::copy(&program.plugin, &short).expect("a copy");
    let cut = Host::start_with(&at.join("host"), &short);
    let headers = programs::succeed(Command::new("readelf").arg("-lW").arg(&short));
    let number = |text: &str| u64::from_str_radix(&text[2..], 16).expect("a number");
    let ends = headers.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words.first() == Some(&"LOAD")).then(|| number(words[1]) + number(words[4]))
    });
    let end = ends.max().expect("a segment");
    let file = fs::File::options()
        .write(true)
        .open(&short)
        .expect("a file");
    file.set_len(end).expect("a shorter file");

    // The debug file that it names is a pipe that nobody writes to.
    let linked = at.join("libplugin-linked.so");
    let debug = at.join("plugin.debug");
    fs::write(&debug, "for its checksum").expect("a file");
    let link = format!("--add-gnu-debuglink={}", debug.display());
    programs::succeed(
        Command::new("objcopy")
            .args(["--strip-all", &link])
            .args([&program.plugin, &linked]),
    );
    fs::remove_file(&debug).expect("a file");
    programs::succeed(Command::new("mkfifo").arg(&debug));
    let piped = Host::start_with(&at.join("host"), &linked);

    captured_all(
        &stage,
        &[("cut short", cut), ("debug file is a pipe", piped)],
    );
    stage.is_as_before();
}

#[test]
#[ignore = "needs root and BTF"]
fn ten_thousand_stacks_and_a_hundred_threads_stay_within_bounds() {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let at = directory.path();
    let paths = compile(at, "cc", "paths.c", "paths", &[]);
    let threads = compile(at, "cc", "threads.c", "threads", &["-pthread"]);
    let stage = Stage::set("");
    for (title, leaking) in [
        ("stacks", Leaking::start(&mut run(&paths))),
        ("threads", Leaking::start(run(&threads).arg("100"))),
    ] {
        let began = Instant::now();
        let (capture, most_kib) = capture_and_weigh(&stage, leaking.pid());
        eprintln!("{title}: {:?}, {most_kib} KiB", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(30), "{title}");
        ends_well(&capture);
        let capture = capture.unwrap_or_else(|error| panic!("{title}: {error}"));
        let n_sites = capture["sites"].as_array().map_or(0, Vec::len);
        assert!(
            (1..=1000).contains(&n_sites),
            "{title}: {n_sites}: {}",
            told(&capture)
        );
        assert!(most_kib <= 32 << 10, "{title}: {most_kib} KiB");
        drop(leaking);
        stage.is_as_before();
    }
}

/// Captures a process, and returns with it how much memory of their own the processes of the
/// daemon's have taken at the most, in KiB.
fn capture_and_weigh(stage: &Stage, pid: u32) -> (Result<Value, String>, u64) {
    let is_over = AtomicBool::new(false);
    let daemon = stage.pid();
    thread::scope(|scope| {
        let weighing = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = children(daemon)
                    .iter()
                    .map(|pid| own_kib(pid))
                    .sum::<u64>()
                    .max(most);
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        let capture = stage.capture(pid, TIME);
        is_over.store(true, Ordering::Relaxed);
        (capture, weighing.join().expect("a weight"))
    })
}

/// 0 if it has ended.
fn own_kib(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0)
}
