//! The files that a process has mapped as code, and how each is opened.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::str;

use rustix::fs::OFlags;

use super::FileId;
use crate::collect::{Host, field};
use crate::sample::printable;

/// The default limit of 65530 mappings takes about this much; what is beyond it is not seen.
const MAX_MAPS_BYTES: u64 = 8 << 20;
/// Far more files than any program maps as code.
const MAX_MODULES: usize = 1024;
/// And far more pieces than a file is mapped in.
const MAX_PIECES: usize = 64;
/// A JIT maps its code in a few large pieces.
const MAX_WITHOUT_FILE: usize = 4096;

/// A file that is mapped as code, at least in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) file: FileId,
    /// As the kernel wrote it: newlines as `\012`, ` (deleted)` behind it if it is.
    path: Vec<u8>,
    /// Every piece of it that is mapped, in the order of addresses.
    pub(crate) pieces: Vec<Piece>,
}

/// A part of a file in the process's address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) addresses: Range<u64>,
    pub(crate) file_offset: u64,
    pub(crate) is_code: bool,
}

/// All code that a process can run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MappedCode {
    /// What is of files, in the order of their first addresses.
    pub(crate) modules: Vec<Module>,
    /// What is of none, as the kernel names it, if it does: `[vdso]`, or what a JIT has written.
    pub(crate) without_file: Vec<(Range<u64>, String)>,
}

impl Host {
    /// The files that a process has mapped as code, in the order of their first addresses.
    pub(super) fn mapped_modules(&self, pid: u32) -> io::Result<Vec<Module>> {
        let maps = self.read_of_process_at_most(pid, "maps", MAX_MAPS_BYTES)?;
        Ok(modules_in(&maps))
    }

    /// All code of a process.
    pub(crate) fn mapped_code(&self, pid: u32) -> io::Result<MappedCode> {
        let maps = self.read_of_process_at_most(pid, "maps", MAX_MAPS_BYTES)?;
        Ok(MappedCode {
            modules: modules_in(&maps),
            without_file: without_file_in(&maps),
        })
    }
}

impl Module {
    /// The file's path in the process's mount namespace (not its root), harmless to show.
    pub(crate) fn shown_path(&self) -> String {
        printable(self.path_without_remark())
    }

    /// Whether this is what valgrind loads into every program that it runs.
    pub(super) fn is_of_valgrind(&self) -> bool {
        let name = self.path.rsplit(|byte| *byte == b'/').next();
        name.is_some_and(|name| name.starts_with(b"vgpreload_core"))
    }

    /// Whether an address is in any of its pieces.
    pub(super) fn contains(&self, address: u64) -> bool {
        self.pieces
            .iter()
            .any(|piece| piece.addresses.contains(&address))
    }

    /// The addresses of the code around a place in the file, if that is mapped as code.
    pub(super) fn text_around(&self, file_offset: u64) -> Option<Range<u64>> {
        let code: Vec<_> = self.pieces.iter().filter(|piece| piece.is_code).collect();
        let at = code.iter().position(|piece| {
            let length = piece.addresses.end - piece.addresses.start;
            file_offset
                .checked_sub(piece.file_offset)
                .is_some_and(|into| into < length)
        })?;
        // Code that is mapped in several pieces, one behind the other, is one all the same.
        let mut text = code[at].addresses.clone();
        for piece in code[..at].iter().rev() {
            if piece.addresses.end == text.start {
                text.start = piece.addresses.start;
            }
        }
        for piece in &code[at + 1..] {
            if piece.addresses.start == text.end {
                text.end = piece.addresses.end;
            }
        }
        Some(text)
    }

    /// Opens the very file that is mapped, and says by which path.
    ///
    /// Entries of `map_files` lead to it even if it has been deleted or is in another mount
    /// namespace; they need CAP_CHECKPOINT_RESTORE. Without them, what has the same path in the
    /// process's root is taken if it is the same file.
    pub(crate) fn open(&self, host: &Host, pid: u32) -> io::Result<(PathBuf, File)> {
        let mut first_error = None;
        for piece in self.pieces.iter().filter(|piece| piece.is_code) {
            // Not padded with zeros, as addresses in maps are.
            let Range { start, end } = piece.addresses;
            let path = host.path_of_process(pid, format!("map_files/{start:x}-{end:x}"));
            match open_regular(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let Some(path) = self.path_in_root() else {
            return Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()));
        };
        let path = host.path_of_process(pid, path);
        let file = open_regular(&path)?;
        if self.is_same(&file.metadata()?) {
            return Ok((path, file));
        }
        let message = "another file has its path, and map_files cannot be read";
        Err(io::Error::other(message))
    }

