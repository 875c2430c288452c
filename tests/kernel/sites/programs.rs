//! The programs, each with the function that it leaks in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that leaks.
pub struct Program {
    pub title: &'static str,
    /// The function that leaks.
    pub leaks: &'static str,
    /// How functions begin that may come before it, being part of the language or of a library.
    pub by: &'static [&'static str],
    pub attribution: &'static str,
    /// The file that the leaking line is in, where there is debugging information.
    pub source: Option<&'static str>,
    pub command: Command,
}

const CXX: &[&str] = &[
    "operator new",
    "std::",
    "void std::",
    "__gnu_cxx::",
    "char* std::",
];
const RUST: &[&str] = &[
    "alloc::", "core::", "std::", "<alloc::", "<core::", "<std::", "<u8 as", "<T as", "__rust",
    "__rdl",
];

/// What the proof is made over: of each kind one.
pub fn proof(at: &Path) -> Vec<Program> {
    vec![
        heap("C", "keep_record", run(&deep(at, "deep", &[]))),
        Program {
            by: &["operator new"],
            ..heap(
                "C++",
                "SessionTable::open",
                run(&compile(at, "c++", "method.cc", "method", &[])),
            )
        },
        Program {
            by: RUST,
            ..heap("Rust", "pushes::remember_session", run(&pushes(at)))
        },
        heap(
            "threads",
            "log_line",
            run(&compile(at, "cc", "threads.c", "threads", &["-pthread"])),
        ),
        heap(
            "growing by realloc",
            "append_line",
            run(&compile(at, "cc", "realloc.c", "realloc", &[])),
        ),
        Program {
            by: &["xmalloc"],
            ..heap("behind a library", "load_image", run(&wrapped(at)))
        },
        Program {
            source: Some("deep.c"),
            ..heap(
                "stripped, debug file apart",
                "keep_record",
                run(&stripped(at)),
            )
        },
        heap(
            "static musl",
            "keep_record",
            run(&compile(at, "musl-gcc", "deep.c", "musl", &["-static"])),
        ),
        heap("Python extension", "keep_row", python(at)),
        Program {
            by: &["xmalloc"],
            ..heap("mount namespace", "load_image", in_namespace(at))
        },
    ]
}

/// What else there is.
pub fn others(at: &Path) -> Vec<Program> {
    let mut preloaded = run(&deep(at, "preloaded", &[]));
    preloaded.env("LD_PRELOAD", "libjemalloc.so.2");
    vec![
        heap(
            "C, reached by jumps",
            "queue_event",
            run(&compile(at, "cc", "tail.c", "tail", &[])),
        ),
        Program {
            by: CXX,
            source: Some("map.cc"),
            ..heap(
                "C++, a map",
                "store::remember",
                run(&compile(at, "c++", "map.cc", "map", &["-g"])),
            )
        },
        heap("jemalloc", "keep_record", preloaded),
        Program {
            source: Some("deep.c"),
            ..heap(
                "in a root of its own, debug file by build id",
                "keep_record",
                in_root(at),
            )
        },
        Program {
            attribution: "mapping",
            by: &["new_pages"],
            ..heap(
                "mappings",
                "map_segment",
                run(&compile(at, "cc", "maps.c", "maps", &[])),
            )
        },
        Program {
            attribution: "touched",
            ..heap(
                "no malloc at all",
                "keep_object",
                run(&compile(
                    at,
                    "cc",
                    "raw.c",
                    "raw",
                    &["-static", "-nostdlib"],
                )),
            )
        },
    ]
}

/// Where blocks are not followed. What leaks is mostly of sizes of its own: others that allocate the
/// same size would have their share of it.
pub fn by_size(at: &Path) -> Vec<Program> {
    let attribution = "by_size";
    vec![
        Program {
            attribution,
            ..heap(
                "C",
                "keep_record",
                run(&deep(at, "deep", &["-DRECORD=500"])),
            )
        },
        Program {
            attribution,
            by: &["operator new"],
            ..heap(
                "C++",
                "SessionTable::open",
                run(&compile(at, "c++", "method.cc", "method", &[])),
            )
        },
    ]
}

fn heap(title: &'static str, leaks: &'static str, command: Command) -> Program {
    Program {
        title,
        leaks,
        by: &[],
        attribution: "paired",
        source: None,
        command,
    }
}

/// Compiles a program, as distributions do: optimized, and without frame pointers.
pub fn compile(at: &Path, compiler: &str, source: &str, name: &str, arguments: &[&str]) -> PathBuf {
    let path = at.join(name);
    let source = sources().join(source);
    succeed(
        Command::new(compiler)
            .args([
                "-O2",
                "-fomit-frame-pointer",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-o",
            ])
            .args([&path, &source])
            .args(arguments),
    );
    path
}

