//! The manual pages, held against what they are about: command lines, the configuration, the bus,
//! the journal. Whether they read well is for people; whether they are true and whole is told here.

mod bus;
mod configuration;
mod examples;
mod help;
mod journal;
mod page;
mod programs;

use std::process::{Command, Output};

use page::{Page, pages};
pub use programs::command_lines;

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    // The reader's own settings change how a page looks.
    for variable in ["MANPAGER", "MANROFFOPT", "MANOPT", "MANLESS"] {
        command.env_remove(variable);
    }
    command
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .output()
        .unwrap_or_else(|error| panic!("{program} runs: {error}"))
}

#[test]
fn each_page_is_right_for_mandoc_and_for_groff() {
    for path in pages() {
        let page = path.to_str().expect("a path");
        for (program, arguments) in [
            ("mandoc", &["-T", "lint", "-W", "warning"][..]),
            ("man", &["--warnings", "-l"]),
            ("groff", &["-mdoc", "-T", "utf8", "-ww", "-z"]),
        ] {
            let output = run(program, &[arguments, &[page]].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(said, "", "{program}");
            assert!(output.status.success(), "{program} {page}");
            // mandoc says what is wrong on its standard output.
            if program == "mandoc" {
                assert_eq!(String::from_utf8_lossy(&output.stdout), "");
            }
        }
    }
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    for path in pages() {
        let output = run("man", &["-l", path.to_str().expect("a path")]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.lines().count() > 20, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", path.display());
        }
    }
}

/// Where a page is to have what: by section of the manual, and by page.
#[test]
fn each_page_has_its_sections() {
    let all = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"];
    let programs = ["ENVIRONMENT", "EXIT STATUS"];
    let services = ["FILES", "SECURITY"];
    for path in pages() {
        let page = Page::read(&path);
        let name = path.file_name().and_then(|name| name.to_str());
        let mut wanted = all.to_vec();
        if !name.is_some_and(|name| name.ends_with(".5")) {
            wanted.extend(programs);
        }
        if name.is_some_and(|name| name.ends_with(".8")) {
            wanted.extend(services);
        }
        wanted.extend(match name {
            Some("memleakd.8") => &["SIGNALS", "DIAGNOSTICS", "REQUIREMENTS", "BUGS"][..],
            Some("memleakd.toml.5") => &["TABLES AND KEYS"],
            Some("org.memleakd.Memleakd1.5") => {
                &["METHODS", "SIGNALS", "PROPERTIES", "DIAGNOSTICS", "FILES"]
            }
            _ => &[],
        });
        let found = page.sections();
        for section in wanted {
            assert!(found.contains(&section), "{name:?} has no {section}");
        }
    }
}

/// A page names no page of ours that is not there, and each page is named by another one.
#[test]
fn pages_lead_to_each_other() {
    let names: Vec<(String, String)> = pages()
        .iter()
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            let (name, section) = name.and_then(|name| name.rsplit_once('.')).expect("a name");
            (name.to_owned(), section.to_owned())
        })
        .collect();
    let mut named = Vec::new();
    for path in pages() {
        for (name, section) in Page::read(&path).references() {
            let is_ours = name.contains("memleak");
            let is_there = names.contains(&(name.clone(), section.clone()));
            assert!(
                is_there || !is_ours,
                "{}: {name}({section})",
                path.display()
            );
            named.push((name, section));
        }
    }
    for name in names {
        assert!(named.contains(&name), "{name:?} is named nowhere");
    }
}
