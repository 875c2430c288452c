//! Small files: read with a bound, and replaced so that at any time there is the old one or the
//! new one. What is shared with a less trusted program goes by these functions alone.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use rustix::io::Errno;

/// Reads a file that should be small, and refuses one that is not.
pub(crate) fn read_small(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Writes a file, or replaces it. Whoever reads it sees the old text or the new one; after a crash
/// of the machine it may be empty.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    exchange(path, bytes, mode, |_| Ok(()))
}

/// The same, and when this returns it is on the disk.
pub(crate) fn replace_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    exchange(path, bytes, mode, File::sync_all)?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

/// Makes a directory for the owner and the group, if it is not there. The mode is set apart
/// because the umask may take from the one that is asked for.
pub(crate) fn make_shared_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o770)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until renames and removals in a directory are on the disk.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems do not know this for directories, and then need it not.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        synced => synced,
    }
}

/// The plain files of a directory, with the times when they were written; links and directories
/// are left out.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => files.push((metadata.modified()?, entry.path())),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// Removes the oldest files of a directory until so many are left.
pub(crate) fn forget_oldest(directory: &Path, n_kept: usize) -> io::Result<()> {
    let mut files = list(directory)?;
    files.sort();
    let n_over = files.len().saturating_sub(n_kept);
    files[..n_over]
        .iter()
        .try_for_each(|(_, path)| unless_gone(fs::remove_file(path)))
}

/// That somebody else was faster is no failure.
pub(crate) fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn exchange(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
    // Hidden, and without the ending by which such files are found.
    let temporary = format!(".{}.{}", name.to_string_lossy(), process::id());
    let temporary = path.with_file_name(temporary);
    let done = write_new(&temporary, bytes, mode)
        .and_then(|file| finish(&file))
        .and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        // What was written is of no use; if it cannot be removed either, the error says why.
        fs::remove_file(&temporary).ok();
    }
    done
}

/// Writes a file that is not there yet.
///
/// The directory may belong to a less trusted user, so what has the name already, link or file,
/// is removed and never written through.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<File> {
    unless_gone(fs::remove_file(path))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("figures.prom");
        for (text, mode) in [("old", 0o644), ("new", 0o640)] {
            for replace in [replace, replace_durably] {
                replace(&path, text.as_bytes(), mode).expect("writes");
                assert_eq!(fs::read_to_string(&path).expect("reads"), text);
                let metadata = fs::metadata(&path).expect("is there");
                assert_eq!(metadata.permissions().mode() & 0o777, mode);
                assert_eq!(list(directory.path()).expect("lists").len(), 1);
            }
        }
    }

    #[test]
    fn a_link_that_lies_in_wait_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").expect("writes");
        let path = directory.path().join("file");
        let lure = directory.path().join(format!(".file.{}", process::id()));
        symlink(&victim, &lure).expect("links");
        symlink(&victim, &path).expect("links");
        replace_durably(&path, b"text", 0o640).expect("writes");
        assert_eq!(fs::read_to_string(&victim).expect("reads"), "precious");
        assert_eq!(fs::read_to_string(&path).expect("reads"), "text");
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("taken");
        fs::create_dir(&path).expect("a directory");
        replace(&path, b"text", 0o644).expect_err("a directory has its name");
        assert_eq!(list(directory.path()).expect("lists"), []);
        replace(Path::new("/"), b"text", 0o644).expect_err("that is no file");
    }
}
