//! The host's side of the conversation with the agent in a machine, over any stream of bytes; what
//! they say is told in `agent/memleakd-test-agent`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A boot may take so long; under emulation it is slow.
const BOOT: Duration = Duration::from_secs(180);

/// The agent itself keeps to limits of time: an answer comes so long after them, or never.
const GRACE: Duration = Duration::from_secs(30);

/// The status of a script that took too long.
const LATE: i32 = 124;

/// What has come of a script.
#[derive(Debug)]
pub struct Output {
    /// As a shell has it: 128 and the signal's number if it was killed.
    pub status: i32,
    /// What it has said, standard output and error as they came.
    pub text: String,
}

impl Output {
    /// Whether it was killed because it took too long.
    pub fn is_late(&self) -> bool {
        self.status == LATE
    }
}

/// The agent in a machine.
pub struct Agent {
    /// How the machine was when it had booted: `running`, or `degraded` if a unit failed.
    pub state: String,
    stream: BufReader<UnixStream>,
}

impl Agent {
    /// Waits until the machine has booted.
    pub fn meet(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(BOOT))?;
        let mut agent = Self {
            state: String::new(),
            stream: BufReader::new(stream),
        };
        let line = agent.line()?;
        let state = line.strip_prefix("ready ").ok_or_else(|| unclear(&line))?;
        agent.state = state.to_owned();
        Ok(agent)
    }

    pub fn run(&mut self, script: &str, limit: Duration) -> io::Result<Output> {
        let head = format!("run {} {}\n", limit.as_secs_f64(), script.len());
        self.ask(&head, script.as_bytes(), limit)
    }

    pub fn put(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let head = format!("put {mode:o} {} {path}\n", content.len());
        self.ask(&head, content, Duration::ZERO).map(|_| ())
    }

    fn ask(&mut self, head: &str, content: &[u8], limit: Duration) -> io::Result<Output> {
        self.stream
            .get_ref()
            .set_read_timeout(Some(limit + GRACE))?;
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(content)?;
        let line = self.line()?;
        let mut words = line.split(' ');
        let (Some("done"), Some(Ok(status)), Some(Ok(length))) = (
            words.next(),
            words.next().map(str::parse),
            words.next().map(str::parse),
        ) else {
            return Err(unclear(&line));
        };
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text)?;
        Ok(Output {
            status,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn unclear(line: &str) -> io::Error {
    io::Error::other(format!("the agent says {line:?}"))
}
