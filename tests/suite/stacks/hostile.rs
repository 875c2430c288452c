//! Files that lie, and resolvers that die: both cost what they were to tell, and nothing else.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memleakd::stacks::Resolver;
use memleakd::stacks::wire::Standing;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::taken::{TIMEOUT, Taken, compile, functions, memleakd, record, stand};

const N_BATCHES: u64 = 25;
const N_FILES: u64 = 60;

struct Mapping {
    child: Child,
    addresses: Vec<u64>,
}

impl Mapping {
    fn of(program: &Path, files: &[PathBuf]) -> Self {
        let mut child = Command::new(program)
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let addresses = output
            .lines()
            .take(files.len())
            .map(|line| u64::from_str_radix(&line.expect("an address"), 16).expect("a number"));
        let addresses = addresses.collect();
        Self { child, addresses }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Lies somewhere in a file: in its headers, at the ends of its sections, or anywhere.
fn spoil(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let sections = u64::from_le_bytes(bytes[40..48].try_into().expect("a header"));
    let sections = usize::try_from(sections).expect("a small file");
    let extremes = [
        0,
        1,
        0x7f,
        0xff,
        0xffff,
        u64::from(u32::MAX),
        1 << 40,
        u64::MAX,
        u64::MAX - 7,
    ];
    for _ in 0..random.random_range(1..8) {
        let within = match random.random_range(0..4) {
            0 => 16..64 + 56 * 13,
            1 => sections..bytes.len(),
            // Notes, tables and what else is small lie in the first and the third page.
            2 => 0x2000.min(bytes.len() - 9)..0x2400.min(bytes.len()),
            _ => 0..bytes.len(),
        };
        let at = random.random_range(within).min(bytes.len() - 8);
        match random.random_range(0..3) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            _ => {
                let extreme: u64 = extremes[random.random_range(0..extremes.len())];
                let n = [1, 2, 4, 8][random.random_range(0..4)];
                bytes[at..at + n].copy_from_slice(&extreme.to_le_bytes()[..n]);
            }
        }
    }
    if random.random_range(0..10) == 0 {
        bytes.truncate(random.random_range(64..bytes.len()));
    }
}

#[test]
fn spoiled_files_cost_names_and_no_more() {
    let maps = compile("maps.c", "maps", "gcc", &[]);
    let arguments = ["-g", "-pthread", "-DDEPTH=2", "-fomit-frame-pointer"];
    let compressed = [&arguments[..], &["-Wl,--compress-debug-sections=zlib"]].concat();
    let programs = [
        fs::read(compile("chain.c", "chain-to-spoil", "gcc", &arguments)).expect("a program"),
        fs::read(compile("chain.c", "chain-to-spoil-z", "gcc", &compressed)).expect("a program"),
    ];
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut n_named, mut n_ended) = (0, 0);
    for batch in 0..N_BATCHES {
        let directory = tempfile::tempdir().expect("a directory");
        let files: Vec<PathBuf> = (0..N_FILES)
            .map(|number| {
                let mut bytes = programs[(number % 2) as usize].clone();
                spoil(&mut bytes, &mut random);
                let path = directory.path().join(format!("{number}"));
                fs::write(&path, bytes).expect("room");
                path
            })
            .collect();
        let mapping = Mapping::of(&maps, &files);
        let started = Instant::now();
        let mut resolver = Resolver::start(memleakd(), mapping.child.id()).expect("a resolver");
        for (id, address) in mapping.addresses.iter().enumerate() {
            let mut code = || address + 0x1000 + random.random_range(0..0x600);
            let (ip, sp) = (code(), 0x7ffd_0000_0000);
            let words: Vec<u64> = (0..256)
                .map(|n| match n % 3 {
                    0 => code(),
                    1 => sp + 8 * n,
                    _ => 0,
                })
                .collect();
            let stack: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let record = record(id as u64, [100, 1], [ip, sp, sp + 64], &stack);
            resolver.sample(&record).expect("it listens");
        }
        let standing = |id| Standing {
            id,
            age_ns: 1,
            bytes: 0,
        };
        let standing: Vec<_> = (0..N_FILES).map(standing).collect();
        resolver.window(1.0, &standing, &[]).expect("it listens");
        let sites = resolver.finish(0, TIMEOUT).expect("an answer at least");
        assert_eq!(
            sites.sites.len() as u64,
            N_FILES,
            "{batch}: {:?}",
            sites.loss
        );
        assert!(started.elapsed() < Duration::from_secs(40), "{batch}");
        let is_named = |name: &String| !name.starts_with('?');
        n_named += sites
            .sites
            .iter()
            .filter(|site| functions(site).iter().any(is_named))
            .count();
        n_ended += u64::from(sites.loss.iter().any(|loss| loss.contains("the resolver")));
    }
    let n_files = usize::try_from(N_BATCHES * N_FILES).expect("few");
    println!("of {n_files} files, {n_named} have names; {n_ended} resolvers ended early");
    assert!(n_named > n_files / 4, "{n_named}");
    assert!(n_ended < N_BATCHES / 4, "{n_ended}");
}

