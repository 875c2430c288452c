//! One entry to journald: as a datagram, or if it is too large for one, as a sealed file in memory.

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// A journald whose buffer is full gets so long to read of it. Longer, and the outbox tries again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends an entry. The socket is looked up anew each time: journald may have been restarted.
pub(super) fn send(path: &Path, entry: &[u8]) -> Result<()> {
    let socket = UnixDatagram::unbound().context("making a socket")?;
    socket
        .set_write_timeout(Some(PATIENCE))
        .context("bounding how long a socket waits")?;
    socket.connect(path)?;
    // A signal ends a wait that is bounded, whatever its handler asks for.
    match retry_on_intr(|| rustix::net::send(&socket, entry, SendFlags::NOSIGNAL)) {
        Ok(_) => Ok(()),
        Err(Errno::MSGSIZE | Errno::NOBUFS) => {
            let file = sealed(entry).context("writing a large entry into memory")?;
            send_file(&socket, &file).map_err(explained)
        }
        Err(error) => Err(explained(error)),
    }
}

fn explained(error: Errno) -> anyhow::Error {
    match error {
        Errno::AGAIN => anyhow!("its buffer is full, and it does not read"),
        _ => anyhow!("{}", io::Error::from(error)),
    }
}

/// A file that nobody can change any more, as journald asks of one that it maps.
fn sealed(entry: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = std::fs::File::from(memfd_create("journal-entry", flags)?);
    file.write_all(entry)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

fn send_file(socket: &UnixDatagram, file: &OwnedFd) -> rustix::io::Result<()> {
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = control.push(SendAncillaryMessage::ScmRights(&files));
    debug_assert!(fits, "the space is made for one file");
    retry_on_intr(|| {
        sendmsg(
            socket,
            &[IoSlice::new(&[])],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{IoSliceMut, Read, Seek};
    use std::time::Instant;

    use rustix::fs::fcntl_get_seals;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use tempfile::TempDir;

    use super::*;

    /// What came, as data and as a file.
    fn received(socket: &UnixDatagram) -> (Vec<u8>, Option<File>) {
        let mut data = vec![0; 1 << 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut data)];
        let message = recvmsg(socket, &mut slices, &mut control, RecvFlags::empty());
        let n_bytes = message.expect("a message").bytes;
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next().map(File::from),
            _ => None,
        });
        data.truncate(n_bytes);
        (data, file)
    }

    #[test]
    fn what_no_datagram_holds_goes_as_a_sealed_file() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).expect("a socket");
        for length in [10, 100_000, 5_000_000] {
            let entry = vec![b'x'; length];
            send(&path, &entry).expect("it is sent");
            let (data, file) = received(&journal);
            let Some(mut file) = file else {
                assert!(data == entry && length < 1 << 20, "{length}");
                continue;
            };
            assert!(data.is_empty() && length > 1 << 20, "{length}");
            let seals = fcntl_get_seals(&file).expect("seals");
            assert!(seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE));
            let mut content = Vec::new();
            file.rewind().expect("a file");
            file.read_to_end(&mut content).expect("a file");
            assert!(content == entry);
        }
    }

    #[test]
    fn a_journal_that_is_not_there_or_does_not_read_is_an_error() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("socket");
        let error = send(&path, b"A=b\n").expect_err("there is nobody");
        assert!(error.to_string().contains("No such file"), "{error:#}");
        let journal = UnixDatagram::bind(&path).expect("a socket");
        let error = (0..10_000)
            .find_map(|_| send(&path, b"A=b\n").err())
            .expect("a full buffer");
        assert!(error.to_string().contains("is full"), "{error:#}");
        // It reads a little later, and the sender has waited for it.
        let reader = std::thread::spawn(move || {
            std::thread::sleep(PATIENCE / 4);
            received(&journal);
            journal
        });
        let began = Instant::now();
        send(&path, b"A=b\n").expect("there is room again");
        assert!(began.elapsed() >= PATIENCE / 8);
        drop(reader.join());
        send(&path, b"A=b\n").expect_err("its end is known");
    }
}
