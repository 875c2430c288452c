//! A terminal of the test's own, with a program on it: keys go in, and what it shows is looked at.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize};

use crate::stage::Running;

/// What a program shows is awaited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program on it.
pub struct Terminal {
    pub running: Running,
    /// The person's side; nothing once they have hung up.
    master: Option<File>,
    /// The program's side, which outlives it.
    slave: OwnedFd,
    shown: Arc<Mutex<Shown>>,
}

struct Shown {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Runs a program on a terminal of so many columns and lines, as its controlling one.
    pub fn run(command: &mut Command, columns: u16, lines: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let slave = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its side");
        resize(&master, columns, lines);
        // setsid goes over into the program: its number stays.
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(name, value),
                None => on_terminal.env_remove(name),
            };
        }
        let side = || Stdio::from(slave.try_clone().expect("a copy"));
        on_terminal.stdin(side()).stdout(side()).stderr(side());
        let running = Running::start(&mut on_terminal);
        let shown = Arc::new(Mutex::new(Shown {
            parser: vt100::Parser::new(lines, columns, 0),
            raw: Vec::new(),
        }));
        let master = File::from(master);
        let mut output = master.try_clone().expect("a copy");
        let seen = Arc::clone(&shown);
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                let mut seen = seen.lock().expect("nobody panics here");
                seen.raw.extend(&buffer[..n]);
                seen.parser.process(&buffer[..n]);
            }
        });
        Self {
            running,
            master: Some(master),
            slave,
            shown,
        }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        let mut master = self.master.as_ref().expect("nobody has hung up");
        master.write_all(keys.as_bytes()).expect("keys are taken");
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        let mut shown = self.lock();
        shown.parser.screen_mut().set_size(lines, columns);
        drop(shown);
        resize(
            self.master.as_ref().expect("nobody has hung up"),
            columns,
            lines,
        );
    }

    /// What is shown now.
    pub fn text(&self) -> String {
        self.lock().parser.screen().contents()
    }

    /// All that the program has written so far.
    pub fn raw(&self) -> Vec<u8> {
        self.lock().raw.clone()
    }

    /// Waits until what is shown is as wanted, and returns it.
    pub fn wait(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_wanted(&text) {
                return text;
            }
            assert!(Instant::now() < until, "{what} is not shown:\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether the program has the terminal for itself.
    pub fn is_taken(&self) -> bool {
        self.lock().parser.screen().alternate_screen()
    }

    /// Waits for the end: the status, or the signal.
    pub fn ended(&mut self) -> (Option<i32>, Option<i32>) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.running.0.try_wait().expect("a child") {
                return (status.code(), status.signal());
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Checks that the terminal is as it was before.
    pub fn assert_restored(&self, after: &str) {
        // What was written last may be on its way.
        let until = Instant::now() + Duration::from_secs(5);
        while self.is_taken() && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        let shown = self.lock();
        let screen = shown.parser.screen();
        assert!(!screen.alternate_screen(), "after {after}");
        assert!(!screen.hide_cursor(), "after {after}");
        drop(shown);
        let modes = tcgetattr(self.slave.as_fd()).expect("a terminal");
        let local = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(modes.local_modes.contains(local), "after {after}");
        assert!(
            modes.output_modes.contains(OutputModes::OPOST),
            "after {after}"
        );
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().expect("nobody panics there")
    }
}

fn resize(terminal: impl AsFd, columns: u16, lines: u16) {
    let size = Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("a size");
}
