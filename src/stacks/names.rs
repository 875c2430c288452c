//! Names of places in a file: functions, and the lines of source code where the file tells.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use blazesym::symbolize::source::{Elf as ElfSource, Source};
use blazesym::symbolize::{CodeInfo, Input, Symbolized, Symbolizer};

use super::attempt::attempt;
use super::debug_files::{DEBUG_DIRECTORY, Root, debug_file};
use super::elf::Elf;
use crate::sample::printable;
use crate::site::Frame;

/// Names of C++ templates go on for pages; nobody reads them to their end.
const MAX_NAME_BYTES: usize = 512;
/// A function that others are put into, ten times over, is one of a hostile file.
const MAX_INLINED: usize = 32;

/// Names in one file; those of the largest take two seconds.
const NAMED_WITHIN: Duration = Duration::from_secs(15);

/// How much is to be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Functions by the file's symbols.
    Symbols,
    /// Inlined functions and lines as well, by debug information.
    Lines,
}

/// What a place is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) function: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    /// Whether the compiler has put it into the next one.
    pub(super) inlined: bool,
}

impl Named {
    /// A function of which no more is known.
    pub(super) fn function(function: String) -> Self {
        Self {
            function,
            file: None,
            line: None,
            inlined: false,
        }
    }

    /// A frame that has this name.
    pub(super) fn put_into(&self, frame: &Frame) -> Frame {
        Frame {
            function: Some(self.function.clone()),
            file: self.file.clone(),
            line: self.line,
            inlined: self.inlined,
            unknown: None,
            ..frame.clone()
        }
    }
}

/// What has the names of a file: itself, and its debug file.
#[derive(Debug)]
pub(super) struct Names {
    /// The first that has a name is right. Each is a path below `/proc/self/fd`, by which a file
    /// that is open is opened once more: nobody can give it to another one meanwhile.
    symbols: Vec<PathBuf>,
    lines: Option<(PathBuf, Others)>,
    /// What to say of an address that has no name.
    pub(super) without: String,
    _debug_file: Option<File>,
}

impl Names {
    /// Looks for what has the names of a file. The file itself, if it is there, stays open for as
    /// long as this is used; the path is that in the process's root.
    pub(super) fn find(
        roots: &[&Root],
        own: Option<(&File, &Elf)>,
        build_id: Option<&str>,
        path: Option<&Path>,
    ) -> Self {
        let found = debug_file(roots, own, build_id, path);
        let own_path = own.map(|(file, _)| path_of(file));
        let debug_path = found.as_ref().map(|found| path_of(&found.file));
        let lines = match (&found, own) {
            (Some(found), _) => lines(&found.file, &found.elf, found.is_of_root),
            (None, Some((file, elf))) => lines(file, elf, false),
            (None, None) => None,
        };
        let is_stripped = own.is_none_or(|(_, elf)| elf.section(".symtab").is_none());
        let without = match build_id {
            _ if found.is_some() || !is_stripped => "no symbol is there".to_owned(),
            Some(id) => format!("it is stripped, and there is no debug file for build id {id}"),
            None => "it is stripped, and has no build id".to_owned(),
        };
        Self {
            symbols: debug_path.into_iter().chain(own_path).collect(),
            lines,
            without,
            _debug_file: found.map(|found| found.file),
        }
    }

    /// The files that will be looked into.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.symbols.iter().map(PathBuf::as_path)
    }

    /// Names addresses as the file counts them: for each what it is called, from the innermost
    /// function outwards, nothing where there is no name.
    pub(super) fn of(&self, addresses: &[u64], detail: Detail) -> HashMap<u64, Vec<Named>> {
        let files: Vec<_> = match detail {
            Detail::Symbols => self.symbols.iter().map(|file| (file, None)).collect(),
            Detail::Lines => self
                .lines
                .iter()
                .map(|(file, of)| (file, Some(*of)))
                .collect(),
        };
        let mut names = HashMap::new();
        for (file, lines) in files {
            let unnamed = addresses
                .iter()
                .filter(|address| !names.contains_key(*address));
            let unnamed: Vec<u64> = unnamed.copied().collect();
            // What cannot be named stays as it is.
            let found = names_in(file, unnamed.clone(), lines).unwrap_or_default();
            names.extend(
                unnamed
                    .into_iter()
                    .zip(found)
                    .filter(|(_, named)| !named.is_empty()),
            );
        }
        names
    }
}

/// By which an open file is opened once more.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What else may be opened by the name that debug information has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Nothing.
    No,
    /// What distributions take out of several debug files to have it once.
    Common,
}

/// The file if it has debug information, and what that may name.
///
/// Whoever follows the names of other files in it opens what its author likes, be it a device.
/// That is done for what root has put where debug files are, and for nothing else.
fn lines(file: &File, elf: &Elf, is_of_root: bool) -> Option<(PathBuf, Others)> {
    let others = match elf.has(".gnu_debugaltlink") || elf.has(".debug_sup") {
        true => Others::Common,
        false => Others::No,
    };
    let may_follow = others == Others::No || is_of_root;
    let is_usable = elf.has(".debug_info") && !elf.has(".gnu_debuglink") && may_follow;
    is_usable.then(|| (path_of(file), others))
}

/// Names by symbols, or by debug information if it is said what that may name.
fn names_in(
    file: &Path,
    addresses: Vec<u64>,
    lines: Option<Others>,
) -> Result<Vec<Vec<Named>>, &'static str> {
    let mut source = ElfSource::new(file);
    source.debug_syms = lines.is_some();
    let directories = match lines {
        Some(Others::Common) => vec![DEBUG_DIRECTORY],
        Some(Others::No) | None => Vec::new(),
    };
    attempt(NAMED_WITHIN, move || {
        let symbolizer = Symbolizer::builder()
            .enable_auto_reload(false)
            .enable_code_info(lines.is_some())
            .enable_inlined_fns(lines.is_some())
            .set_debug_dirs(Some(directories))
            .build();
        let source = Source::Elf(source);
        let name = |address: &u64| {
            let found = symbolizer.symbolize_single(&source, Input::VirtOffset(*address));
            found.map_or_else(|_| Vec::new(), |found| named(&found))
        };
        addresses.iter().map(name).collect()
    })
}

fn named(found: &Symbolized) -> Vec<Named> {
    let Symbolized::Sym(symbol) = found else {
        return Vec::new();
    };
    let outermost = one(&symbol.name, symbol.code_info.as_deref(), false);
    let inlined = symbol.inlined.iter().rev().take(MAX_INLINED);
    inlined
        .map(|function| one(&function.name, function.code_info.as_ref(), true))
        .chain([outermost])
        .collect()
}

fn one(name: &str, code: Option<&CodeInfo>, inlined: bool) -> Named {
    let file = code.map(|code| shortened(code.to_path().as_os_str().as_encoded_bytes()));
    Named {
        function: shortened(name.as_bytes()),
        file,
        line: code.and_then(|code| code.line),
        inlined,
    }
}

/// A name that is harmless and of a bounded length.
pub(super) fn shortened(name: &[u8]) -> String {
    let mut name = printable(name);
    if name.len() > MAX_NAME_BYTES {
        let end = (0..=MAX_NAME_BYTES - 3)
            .rev()
            .find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or(0));
        name.push('…');
    }
    name
}
