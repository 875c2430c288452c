//! Separate debug files: what distributions strip off their programs, by build id or by name.
//!
//! Symbolic links of a root stay within it, and nothing but regular files is opened.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

use super::elf::Elf;

/// Where distributions put them.
pub(super) const DEBUG_DIRECTORY: &str = "/usr/lib/debug";
/// A checksum is of a whole file: those of larger ones are not believed unread.
const MAX_SUMMED_BYTES: u64 = 1 << 30;
const MAX_LINK_BYTES: u64 = 4096;

/// A directory that is `/` for whoever is looked at.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

impl Root {
    /// One that stays what it is when the process has ended.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens a regular file below it, whatever links lead there.
    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = openat2(&self.0, path, flags, Mode::empty(), within)?;
        // Looked at before it is opened, which may block, or set something off.
        let kind = FileType::from_raw_mode(fstat(&found)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::Error::other("it is no regular file"));
        }
        File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))
    }
}

/// What a program says of its debug file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    /// A name without a directory.
    name: String,
    /// CRC-32 of the whole file.
    checksum: u32,
}

/// A debug file.
#[derive(Debug)]
pub(super) struct DebugFile {
    pub(super) file: File,
    pub(super) elf: Elf,
    /// Whether root has put it where debug files are, on our side.
    pub(super) is_of_root: bool,
}

/// The debug file of a program, if there is one: below the first root that has it. The first root is
/// ours.
pub(super) fn debug_file(
    roots: &[&Root],
    own: Option<(&File, &Elf)>,
    build_id: Option<&str>,
    path: Option<&Path>,
) -> Option<DebugFile> {
    let link = own.and_then(|(file, elf)| link(file, elf));
    let by_build_id = build_id.and_then(path_of_build_id);
    let by_link = path.and_then(Path::parent).zip(link.as_ref());
    let by_link = by_link.map(|(directory, link)| {
        let directory = Path::new("/").join(directory);
        let below = directory.strip_prefix("/").unwrap_or(&directory);
        [
            directory.join(&link.name),
            directory.join(".debug").join(&link.name),
            Path::new(DEBUG_DIRECTORY).join(below).join(&link.name),
        ]
    });
    let by_link = by_link.into_iter().flatten();
    let candidates: Vec<PathBuf> = by_build_id.into_iter().chain(by_link).collect();
    let mut roots = roots.iter().enumerate();
    roots.find_map(|(number, root)| {
        candidates.iter().find_map(|candidate| {
            let file = root.open_file(candidate).ok()?;
            let elf = Elf::read(&file).ok()?;
            let is_of_root = number == 0 && candidate.starts_with(DEBUG_DIRECTORY);
            is_of(&file, &elf, build_id, link.as_ref()).then_some(DebugFile {
                file,
                elf,
                is_of_root,
            })
        })
    })
}

/// Whether a file is the debug file of a program: it has the same build id, or, where one of them
/// has none, the checksum that the program names.
fn is_of(found: &File, found_elf: &Elf, build_id: Option<&str>, link: Option<&Link>) -> bool {
    match (found_elf.build_id.as_deref(), build_id) {
        (Some(found), Some(wanted)) => found == wanted,
        _ => link.is_some_and(|link| checksum(found).is_ok_and(|sum| sum == link.checksum)),
    }
}

/// `/usr/lib/debug/.build-id/12/3456.debug`
fn path_of_build_id(build_id: &str) -> Option<PathBuf> {
    let (first, rest) = build_id
        .split_at_checked(2)
        .filter(|(_, rest)| !rest.is_empty())?;
    Some(PathBuf::from(format!(
        "{DEBUG_DIRECTORY}/.build-id/{first}/{rest}.debug"
    )))
}

/// `.gnu_debuglink` is a name, filled up to four bytes with at least one zero, and a checksum.
fn link(file: &File, elf: &Elf) -> Option<Link> {
    let bytes = elf
        .section(".gnu_debuglink")?
        .bytes(file, MAX_LINK_BYTES)
        .ok()?;
    let length = bytes.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let at = (length + 1).checked_next_multiple_of(4)?;
    let checksum = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
    let is_plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
    is_plain.then(|| Link {
        name: name.to_owned(),
        checksum,
    })
}

fn checksum(file: &File) -> io::Result<u32> {
    let (mut sum, mut block) = (flate2::Crc::new(), vec![0; 128 << 10]);
    let mut file = file.take(MAX_SUMMED_BYTES);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(sum.sum()),
            n => sum.update(&block[..n]),
        }
    }
}