    fn is_same(&self, metadata: &fs::Metadata) -> bool {
        let device = metadata.dev();
        self.file.inode == metadata.ino()
            && self.file.device_major == rustix::fs::major(device)
            && self.file.device_minor == rustix::fs::minor(device)
    }

    /// Its path below `/proc/PID`, if it still has one.
    pub(crate) fn path_in_root(&self) -> Option<PathBuf> {
        if self.path.ends_with(DELETED) {
            return None;
        }
        // A path that has `\012` itself cannot be told from one with a newline: it is not found,
        // or found to be another file.
        let mut path = b"root".to_vec();
        let mut rest = self.path.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            match rest.strip_prefix(b"\\012") {
                Some(behind) => {
                    path.push(b'\n');
                    rest = behind;
                }
                None => {
                    path.push(*first);
                    rest = behind;
                }
            }
        }
        Some(PathBuf::from(OsStr::from_bytes(&path)))
    }

    fn path_without_remark(&self) -> &[u8] {
        self.path.strip_suffix(DELETED).unwrap_or(&self.path)
    }
}

const DELETED: &[u8] = b" (deleted)";

/// Opens nothing but regular files, as others may block or act on being opened.
fn open_regular(path: &std::path::Path) -> io::Result<File> {
    let is_regular = |metadata: fs::Metadata| {
        if metadata.is_file() {
            Ok(())
        } else {
            Err(io::Error::other("it is no regular file"))
        }
    };
    is_regular(fs::metadata(path)?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    // Asked again: it may have been replaced in between.
    is_regular(file.metadata()?)?;
    Ok(file)
}

fn modules_in(maps: &[u8]) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (file, piece, path) in field::lines(maps).filter_map(file_mapping) {
        let place = *places.entry(file).or_insert(modules.len());
        if place == modules.len() {
            modules.push(Module {
                file,
                path: path.to_vec(),
                pieces: Vec::new(),
            });
        }
        let pieces = &mut modules[place].pieces;
        // Room is kept for code, however often a database maps its data.
        if pieces.len() < MAX_PIECES || piece.is_code && pieces.len() < 2 * MAX_PIECES {
            pieces.push(piece);
        }
    }
    modules.retain(|module| module.pieces.iter().any(|piece| piece.is_code));
    modules.truncate(MAX_MODULES);
    modules
}

fn without_file_in(maps: &[u8]) -> Vec<(Range<u64>, String)> {
    let mappings = field::lines(maps).filter_map(mapping);
    let code = mappings.filter(|(file, piece, _)| file.inode == 0 && piece.is_code);
    code.map(|(_, piece, name)| (piece.addresses, printable(name)))
        .take(MAX_WITHOUT_FILE)
        .collect()
}

/// A line of /proc/PID/maps, if it is of a file.
fn file_mapping(line: &[u8]) -> Option<(FileId, Piece, &[u8])> {
    mapping(line).filter(|(file, _, path)| file.inode != 0 && path.starts_with(b"/"))
}

/// A line of /proc/PID/maps: `start-end perms offset major:minor inode path`.
fn mapping(line: &[u8]) -> Option<(FileId, Piece, &[u8])> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut next = || str::from_utf8(fields.next()?).ok();
    let (start, end) = next()?.split_once('-')?;
    let permissions = next()?;
    let file_offset = hexadecimal(next()?)?;
    let (major, minor) = next()?.split_once(':')?;
    let inode = next()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    let addresses = hexadecimal(start)?..hexadecimal(end)?;
    if addresses.is_empty() {
        return None;
    }
    let file = FileId {
        device_major: u32::from_str_radix(major, 16).ok()?,
        device_minor: u32::from_str_radix(minor, 16).ok()?,
        inode,
    };
    let piece = Piece {
        addresses,
        file_offset,
        is_code: permissions.as_bytes().get(2) == Some(&b'x'),
    };
    Some((file, piece, path))
}

