//! Frames are those of the source.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use memleakd::site::Site;
use memleakd::stacks::{Resolver, name_again};

use super::taken::{
    TIMEOUT, Taken, compile, functions, line_of, memleakd, only, path_of, resolve, run, stand,
};

const PLAIN: [&str; 4] = ["-fomit-frame-pointer", "-pthread", "-DDEPTH=2", "-g"];
/// From the innermost function that is no part of another.
const CHAIN: [&str; 6] = [
    "innermost",
    "middle",
    "again",
    "again",
    "again",
    "outermost",
];

fn has_lines(site: &Site) {
    let chain = [&["inlined"][..], &CHAIN].concat();
    let found: Vec<_> = functions(site).into_iter().take(7).collect();
    let expected: Vec<_> = ["[inlined]"].into_iter().chain(CHAIN).collect();
    assert_eq!(found, expected, "{site:#?}");
    for (frame, mark) in site.frames.iter().zip(chain) {
        assert_eq!(
            frame.line,
            Some(line_of("chain.c", mark)),
            "{mark}: {site:#?}"
        );
        let file = frame.file.as_deref().unwrap_or_default();
        assert!(file.ends_with("tests/programs/chain.c"), "{file}");
    }
}

fn build_id(program: &Path) -> String {
    let output = Command::new("readelf")
        .arg("-n")
        .arg(program)
        .output()
        .expect("readelf");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Build ID: "));
    lines.next().expect("a build id").to_owned()
}

/// A directory that goes with the test, with a copy of a program in it.
fn copied(program: &Path) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("program");
    fs::copy(program, &copy).expect("room");
    (directory, copy)
}

#[test]
fn a_chain_of_c_without_frame_pointers_is_whole() {
    let program = compile("chain.c", "chain", "gcc", &PLAIN);
    for on_thread in [false, true] {
        let mut command = Command::new(&program);
        command.args(on_thread.then_some("x"));
        let site = only(resolve(&Taken::start(&mut command)));
        has_lines(&site);
        let found = functions(&site);
        assert_eq!(found.contains(&"main".to_owned()), !on_thread, "{found:?}");
        assert_eq!(site.cut, None, "{site:#?}");
    }
}

#[test]
fn every_frame_has_its_module_and_where_in_it() {
    let program = compile("chain.c", "chain-modules", "gcc", &PLAIN);
    let site = only(resolve(&Taken::start(&mut Command::new(&program))));
    let frame = &site.frames[1];
    assert_eq!(frame.module.as_deref(), program.to_str());
    assert_eq!(frame.build_id, Some(build_id(&program)));
    // What another program says of that address.
    let output = Command::new("addr2line")
        .args(["-fe".as_ref(), program.as_os_str()])
        .arg(format!("{:#x}", frame.offset.expect("an address")))
        .output()
        .expect("addr2line");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.starts_with("innermost\n") || text.starts_with("inlined\n"),
        "{text}"
    );
}

#[test]
fn a_stripped_program_is_named_by_its_debug_file() {
    let program = compile("chain.c", "chain-apart", "gcc", &PLAIN);
    let (directory, copy) = copied(&program);
    let debug = directory.path().join("program.debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&copy, &debug]));
    run(Command::new("strip").arg(&copy));
    // Next to it by a link, and without one not at all.
    let site = only(resolve(&Taken::start(&mut Command::new(&copy))));
    assert_eq!(site.frames[0].function, None, "{site:#?}");
    let id = build_id(&copy);
    let reason = format!("it is stripped, and there is no debug file for build id {id}");
    assert_eq!(site.frames[0].unknown, Some(reason));
    assert_eq!(site.cut, None, "{site:#?}");

    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    run(Command::new("objcopy").arg(link).arg(&copy));
    let linked = only(resolve(&Taken::start(&mut Command::new(&copy))));
    has_lines(&linked);

    // Named later what had no name, and not by a file that is another one.
    let mut sites = [site.clone()];
    name_again(&mut sites);
    has_lines(&sites[0]);
    fs::remove_file(&copy).expect("a file");
    fs::copy("/bin/true", &copy).expect("room");
    let mut sites = [site];
    name_again(&mut sites);
    let unknown = sites[0].frames[0].unknown.as_deref();
    assert_eq!(unknown, Some("another file has its path by now"));
}

#[test]
fn a_debug_file_of_another_build_is_not_taken() {
    let program = compile("chain.c", "chain-other", "gcc", &PLAIN);
    let other = compile(
        "chain.c",
        "chain-stranger",
        "gcc",
        &["-g", "-pthread", "-DDEPTH=3"],
    );
    let (directory, copy) = copied(&program);
    let debug = directory.path().join("program.debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&program, &debug]));
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    run(Command::new("strip").arg(&copy));
    run(Command::new("objcopy").arg(link).arg(&copy));
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&other, &debug]));
    let site = only(resolve(&Taken::start(&mut Command::new(&copy))));
    assert_eq!(site.frames[0].function, None, "{site:#?}");
}

