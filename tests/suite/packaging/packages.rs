//! Packages, made as `make deb` and `make rpm` make them, against packaging/files.
//!
//! What is in them besides programs is looked at here, so the programs are stand-ins that are packed
//! in no time. Real ones are installed by the tests of booted systems.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::TOP;
use super::list::{File, Kind, listed};

const PACKAGES: [&str; 2] = ["memleakd", "memleakd-desktop"];

/// What debhelper adds to a package, which no list of ours can have.
const OF_DEBHELPER: [&str; 2] = ["changelog.Debian.gz", "overrides"];

#[test]
fn the_deb_has_what_is_listed() {
    let made = make("scripts/deb.sh");
    for package in PACKAGES {
        let path = only_file(made.path(), &format!("{package}_"), ".deb");
        let listing = run(Command::new("dpkg-deb").arg("--contents").arg(&path));
        let mut found: BTreeMap<PathBuf, u32> = BTreeMap::new();
        for line in listing.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [mode, owner, _, _, _, path] = words[..] else {
                panic!("no line of tar: {line}");
            };
            assert_eq!(owner, "root/root", "{path}");
            let path = path.trim_start_matches('.').trim_end_matches('/');
            if !OF_DEBHELPER.iter().any(|part| path.contains(part)) {
                found.insert(PathBuf::from(path), mode_of_letters(mode));
            }
        }
        compare(package, Kind::Deb, &found);
        let configuration = run(Command::new("dpkg-deb")
            .arg("--info")
            .arg(&path)
            .arg("conffiles"));
        let configuration: BTreeSet<&str> = configuration.lines().collect();
        assert_eq!(configuration, marked(package), "{package}");
    }
}

#[test]
fn the_rpm_has_what_is_listed() {
    let made = make("scripts/rpm.sh");
    for package in PACKAGES {
        let path = only_file(made.path(), &format!("{package}-0"), ".rpm");
        let query = |format: &str| {
            run(Command::new("rpm")
                .args(["--query", "--queryformat", format, "--package"])
                .arg(&path))
        };
        let listing = query("[%{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]");
        let mut found = BTreeMap::new();
        for line in listing.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [mode, "root:root", path] = words[..] else {
                panic!("{package}: {line}");
            };
            let mode = u32::from_str_radix(mode, 8).expect("a mode") & 0o7777;
            found.insert(PathBuf::from(path), mode);
        }
        compare(package, Kind::Rpm, &found);
        let flags = query("[%{FILEFLAGS:fflags} %{FILENAMES}\n]");
        // "c" is a configuration file and "n" one that is not replaced.
        let configuration = flags.lines().filter_map(|line| line.strip_prefix("cn "));
        assert_eq!(
            configuration.collect::<BTreeSet<_>>(),
            marked(package),
            "{package}"
        );
        let licence = flags
            .lines()
            .any(|line| line.starts_with("l /usr/share/licenses/"));
        assert_eq!(licence, package == "memleakd", "{flags}");
    }
}

/// A directory with packages made by one of the scripts.
fn make(script: &str) -> TempDir {
    let made = TempDir::new().expect("a directory");
    let programs = made.path().join("programs");
    fs::create_dir(&programs).expect("a directory");
    for file in listed() {
        if file.path.starts_with("/usr/bin") {
            let name = file.path.file_name().expect("a name");
            fs::copy("/bin/true", programs.join(name)).expect("a copy");
        }
    }
    run(Command::new(Path::new(TOP).join(script))
        .env("BINARIES", &programs)
        .env("PACKAGES", made.path()));
    made
}

/// Holds what a package has against its part of the list.
fn compare(package: &str, kind: Kind, found: &BTreeMap<PathBuf, u32>) {
    let expected: Vec<File> = listed()
        .into_iter()
        .filter(|file| file.package == package && file.is_for(kind))
        .collect();
    let mut listed = BTreeSet::new();
    for file in &expected {
        // Pages of the manual are compressed, and so is longer documentation in a .deb.
        let compressed = PathBuf::from(format!("{}.gz", file.path.display()));
        let path = if found.contains_key(&compressed) {
            &compressed
        } else {
            &file.path
        };
        let mode = found.get(path).copied();
        assert_eq!(mode, Some(file.mode), "{package}: {}", file.path.display());
        listed.extend(path.ancestors().map(Path::to_owned));
    }
    for path in found.keys() {
        // A .deb has the directories on the way as well.
        let is_debhelpers = ["/usr/share/lintian", "/usr/share/doc/memleakd-desktop"];
        let is_debhelpers = is_debhelpers.iter().any(|prefix| path == Path::new(prefix));
        let is_root = path == Path::new("");
        assert!(
            listed.contains(path) || is_debhelpers || is_root,
            "{package}: {}",
            path.display()
        );
    }
}

/// The configuration files of a package, by the list.
fn marked(package: &str) -> BTreeSet<&'static str> {
    let marked = listed()
        .into_iter()
        .filter(|file| file.package == package && file.is_config);
    marked
        .map(|file| &*String::leak(file.path.to_str().expect("UTF-8").to_owned()))
        .collect()
}

fn only_file(directory: &Path, prefix: &str, suffix: &str) -> PathBuf {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut found = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            name.starts_with(prefix) && name.ends_with(suffix)
        });
    let file = found.next().expect(prefix);
    assert_eq!(found.next(), None, "one of a kind");
    file
}

fn mode_of_letters(letters: &str) -> u32 {
    let bits = letters
        .chars()
        .skip(1)
        .map(|letter| u32::from(letter != '-'));
    bits.fold(0, |mode, bit| mode << 1 | bit)
}

/// What a command says, which has to succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        text(output.stderr)
    );
    text(output.stdout)
}