pub fn run(path: &Path) -> Command {
    Command::new(path)
}

/// Runs a command to its end.
pub fn succeed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sites")
}

fn deep(at: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    compile(at, "cc", "deep.c", name, arguments)
}

fn pushes(at: &Path) -> PathBuf {
    let path = at.join("pushes");
    succeed(
        Command::new("rustc")
            .args(["--edition", "2021", "-O", "-o"])
            .args([&path, &sources().join("pushes.rs")]),
    );
    path
}

/// The program, and beside it the library that it allocates by.
fn wrapped(at: &Path) -> PathBuf {
    compile(
        at,
        "cc",
        "library.c",
        "libwrap.so",
        &["-shared", "-fPIC", "-Wl,-soname,libwrap.so"],
    );
    let directory = format!("-L{}", at.display());
    let arguments = [&*directory, "-lwrap", "-Wl,-rpath,$ORIGIN"];
    compile(at, "cc", "wrapped.c", "wrapped", &arguments)
}

/// Takes the debugging information out of a program, as packages do, and of its symbols as many as
/// is said. Returns where it is.
fn strip(path: &Path, how_much: &str) -> PathBuf {
    let debug = path.with_extension("debug");
    succeed(
        Command::new("objcopy")
            .arg("--only-keep-debug")
            .args([path, &debug]),
    );
    succeed(Command::new("strip").arg(how_much).arg(path));
    debug
}

fn stripped(at: &Path) -> PathBuf {
    // Without a build id, so that there is the one way only.
    let path = deep(at, "stripped", &["-g", "-Wl,--build-id=none"]);
    let debug = strip(&path, "--strip-all");
    succeed(
        Command::new("objcopy")
            .arg(format!("--add-gnu-debuglink={}", debug.display()))
            .arg(&path),
    );
    // One of the two places where debuggers look beside the program.
    let apart = at.join(".debug");
    fs::create_dir_all(&apart).expect("a directory");
    fs::rename(&debug, apart.join("stripped.debug")).expect("a file");
    path
}

fn python(at: &Path) -> Command {
    // The one that the headers are of, whatever else is installed.
    let python = "/usr/bin/python3";
    let include = succeed(Command::new(python).args([
        "-c",
        "import sysconfig; print(sysconfig.get_paths()['include'])",
    ]));
    let include = format!("-I{include}");
    let arguments = ["-shared", "-fPIC", &include];
    compile(at, "cc", "extension.c", "extension.so", &arguments);
    let mut command = Command::new(python);
    command
        .arg(sources().join("rows.py"))
        .env("PYTHONPATH", at)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The program and its library are where no other process finds them.
fn in_namespace(at: &Path) -> Command {
    let home = at.join("there");
    fs::create_dir_all(&home).expect("a directory");
    wrapped(&home);
    let seen = at.join("here");
    fs::create_dir_all(&seen).expect("a directory");
    unshared(
        "mount -t tmpfs none \"$2\" && cp \"$1\"/* \"$2\" && exec \"$2\"/wrapped",
        &home,
        &seen,
    )
}

/// A static program and what debuggers look for in /usr/lib/debug, in a root with nothing else.
fn in_root(at: &Path) -> Command {
    let home = at.join("image");
    fs::create_dir_all(&home).expect("a directory");
    let arguments = ["-g", "-static", "-Wl,--build-id=sha1"];
    let path = deep(&home, "program", &arguments);
    let notes = succeed(Command::new("readelf").arg("-n").arg(&path));
    let id = notes
        .lines()
        .find_map(|line| line.trim().strip_prefix("Build ID: "))
        .expect("a build id");
    let (first, rest) = id.split_at(2);
    let debug = home.join("usr/lib/debug/.build-id").join(first);
    fs::create_dir_all(&debug).expect("a directory");
    // Without symbols nobody would know where its malloc is.
    let apart = strip(&path, "--strip-debug");
    fs::rename(apart, debug.join(format!("{rest}.debug"))).expect("a file");
    let root = at.join("root");
    fs::create_dir_all(&root).expect("a directory");
    unshared(
        "mount -t tmpfs none \"$2\" && cp -r \"$1\"/* \"$2\" && exec chroot \"$2\" /program",
        &home,
        &root,
    )
}

fn unshared(script: &str, from: &Path, to: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-ec", script, "sh"])
        .args([from, to]);
    command
}
