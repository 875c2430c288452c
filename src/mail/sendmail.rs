//! A program that takes mails as sendmail does: Postfix, Exim, OpenSMTPD, msmtp and others have one.
//!
//! It is called directly, never by a shell, and judged by its exit status (sysexits.h).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lettre::Address;
use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};

use super::connection::Verdict;
use super::envelope::Envelope;
use super::text::shorten;
use crate::config;
use crate::sample::printable;

/// So much of what the program says is passed on, in bytes.
const MAX_SAID: usize = 300;

/// How often is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How it is called.
#[derive(Debug, Clone)]
pub struct Sendmail {
    program: PathBuf,
    timeout: Duration,
}

impl Sendmail {
    /// As `[mail]` has it.
    pub fn new(mail: &config::Mail) -> Self {
        Self {
            program: mail.sendmail.clone(),
            timeout: mail.timeout.duration(),
        }
    }

    /// Its path, as log lines show it.
    pub fn name(&self) -> String {
        printable(self.program.as_os_str().as_encoded_bytes())
    }

    /// Hands it one message; the verdicts are in the order of the recipients.
    ///
    /// A recipient that is refused does not keep it from the others: as an exit status does not say
    /// who was meant, it is then called for each by itself.
    pub(super) fn send(&self, envelope: &Envelope, message: &[u8]) -> Vec<Verdict> {
        if envelope.to.is_empty() {
            return Vec::new();
        }
        let verdict = self.call(&envelope.from, &envelope.to, message);
        if envelope.to.len() == 1 || !matches!(verdict, Verdict::Refused(_)) {
            return vec![verdict; envelope.to.len()];
        }
        let each = envelope.to.chunks(1);
        each.map(|to| self.call(&envelope.from, to, message))
            .collect()
    }

    fn call(&self, from: &Address, to: &[Address], message: &[u8]) -> Verdict {
        match self.run(from, to, message) {
            Ok(Some((status, said))) => verdict(status, &said),
            Ok(None) => Verdict::Later(format!(
                "{} took longer than {} s",
                self.name(),
                self.timeout.as_secs()
            )),
            Err(error) => Verdict::Later(format!("{} cannot be run: {error}", self.name())),
        }
    }

    /// Its exit status and what it said; none if it took too long.
    fn run(
        &self,
        from: &Address,
        to: &[Address],
        message: &[u8],
    ) -> io::Result<Option<(ExitStatus, Vec<u8>)>> {
        let mut child = Command::new(&self.program)
            // -i: a line with a single dot is not the end.
            .args(["-i", "-f"])
            .arg(from)
            .arg("--")
            .args(to.iter().map(ToString::to_string))
            .stdin(input(message)?)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // What it has started ends with it, when time is over.
            .process_group(0)
            .spawn()?;
        let mut said = Said::of(&mut child)?;
        let begin = Instant::now();
        loop {
            // Before the look at what it says, so that its last words are not missed.
            let ended = child.try_wait()?;
            said.read();
            if let Some(status) = ended {
                return Ok(Some((status, said.text)));
            }
            if begin.elapsed() >= self.timeout {
                end(&mut child);
                return Ok(None);
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// The message as a file to read, with lines as programs of this system have them.
fn input(message: &[u8]) -> io::Result<File> {
    let mut lines = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                lines.extend_from_slice(line);
                lines.push(b'\n');
            }
            None => lines.extend_from_slice(line),
        }
    }
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    file.write_all(&lines)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// What the program says on standard error, as far as anybody wants to know.
struct Said {
    pipe: ChildStderr,
    text: Vec<u8>,
}

impl Said {
    fn of(child: &mut Child) -> io::Result<Self> {
        let pipe = child.stderr.take().expect("it was asked for");
        // What the program has started may keep it open for as long as it likes.
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let text = Vec::new();
        Ok(Self { pipe, text })
    }

    /// Reads what there is, so that nobody has to wait for room in the pipe.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        // 16 times is what a pipe holds; who writes more meanwhile is read the next time.
        for _ in 0..16 {
            match self.pipe.read(&mut buffer) {
                Ok(n_bytes) if n_bytes > 0 => {
                    let room = (4 * MAX_SAID).saturating_sub(self.text.len());
                    self.text.extend_from_slice(&buffer[..n_bytes.min(room)]);
                }
                _ => return,
            }
        }
    }
}

/// Ends it with all that it has started.
fn end(child: &mut Child) {
    // It may have ended by itself just now.
    kill_process_group(Pid::from_child(child), Signal::KILL).ok();
    child.wait().ok();
}

/// What an exit status says of a message. Only what is said of the message or of its recipients is
/// for good: a program that is set up wrong will be set right.
fn verdict(status: ExitStatus, said: &[u8]) -> Verdict {
    let (name, is_permanent) = match status.code() {
        Some(0) => return Verdict::Taken,
        Some(64) => ("EX_USAGE", false),
        Some(65) => ("EX_DATAERR", true),
        Some(67) => ("EX_NOUSER", true),
        Some(68) => ("EX_NOHOST", true),
        Some(69) => ("EX_UNAVAILABLE", false),
        Some(70) => ("EX_SOFTWARE", false),
        Some(71) => ("EX_OSERR", false),
        Some(75) => ("EX_TEMPFAIL", false),
        Some(77) => ("EX_NOPERM", false),
        Some(78) => ("EX_CONFIG", false),
        _ => ("", false),
    };
    let ended = match (status.code(), status.signal()) {
        (Some(code), _) if name.is_empty() => format!("exit status {code}"),
        (Some(code), _) => format!("exit status {code} ({name})"),
        (None, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
    };
    let said = printable(said.trim_ascii());
    let why = match said.is_empty() {
        true => ended,
        false => format!("{ended}: {}", shorten(&said, MAX_SAID)),
    };
    match is_permanent {
        true => Verdict::Refused(why),
        false => Verdict::Later(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_is_judged_by_what_it_means() {
        for (status, said, expected) in [
            (0, "warning: x", Verdict::Taken),
            (
                67 << 8,
                "nobody: user unknown\n",
                Verdict::Refused("exit status 67 (EX_NOUSER): nobody: user unknown".to_owned()),
            ),
            (
                75 << 8,
                "",
                Verdict::Later("exit status 75 (EX_TEMPFAIL)".to_owned()),
            ),
            (
                78 << 8,
                "\u{1b}[2J",
                Verdict::Later("exit status 78 (EX_CONFIG): \\u{1b}[2J".to_owned()),
            ),
            (1 << 8, "", Verdict::Later("exit status 1".to_owned())),
            (9, "", Verdict::Later("ended by signal 9".to_owned())),
        ] {
            let status = ExitStatus::from_raw(status);
            assert_eq!(verdict(status, said.as_bytes()), expected);
        }
    }

    #[test]
    fn lines_end_as_they_do_on_this_system() {
        for (message, expected) in [
            ("a: b\r\n\r\n.\r\nc", "a: b\n\n.\nc"),
            ("a\rb\n\r\n", "a\rb\n\n"),
            ("", ""),
        ] {
            let mut text = String::new();
            let mut file = input(message.as_bytes()).expect("is written");
            file.read_to_string(&mut text).expect("is read");
            assert_eq!(text, expected);
        }
    }
}