#[test]
fn a_file_that_was_deleted_is_named_also_when_its_process_has_ended() {
    let program = compile("chain.c", "chain-deleted", "gcc", &PLAIN);
    let (_directory, copy) = copied(&program);
    let taken = Taken::start(&mut Command::new(&copy));
    fs::remove_file(&copy).expect("a file");
    let mut resolver = Resolver::start(memleakd(), taken.pid()).expect("a resolver");
    resolver.sample(&taken.record).expect("a sample");
    stand(&mut resolver);
    // It is read in its own time: the sites of a first resolver say that it can have been.
    has_lines(&only(resolve(&taken)));
    taken.end();
    let site = only(resolver.finish(0, TIMEOUT).expect("sites"));
    has_lines(&site);
    assert_eq!(site.frames[0].module.as_deref(), copy.to_str());
}

#[test]
fn a_file_that_only_its_owner_may_read_is_named() {
    let program = compile("chain.c", "chain-private", "gcc", &PLAIN);
    let (_directory, copy) = copied(&program);
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).expect("ours");
    has_lines(&only(resolve(&Taken::start(&mut Command::new(&copy)))));
}

#[test]
fn a_static_program_of_musl_is_named_up_to_main() {
    let arguments = [&PLAIN[..], &["-static"]].concat();
    let program = compile("chain.c", "chain-musl", "musl-gcc", &arguments);
    let site = only(resolve(&Taken::start(&mut Command::new(&program))));
    has_lines(&site);
    assert_eq!(functions(&site)[7], "main", "{site:#?}");
    assert_eq!(site.cut, None, "{site:#?}");
}

#[test]
fn cxx_is_demangled() {
    let program = compile(
        "chain.cc",
        "chain-cxx",
        "g++",
        &["-fomit-frame-pointer", "-g"],
    );
    let site = only(resolve(&Taken::start(&mut Command::new(&program))));
    let found = functions(&site);
    let without_inlined: Vec<_> = found.iter().filter(|name| !name.starts_with('[')).collect();
    for (name, part) in without_inlined.iter().zip([
        "shop::Basket<long>::add(long const&)",
        "shop::Buyer::visit(int)",
        "std::_Function_handler<void (int), main::",
        "run(std::function<void (int)> const&)",
        "main",
    ]) {
        assert!(name.starts_with(part), "{name} for {part}: {found:#?}");
    }
    for mark in ["add", "visit", "lambda", "run"] {
        let line = Some(line_of("chain.cc", mark));
        assert!(
            site.frames.iter().any(|frame| frame.line == line),
            "{mark}: {site:#?}"
        );
    }
}

#[test]
fn rust_is_demangled() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = directory.join("chain-rust");
    let source = path_of("chain.rs");
    run(Command::new("rustc")
        .args(["-O", "-g", "--edition=2024", "-o"])
        .args([&program, &source]));
    let site = only(resolve(&Taken::start(&mut Command::new(&program))));
    let found = functions(&site);
    let chain = ["innermost", "Shop<T>::middle", "outermost"];
    for (name, part) in found
        .iter()
        .filter(|name| !name.starts_with('['))
        .zip(chain)
    {
        assert!(
            name.contains(part.rsplit("::").next().expect("one")),
            "{name}: {found:#?}"
        );
        assert!(!name.contains("17h") && !name.starts_with("_R"), "{name}");
    }
    for mark in ["innermost", "middle", "outermost"] {
        let line = Some(line_of("chain.rs", mark));
        assert!(
            site.frames.iter().any(|frame| frame.line == line),
            "{mark}: {site:#?}"
        );
    }
}

#[test]
fn a_deep_stack_says_where_it_is_cut() {
    let deep = compile(
        "chain.c",
        "chain-deep",
        "gcc",
        &["-g", "-pthread", "-DDEPTH=200"],
    );
    let site = only(resolve(&Taken::start(&mut Command::new(&deep))));
    assert_eq!(site.cut.as_deref(), Some("it is deeper than 128 frames"));
    assert_eq!(functions(&site)[1], "innermost");

    let mut taken = Taken::start(&mut Command::new(&deep));
    // So much and no more was copied.
    taken.record.truncate(72 + 1024);
    taken.record[68..72].copy_from_slice(&1024_u32.to_le_bytes());
    let site = only(resolve(&taken));
    assert_eq!(
        site.cut.as_deref(),
        Some("only 1024 bytes of the stack were copied")
    );
    assert_eq!(functions(&site)[1], "innermost");
}

#[test]
fn code_of_a_jit_is_named_by_its_perf_map() {
    let program = compile("jit.c", "jit", "gcc", &["-g"]);
    let taken = Taken::start(&mut Command::new(&program));
    let map = PathBuf::from(format!("/tmp/perf-{}.map", taken.pid()));
    let site = only(resolve(&taken));
    let reason = "code of no file, and the process keeps no perf map";
    assert_eq!(site.frames[1].unknown.as_deref(), Some(reason), "{site:#?}");
    let at = site.frames[1].offset.expect("an address");
    fs::write(
        &map,
        format!("{:x} 40 LazyCompile:~hot app.js:7\n", at & !0xfff),
    )
    .expect("room");
    assert_eq!(
        fs::metadata(&map).expect("a file").uid(),
        rustix::process::geteuid().as_raw()
    );
    let site = only(resolve(&taken));
    fs::remove_file(&map).expect("a file");
    let found = functions(&site);
    assert_eq!(
        found[..3],
        ["called_by_jit", "LazyCompile:~hot app.js:7", "main"],
        "{site:#?}"
    );
}