fn hexadecimal(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::collect::tree::Tree;

    const MAPS: &str = "\
00400000-00401000 r--p 00000000 fe:00 77                                 /usr/bin/a b\\012c
00401000-00402000 r-xp 00001000 fe:00 77                                 /usr/bin/a b\\012c
00402000-00403000 rw-p 00002000 fe:00 77                                 /usr/bin/a b\\012c
01000000-01021000 rw-p 00000000 00:00 0                                  [heap]
7f0000000000-7f0000001000 r--p 00000000 fe:01 5                          /usr/share/data
7f0000010000-7f0000012000 r-xp 00003000 103:0a 6                         /lib/x.so (deleted)
7f0000012000-7f0000013000 r-xp 00005000 103:0a 6                         /lib/x.so (deleted)
7f0000013000-7f0000014000 r-xp 00000000 00:00 0
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn files_that_are_code_are_found_whatever_their_paths() {
        let modules = modules_in(MAPS.as_bytes());
        let shown: Vec<_> = modules.iter().map(Module::shown_path).collect();
        assert_eq!(shown, ["/usr/bin/a b\\012c", "/lib/x.so"]);
        let [program, library] = &modules[..] else {
            panic!("{modules:?}")
        };
        assert_eq!(program.pieces.len(), 3);
        assert!(program.contains(0x402fff) && !program.contains(0x403000));
        let file = FileId {
            device_major: 0x103,
            device_minor: 10,
            inode: 6,
        };
        assert_eq!(library.file, file);
        assert_eq!(
            program.path_in_root().as_deref(),
            Some(Path::new("root/usr/bin/a b\nc"))
        );
        assert_eq!(library.path_in_root(), None);
        for (module, offset, expected) in [
            (program, 0x1000, Some(0x401000..0x402000)),
            (program, 0x1fff, Some(0x401000..0x402000)),
            (program, 0x0fff, None),
            (program, 0x2000, None),
            (library, 0x3000, Some(0x7f0000010000..0x7f0000013000)),
            (library, 0x5fff, Some(0x7f0000010000..0x7f0000013000)),
            (library, 0x6000, None),
        ] {
            assert_eq!(module.text_around(offset), expected, "{offset:x}");
        }
    }

    #[test]
    fn code_of_no_file_has_the_kernels_name() {
        let expected = [
            (0x7f0000013000..0x7f0000014000, String::new()),
            (0x7ffc00000000..0x7ffc00001000, "[vdso]".to_owned()),
        ];
        assert_eq!(without_file_in(MAPS.as_bytes()), expected);
    }

    #[test]
    fn the_mapped_file_is_opened_and_no_other() {
        let open = |tree: Tree| {
            let host = tree.file("proc/7/maps", MAPS).host();
            let modules = host.mapped_modules(7).expect("maps");
            modules[0]
                .open(&host, 7)
                .map(|(path, _)| path.ends_with("map_files/401000-402000"))
                .map_err(|error| error.to_string())
        };
        let by_map = Tree::new().file("proc/7/map_files/401000-402000", "x");
        assert_eq!(open(by_map), Ok(true));
        let other = "another file has its path, and map_files cannot be read";
        let by_path = Tree::new().file("proc/7/root/usr/bin/a b\nc", "x");
        assert_eq!(open(by_path), Err(other.to_owned()));
        let no_file = Tree::new().file("proc/7/root/usr/bin/a b\nc/directory", "x");
        assert_eq!(open(no_file), Err("it is no regular file".to_owned()));
        assert!(open(Tree::new()).is_err());
    }

    #[test]
    fn a_file_with_the_mapped_ones_path_is_taken_if_it_is_the_same() {
        let tree = Tree::new().file("proc/7/root/lib/x.so", "x");
        let host = tree.host();
        let metadata = fs::metadata(host.path_of_process(7, "root/lib/x.so")).expect("a file");
        let line = format!(
            "1000-2000 r-xp 00000000 {:02x}:{:02x} {} /lib/x.so",
            rustix::fs::major(metadata.dev()),
            rustix::fs::minor(metadata.dev()),
            metadata.ino()
        );
        let modules = modules_in(line.as_bytes());
        let (path, _) = modules[0].open(&host, 7).expect("the same file");
        assert_eq!(path, host.path_of_process(7, "root/lib/x.so"));
    }

    #[test]
    fn many_mappings_are_bounded() {
        let line = |n: u64| format!("{n:x}000-{n:x}fff r-xp 0 1:1 {n} /f{n}\n");
        let maps: String = (1..3000).map(line).collect();
        assert_eq!(modules_in(maps.as_bytes()).len(), MAX_MODULES);
        let line = |n: u64| format!("{n:x}000-{n:x}fff r--p 0 1:1 7 /data\n");
        let maps: String = (1..3000).map(line).collect();
        let maps = maps + "f000000-f001000 r-xp 0 1:1 7 /data\n";
        assert_eq!(modules_in(maps.as_bytes())[0].pieces.len(), MAX_PIECES + 1);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_passed_over(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            modules_in(&line);
        }

        #[test]
        fn any_path_is_read(path in proptest::collection::vec(any::<u8>(), 0..100)) {
            let line = [b"1000-2000 r-xp 00000000 01:02 3    /", path.as_slice()].concat();
            for module in modules_in(&line) {
                prop_assert!(!module.shown_path().contains(char::is_control));
                module.path_in_root();
            }
        }
    }
}
