//! Programs that change while they are captured: what they were when they allocated is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;

use super::programs::{compile, run};
use super::*;

/// Until the probes are in, and some has leaked.
const WHILE: Duration = Duration::from_millis(2500);

/// The program that loads a library which leaks.
pub struct Host {
    program: PathBuf,
    pub plugin: PathBuf,
}

impl Host {
    pub fn build(at: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["-shared", "-fPIC"], arguments].concat();
        Self {
            program: compile(at, "cc", "host.c", "host", &[]),
            plugin: compile(at, "cc", "plugin.c", "libplugin.so", &arguments),
        }
    }

    pub fn start(&self) -> Leaking {
        Self::start_with(&self.program, &self.plugin)
    }

    pub fn start_with(program: &Path, plugin: &Path) -> Leaking {
        Leaking::start(run(program).arg(plugin))
    }
}

/// Either there are sites, of which each frame has a name that can be shown or says why not, or
/// there is a sentence.
pub fn ends_well(capture: &Result<Value, String>) {
    let capture = match capture {
        Ok(capture) => capture,
        Err(error) => {
            assert_eq!(error.lines().count(), 1, "{error}");
            return assert!(error.starts_with("memleakctl: "), "{error}");
        }
    };
    for site in capture["sites"].as_array().expect("a list") {
        let frames = site["frames"].as_array().expect("a list");
        assert!(!frames.is_empty(), "{site}");
        for frame in frames {
            // JSON writes control characters so.
            assert!(!frame.to_string().contains("\\u00"), "{frame}");
            assert!(
                frame["function"].is_string() != frame["unknown"].is_string(),
                "{frame} of {site}"
            );
        }
    }
}

/// The first site is where the plugin leaks.
fn names_plugin(capture: Result<Value, String>) {
    ends_well(&capture);
    let capture = capture.expect("a capture");
    let found = culprit(&capture["sites"][0], &[]);
    let (name, _) = found.unwrap_or_else(|| panic!("no function: {}", told(&capture)));
    assert_eq!(name, "plugin_leak", "{}", told(&capture));
}

/// Captures the program with a plugin, and has something happen to it meanwhile.
fn captured_while(
    stage: &Stage,
    mut act: impl FnMut(&mut Leaking, &Host),
) -> Result<Value, String> {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let host = Host::build(directory.path(), &[]);
    let mut leaking = host.start();
    let started = Instant::now();
    let capture = stage.capture_while(leaking.pid(), "6s", || {
        thread::sleep(WHILE);
        act(&mut leaking, &host);
    });
    assert!(started.elapsed() < Duration::from_secs(20), "{capture:?}");
    drop(leaking);
    stage.is_as_before();
    capture
}

#[test]
#[ignore = "needs root and BTF"]
fn a_program_that_ends_leaves_names_behind() {
    let stage = Stage::set("");
    let mut capture = captured_while(&stage, |leaking, _| {
        leaking.running.0.kill().expect("it runs");
        leaking.running.0.wait().expect("it ends");
    });
    let loss = capture.as_mut().expect("a capture")["loss"].to_string();
    assert!(loss.contains("as the process ended"), "{loss}");
    names_plugin(capture);
}

#[test]
#[ignore = "needs root and BTF"]
fn a_program_that_starts_another_in_its_place_is_told_of_until_then() {
    let stage = Stage::set("");
    // At the same addresses is other code then.
    ends_well(&captured_while(&stage, |leaking, _| {
        leaking.tell("exec");
    }));
}

#[test]
#[ignore = "needs root and BTF"]
fn a_program_that_forks_is_followed_and_its_child_is_another() {
    let stage = Stage::set("");
    names_plugin(captured_while(&stage, |leaking, _| {
        leaking.tell("fork");
    }));
}

#[test]
#[ignore = "needs root and BTF"]
fn a_frozen_program_holds_nobody_up() {
    let stage = Stage::set("");
    let freeze = |leaking: &mut Leaking, signal| leaking.running.signal(signal);
    names_plugin(captured_while(&stage, |leaking, _| {
        freeze(leaking, Signal::STOP);
        thread::sleep(WHILE / 2);
        freeze(leaking, Signal::CONT);
    }));
    // To its end: what is in flight then stands as well.
    let capture = captured_while(&stage, |leaking, _| freeze(leaking, Signal::STOP));
    ends_well(&capture);
    let capture = capture.expect("a capture");
    let mut sites = capture["sites"].as_array().into_iter().flatten();
    let is_plugin =
        |site: &Value| culprit(site, &[]).is_some_and(|(name, _)| name == "plugin_leak");
    assert!(sites.any(is_plugin), "{}", told(&capture));
}

#[test]
#[ignore = "needs root and BTF"]
fn a_library_that_is_unloaded_is_named_all_the_same() {
    let stage = Stage::set("");
    names_plugin(captured_while(&stage, |leaking, _| {
        leaking.tell("unload");
    }));
}

#[test]
#[ignore = "needs root and BTF"]
fn a_library_that_is_replaced_is_named_by_what_it_was() {
    let stage = Stage::set("");
    names_plugin(captured_while(&stage, |_, host| {
        // As package managers do it: a new file in the place of the old one, with other code.
        let other = host.plugin.with_extension("new");
        fs::copy(
            fs::canonicalize("/proc/self/exe").expect("this program"),
            &other,
        )
        .expect("a copy");
        fs::rename(&other, &host.plugin).expect("a file");
    }));
}
