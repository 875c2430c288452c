//! The code of the process whose stacks are resolved: what is where, and the files it is of.
//!
//! Files are opened when they are first seen, so that the process may end, delete them or replace
//! them afterwards.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::collect::mapped::{MappedCode, Module};
use crate::collect::{FileId, Host};

use super::debug_files::Root;
use super::elf::Elf;

/// Mappings are read again for an address that is in none of them, but not more often than this.
const READ_EVERY: Duration = Duration::from_millis(200);
/// Nor is more read than this, however often a process maps and unmaps code.
const MAX_READS: u32 = 500;
/// Files that are kept open.
const MAX_FILES: usize = 2048;

/// The code of a process.
#[derive(Debug)]
pub(super) struct Modules {
    host: Host,
    pid: u32,
    files: Vec<MappedFile>,
    loaded: Vec<Loaded>,
    without_file: Vec<(Range<u64>, String)>,
    read_at: Option<Instant>,
    n_reads: u32,
    /// Why mappings could not be read, the first time.
    error: Option<String>,
    root: Option<Root>,
    perf_map: Option<File>,
    /// The file whose tables are followed.
    followed: Option<usize>,
}

/// A file that is mapped as code.
#[derive(Debug)]
pub(super) struct MappedFile {
    id: FileId,
    /// Its path in the process's mount namespace, harmless to show.
    pub(super) path: String,
    /// The same to be opened below the process's root, if it still has one.
    pub(super) path_in_root: Option<PathBuf>,
    /// The file and its headers, or why there are none.
    pub(super) opened: Result<(File, Elf), String>,
    /// Whether following its tables has failed in a way that must not happen.
    pub(super) is_distrusted: bool,
}

/// A part of a process's memory that has the code of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Which of the files.
    pub(super) file: usize,
    /// Where.
    pub(super) addresses: Range<u64>,
    /// What is added to the file's addresses, modulo 2^64.
    pub(super) bias: u64,
}

/// What is at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code<'a> {
    /// The code of a file.
    OfFile(&'a Loaded),
    /// Code of no file, with the kernel's name for it.
    WithoutFile(&'a str),
    /// None.
    No,
}

impl Modules {
    /// The code of a process that has not been read yet.
    pub(super) fn new(host: Host, pid: u32) -> Self {
        Self {
            host,
            pid,
            files: Vec::new(),
            loaded: Vec::new(),
            without_file: Vec::new(),
            read_at: None,
            n_reads: 0,
            error: None,
            root: None,
            perf_map: None,
            followed: None,
        }
    }

    /// What is at an address, as far as is known.
    pub(super) fn at(&self, address: u64) -> Code<'_> {
        let after = self
            .loaded
            .partition_point(|loaded| loaded.addresses.start <= address);
        let loaded = after.checked_sub(1).and_then(|at| self.loaded.get(at));
        if let Some(loaded) = loaded.filter(|loaded| loaded.addresses.contains(&address)) {
            return Code::OfFile(loaded);
        }
        let mut without_file = self.without_file.iter();
        match without_file.find(|(addresses, _)| addresses.contains(&address)) {
            Some((_, name)) => Code::WithoutFile(name),
            None => Code::No,
        }
    }

    /// Reads mappings if nothing is known at an address; whether they were read.
    pub(super) fn learn(&mut self, address: u64) -> bool {
        let is_due = self.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY);
        if self.at(address) != Code::No || !is_due || self.n_reads >= MAX_READS {
            return false;
        }
        self.read_at = Some(Instant::now());
        self.n_reads += 1;
        match self.host.mapped_code(self.pid) {
            Ok(code) => {
                self.take(code);
                true
            }
            Err(error) => {
                // Once it has ended, what was learned before is all there is.
                self.error.get_or_insert_with(|| error.to_string());
                false
            }
        }
    }

    /// A file by its number.
    pub(super) fn file(&self, number: usize) -> Option<&MappedFile> {
        self.files.get(number)
    }

    /// Remembers that the tables of a file are about to be followed.
    pub(super) fn follow(&mut self, file: usize) {
        self.followed = Some(file);
    }

    /// Following tables has failed: those of the file are not followed again. Its path, if it was
    /// one that was not distrusted before.
    pub(super) fn distrust_followed(&mut self) -> Option<&str> {
        let file = self.files.get_mut(self.followed.take()?)?;
        let is_new = !std::mem::replace(&mut file.is_distrusted, true);
        is_new.then_some(file.path.as_str())
    }

    /// What is `/` for the process, also when it has ended.
    pub(super) fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// What the process says of code that it has made itself.
    pub(super) fn perf_map(&self) -> Option<&File> {
        self.perf_map.as_ref()
    }

    /// Why nothing is known of the process's code, if so.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref().filter(|_| self.files.is_empty())
    }

    fn take(&mut self, code: MappedCode) {
        if self.root.is_none() {
            let root = self.host.path_of_process(self.pid, "root");
            // Without it there are no debug files of the process's own.
            self.root = Root::open(&root).ok();
        }
        self.loaded.clear();
        for module in &code.modules {
            let known = self.files.iter().position(|file| file.id == module.file);
            let number = match known {
                Some(number) => number,
                None if self.files.len() >= MAX_FILES => continue,
                None => {
                    self.files.push(self.open(module));
                    self.files.len() - 1
                }
            };
            let Ok((_, elf)) = &self.files[number].opened else {
                // Nothing is known of its addresses, but that it is code.
                for piece in module.pieces.iter().filter(|piece| piece.is_code) {
                    let addresses = piece.addresses.clone();
                    let bias = addresses.start.wrapping_sub(piece.file_offset);
                    self.loaded.push(Loaded {
                        file: number,
                        addresses,
                        bias,
                    });
                }
                continue;
            };
            for piece in module.pieces.iter().filter(|piece| piece.is_code) {
                // The piece may begin before the segment that it is of, at the start of a page.
                let length = piece.addresses.end - piece.addresses.start;
                let in_file = piece.file_offset..piece.file_offset.saturating_add(length);
                let Some((offset, address)) = elf.first_code_in(in_file) else {
                    continue;
                };
                let into = offset - piece.file_offset;
                let bias = (piece.addresses.start.wrapping_add(into)).wrapping_sub(address);
                let addresses = piece.addresses.clone();
                self.loaded.push(Loaded {
                    file: number,
                    addresses,
                    bias,
                });
            }
        }
        self.loaded.sort_by_key(|loaded| loaded.addresses.start);
        self.without_file = code.without_file;
        let is_made = |(_, name): &(_, String)| !name.starts_with("[v");
        if self.perf_map.is_none() && self.without_file.iter().any(is_made) {
            self.perf_map = self.open_perf_map().ok();
        }
    }

    /// Others may write into `/tmp`: the map must be of the process's user, or of root.
    fn open_perf_map(&self) -> io::Result<File> {
        let root = self.root.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let own_pid = self.host.own_pid(self.pid)?;
        let file = root.open_file(Path::new(&format!("tmp/perf-{own_pid}.map")))?;
        let uid = file.metadata()?.uid();
        if uid != 0 && uid != self.host.owner(self.pid)? {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(file)
    }

    fn open(&self, module: &Module) -> MappedFile {
        let opened = module
            .open(&self.host, self.pid)
            .and_then(|(_, file)| Elf::read(&file).map(|elf| (file, elf)))
            .map_err(|error| error.to_string());
        MappedFile {
            id: module.file,
            path: module.shown_path(),
            path_in_root: module
                .path_in_root()
                .and_then(|path| path.strip_prefix("root").ok().map(PathBuf::from)),
            opened,
            is_distrusted: false,
        }
    }
}
