//! What is installed: packaging/files against the tree, what `make install` does of it, and whose code
//! is in it. That packages have the same is held in `packages`.

mod copyright;
mod list;
mod packages;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use list::{Kind, installed, listed, walk};
use tempfile::TempDir;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_file_below_packaging_is_listed() {
    let sources: BTreeSet<PathBuf> = listed()
        .into_iter()
        .filter_map(|file| file.source)
        .collect();
    for mirrored in ["usr", "etc"] {
        for path in walk(&Path::new(TOP).join("packaging").join(mirrored)) {
            if path.is_file() {
                let path = path.strip_prefix(TOP).expect("a path below the top");
                assert!(
                    sources.contains(path),
                    "not in packaging/files: {}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_source_is_there() {
    for source in listed().into_iter().filter_map(|file| file.source) {
        assert!(
            Path::new(TOP).join(&source).is_file(),
            "{}",
            source.display()
        );
    }
}

#[test]
fn every_program_is_listed_with_its_manual_and_completions() {
    let listed: BTreeSet<PathBuf> = listed().into_iter().map(|file| file.path).collect();
    for source in fs::read_dir(Path::new(TOP).join("src/bin")).expect("src/bin is there") {
        let source = source.expect("an entry").path();
        let name = source.file_stem().expect("a name").to_str().expect("UTF-8");
        let page = |section| format!("/usr/share/man/man{section}/{name}.{section}");
        let is_listed = |path: &str| listed.contains(Path::new(path));
        assert!(
            is_listed(&page(1)) != is_listed(&page(8)),
            "one page of {name}"
        );
        for path in [
            format!("/usr/bin/{name}"),
            format!("/usr/share/bash-completion/completions/{name}"),
            format!("/usr/share/fish/vendor_completions.d/{name}.fish"),
            format!("/usr/share/zsh/site-functions/_{name}"),
            format!("/usr/share/zsh/vendor-completions/_{name}"),
        ] {
            assert!(is_listed(&path), "{path}");
        }
    }
}

#[test]
fn what_is_listed_is_installed_and_nothing_else() {
    for kind in [Kind::Deb, Kind::Rpm] {
        let root = TempDir::new().expect("a directory");
        install(root.path(), &["--for", kind.name()]);
        let expected: Vec<_> = listed()
            .into_iter()
            .filter(|file| file.is_for(kind))
            .collect();
        let found = installed(root.path());
        for file in &expected {
            let mode = found.get(&file.path).copied();
            assert_eq!(mode, Some(file.mode), "{kind:?}: {}", file.path.display());
        }
        // Directories that nobody lists are those on the way to what is listed.
        let on_the_way: BTreeSet<&Path> = expected
            .iter()
            .flat_map(|file| file.path.ancestors())
            .collect();
        for path in found.keys() {
            assert!(
                on_the_way.contains(path.as_path()),
                "{kind:?}: {}",
                path.display()
            );
        }
    }
}

#[test]
fn each_package_has_its_part() {
    for package in ["memleakd", "memleakd-desktop"] {
        let root = TempDir::new().expect("a directory");
        install(root.path(), &["--for", "deb", "--package", package]);
        let found = installed(root.path());
        for file in listed().iter().filter(|file| file.is_for(Kind::Deb)) {
            let is_there = found.contains_key(&file.path);
            assert_eq!(
                is_there,
                file.package == package,
                "{package}: {}",
                file.path.display()
            );
        }
    }
}

#[test]
fn changed_configuration_stays() {
    let root = TempDir::new().expect("a directory");
    install(root.path(), &[]);
    let configuration = root.path().join("etc/memleakd/memleakd.toml");
    let unit = root.path().join("usr/lib/systemd/system/memleakd.service");
    for changed in [&configuration, &unit] {
        fs::write(changed, "# Changed.\n").expect("a file to change");
    }
    let said = install(root.path(), &[]);
    let path = configuration.display();
    assert_eq!(
        said,
        format!("install: left as it is, for it was changed: {path}\n")
    );
    assert_eq!(
        fs::read_to_string(&configuration).expect("a file"),
        "# Changed.\n"
    );
    let unit = fs::read_to_string(&unit).expect("a file");
    assert!(
        unit.contains("[Service]"),
        "a unit is not for changing there: {unit}"
    );
}

#[test]
fn units_are_sound() {
    let root = TempDir::new().expect("a directory");
    install(root.path(), &[]);
    let units = root.path().join("usr/lib/systemd/system");
    let ours: Vec<String> = fs::read_dir(&units)
        .expect("units")
        .map(|unit| {
            unit.expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    // They name targets of systemd, which are looked for below the same root.
    for target in fs::read_dir("/usr/lib/systemd/system").expect("systemd is there") {
        let target = target.expect("an entry").path();
        if target
            .extension()
            .is_some_and(|extension| extension == "target")
        {
            fs::copy(&target, units.join(target.file_name().expect("a name"))).expect("a copy");
        }
    }
    let root_option = format!("--root={}", root.path().display());
    let mut arguments = vec!["verify", "--man=no", &root_option];
    arguments.extend(ours.iter().map(String::as_str));
    verify(&arguments);
    // A user's manager has no such option: the program is named where it is.
    let unit = root
        .path()
        .join("usr/lib/systemd/user/memleakd-notify.service");
    let text = fs::read_to_string(&unit).expect("a unit");
    let programs = format!("ExecStart={}/usr/bin/", root.path().display());
    fs::write(&unit, text.replace("ExecStart=/usr/bin/", &programs)).expect("a unit");
    verify(&[
        "verify",
        "--man=no",
        "--user",
        unit.to_str().expect("UTF-8"),
    ]);
}

#[test]
fn all_packages_have_the_version_of_the_programs() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = read("packaging/debian/changelog");
    assert!(
        changelog.starts_with(&format!("memleakd ({version}-")),
        "{changelog}"
    );
    let spec = read("packaging/memleakd.spec");
    assert!(
        spec.lines()
            .any(|line| line == format!("Version:        {version}")),
        "{spec}"
    );
    assert!(
        spec.contains(&format!("> - {version}-1\n")),
        "its changelog: {spec}"
    );
}

/// The text of a file of the tree.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new(TOP).join(path)).expect(path)
}

/// Installs the programs that were built for this test; what is said of it.
fn install(root: &Path, arguments: &[&str]) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_memleakd"))
        .parent()
        .expect("a directory");
    let output = Command::new(Path::new(TOP).join("scripts/install.sh"))
        .args(arguments)
        .arg(root)
        .env("BINARIES", programs)
        .output()
        .expect("install.sh runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    assert!(output.status.success(), "{}", text(output.stderr));
    text(output.stdout)
}

fn verify(arguments: &[&str]) {
    let runtime = TempDir::new().expect("a directory");
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .env("XDG_RUNTIME_DIR", runtime.path())
        .output()
        .expect("systemd-analyze runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{arguments:?}: {said}");
    assert_eq!(said, "", "{arguments:?}");
}