#[test]
fn ten_thousand_stacks_are_resolved_in_seconds() {
    let program = compile(
        "chain.c",
        "chain-many",
        "gcc",
        &["-g", "-pthread", "-DDEPTH=40"],
    );
    let taken = Taken::start(&mut Command::new(&program));
    let maps = fs::read_to_string(format!("/proc/{}/maps", taken.pid())).expect("maps");
    let libc = maps
        .lines()
        .find(|line| line.contains("r-xp") && line.contains("libc"));
    let start = libc.and_then(|line| line.split('-').next()).expect("libc");
    let start = u64::from_str_radix(start, 16).expect("an address");
    let started = Instant::now();
    let mut resolver = Resolver::start(memleakd(), taken.pid()).expect("a resolver");
    for id in 0..10_000_u64 {
        let mut record = taken.record.clone();
        record[0..8].copy_from_slice(&id.to_le_bytes());
        record[32..40].copy_from_slice(&(start + 0x1000 + 16 * id).to_le_bytes());
        resolver.sample(&record).expect("it listens");
    }
    let standing: Vec<_> = (0..10_000)
        .map(|id| Standing {
            id,
            age_ns: 1,
            bytes: 0,
        })
        .collect();
    resolver.window(1.0, &standing, &[]).expect("it listens");
    let sites = resolver.finish(0, TIMEOUT).expect("sites");
    assert_eq!(sites.sites.len(), 100);
    // Some are on the same line of libc, if its debug file is there.
    let [further] = &sites.loss[..] else {
        panic!("{:?}", sites.loss)
    };
    let (_, rest) = further
        .split_once(" further sites with ")
        .expect("the rest");
    let rest: u64 = rest.trim_end_matches(" bytes").parse().expect("a number");
    let told: u64 = sites.sites.iter().map(|site| site.bytes).sum();
    assert_eq!(told + rest, 1_000_000);
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn what_a_resolver_has_answered_before_its_end_is_known() {
    let first = r#"echo '{"sites":[],"loss":["first"]}'"#;
    let second = r#"echo '{"sites":[],"loss":["second"]}'"#;
    let half = r#"printf '{"sites":[{"by'"#;
    let listen = "cat >/dev/null";
    let killed = "the resolver was killed by signal 7 (SIGBUS)";
    let late = "the resolver has not answered within 1 s";
    for (script, expected) in [
        (
            format!("{listen}; {first}; {second}"),
            Ok(vec!["second".to_owned()]),
        ),
        (
            format!("{listen}; {first}; {half}; kill -BUS $$"),
            Ok(vec!["first".to_owned(), format!("better names: {killed}")]),
        ),
        (
            format!("{listen}; {half}; kill -BUS $$"),
            Err(killed.to_owned()),
        ),
        (
            format!("{listen}; {first}; {second}; exec sleep 100"),
            Ok(vec!["second".to_owned(), format!("better names: {late}")]),
        ),
        (format!("{listen}; exec sleep 100"), Err(late.to_owned())),
        (
            format!("{listen}; echo no sites"),
            Err("the resolver has not answered".to_owned()),
        ),
        (
            format!("{listen}; {first}; exec cat /dev/zero"),
            Ok(vec![
                "first".to_owned(),
                "better names: the resolver answered at too great a length".to_owned(),
            ]),
        ),
        (
            format!("{listen}; echo 'memleakd: no' >&2; exit 1"),
            Err("the resolver says: memleakd: no".to_owned()),
        ),
    ] {
        let (_directory, exe) = executable(&script);
        let mut resolver = Resolver::start(&exe, 1).expect("a script");
        stand(&mut resolver);
        let sites = resolver.finish(0, Duration::from_secs(1));
        let found = sites
            .map(|sites| sites.loss)
            .map_err(|error| format!("{error:#}"));
        assert_eq!(found, expected, "{script}");
    }
}

#[test]
fn a_resolver_that_does_not_listen_holds_nobody_up() {
    let (_directory, exe) = executable("exec sleep 100");
    let mut resolver = Resolver::start(&exe, 1).expect("a script");
    let record = record(0, [1, 1], [1, 2, 3], &[0; 16384]);
    let started = Instant::now();
    for _ in 0..1000 {
        resolver.sample(&record).expect("it lives");
    }
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    let error = resolver
        .finish(0, Duration::from_secs(1))
        .expect_err("it says nothing");
    assert_eq!(
        error.to_string(),
        "the resolver has not answered within 1 s"
    );
}

#[test]
fn a_resolver_that_has_ended_is_an_error() {
    let (_directory, exe) = executable("kill -SEGV $$");
    let mut resolver = Resolver::start(&exe, 1).expect("a script");
    let record = record(0, [1, 1], [1, 2, 3], &[0; 16384]);
    let started = Instant::now();
    let error = loop {
        match resolver.sample(&record) {
            Ok(()) => assert!(started.elapsed() < Duration::from_secs(10)),
            Err(error) => break error,
        }
    };
    assert_eq!(
        error.to_string(),
        "the resolver was killed by signal 11 (SIGSEGV)"
    );
}

/// A script that stands for memleakd.
fn executable(script: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("memleakd");
    fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).expect("room");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    (directory, path)
}
