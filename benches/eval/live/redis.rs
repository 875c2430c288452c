//! Requests for Redis, over its own protocol, by a thread beside it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// How long Redis may take to listen, and then for each answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests that are sent at a time, and the pause after them: a thousand a second.
const AT_A_TIME: u64 = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// A thread that fills a Redis for as long as that runs.
pub struct Filler {
    thread: Option<JoinHandle<Result<()>>>,
    /// Where the socket is: a path of few letters, as the kernel allows no others.
    _directory: TempDir,
}

impl Filler {
    /// Has a Redis that is yet to be started listen on a socket, keep a bounded number of bytes, or
    /// all, and be filled. What it keeps is written to a file, once a second.
    pub fn new(command: &mut Command, bound: Option<u64>, said: File) -> Result<Self> {
        let directory = TempDir::new().context("making a directory for a socket")?;
        let socket = directory.path().join("socket");
        command.arg("--unixsocket").arg(&socket);
        if let Some(bytes) = bound {
            command.args([
                "--maxmemory",
                &bytes.to_string(),
                "--maxmemory-policy",
                "allkeys-lru",
            ]);
        }
        Ok(Self {
            thread: Some(thread::spawn(move || fill(socket, said))),
            _directory: directory,
        })
    }

    /// Fails if it has given up.
    pub fn must_run(&mut self) -> Result<()> {
        let ended = self.thread.take_if(|thread| thread.is_finished());
        match ended.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result.context("filling it"),
            Some(Err(_)) => bail!("the thread that fills it has panicked"),
        }
    }
}

fn fill(socket: PathBuf, mut said: File) -> Result<()> {
    let stream = connect(&socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut requests = stream;
    let mut random_state = 1_u32;
    for number in 1.. {
        let mut batch = String::new();
        for part in 0..AT_A_TIME {
            random_state = random_state
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            let size = 256 + (random_state >> 16) as usize % 1536;
            let key = format!("answer:{}", number * AT_A_TIME + part);
            let length = key.len();
            write!(
                batch,
                "*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n${size}\r\n{:1>size$}\r\n",
                ""
            )?;
        }
        requests.write_all(batch.as_bytes())?;
        for _ in 0..AT_A_TIME {
            let answer = line(&mut answers)?;
            ensure!(answer == "+OK", "it says {answer:?} to SET");
        }
        thread::sleep(PAUSE);
        if number % 100 == 0 {
            requests.write_all(b"*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n")?;
            writeln!(said, "{}", used_memory(&mut answers)?)?;
        }
    }
    Ok(())
}

fn connect(socket: &PathBuf) -> Result<UnixStream> {
    let until = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > until => {
                return Err(error).context("connecting to it");
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// What it keeps in bytes, from the answer to `INFO memory`: a length, and as many bytes.
fn used_memory(answers: &mut impl BufRead) -> Result<u64> {
    let length = line(answers)?;
    let length: u64 = length
        .strip_prefix('$')
        .and_then(|length| length.parse().ok())
        .with_context(|| format!("it says {length:?} to INFO"))?;
    let mut text = String::new();
    answers.take(length + 2).read_to_string(&mut text)?;
    let used = text
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:")?.parse().ok());
    used.context("it does not say what memory it uses")
}

fn line(answers: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    ensure!(!line.is_empty(), "it has hung up");
    Ok(line.trim_end().to_owned())
}
