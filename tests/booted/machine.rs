//! A whole system, booted for a test and thrown away after it.
//!
//! What boots it is behind [`Runner`], what speaks with it is [`Agent`]; neither knows of the other.

mod agent;
mod nspawn;
mod qemu;
mod root;

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use agent::Agent;
pub use agent::Output;
use nspawn::Nspawn;
use qemu::Qemu;

/// A script that is to be done at once may take so long, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often something is looked at that is waited for.
const PAUSE: Duration = Duration::from_millis(200);

/// What runs a system.
trait Runner {
    /// Boots it, also again once the system inside has gone down to reboot, and returns what its
    /// agent speaks through.
    fn boot(&mut self) -> UnixStream;

    /// What it has said on its console, with the journal.
    fn console(&self) -> String;

    /// How many times as long everything may take there.
    fn slowness(&self) -> u32;
}

/// A system that runs; it is off and gone when this is dropped.
pub struct Machine {
    /// As `MEMLEAKD_MACHINES` has it.
    pub name: String,
    runner: RefCell<Box<dyn Runner>>,
    agent: RefCell<Agent>,
}

/// Plays a scenario on every machine, also if it fails on one.
pub fn on_each(scenario: impl Fn(&Machine)) {
    let names = std::env::var("MEMLEAKD_MACHINES").unwrap_or_else(|_| "bookworm trixie".to_owned());
    let mut failed = Vec::new();
    for name in names.split_whitespace() {
        let play = || {
            let machine = Machine::boot(name);
            scenario(&machine);
        };
        if panic::catch_unwind(AssertUnwindSafe(play)).is_err() {
            failed.push(name);
        }
    }
    assert!(
        failed.is_empty(),
        "failed on {}: see above",
        failed.join(", ")
    );
}

impl Machine {
    fn boot(name: &str) -> Self {
        let mut runner: Box<dyn Runner> = match name.strip_prefix("qemu-") {
            Some(kernel) => Box::new(Qemu::new(kernel)),
            None => Box::new(Nspawn::new(&root::of(name))),
        };
        let agent = Agent::meet(runner.boot());
        let agent = agent.unwrap_or_else(|error| {
            panic!(
                "{name} does not boot: {error}; its console:\n{}",
                tail(&runner.console())
            )
        });
        let machine = Self {
            name: name.to_owned(),
            runner: RefCell::new(runner),
            agent: RefCell::new(agent),
        };
        machine.assert_well();
        machine
    }

    /// Runs a script of bash as root, which ends at its first command that fails.
    pub fn run(&self, script: &str) -> Output {
        self.run_within(PATIENCE, script)
    }

    /// Runs a script that may take longer.
    pub fn run_within(&self, limit: Duration, script: &str) -> Output {
        let limit = limit * self.slowness();
        let output = self.agent.borrow_mut().run(script, limit);
        let output =
            output.unwrap_or_else(|error| self.fail(&format!("no answer ({error}) to"), script));
        if output.is_late() {
            self.fail(&format!("after {limit:?}: {}\nended", output.text), script);
        }
        output
    }

    /// What a script says that must succeed, without white space around it.
    pub fn ok(&self, script: &str) -> String {
        self.ok_within(PATIENCE, script)
    }

    /// The same of one that may take longer.
    pub fn ok_within(&self, limit: Duration, script: &str) -> String {
        let Output { status, text } = self.run_within(limit, script);
        if status != 0 {
            self.fail(&format!("status {status}, {}\nof", text.trim_end()), script);
        }
        text.trim().to_owned()
    }

    /// Writes a file, with its directories.
    pub fn put(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let done = self.agent.borrow_mut().put(path, mode, content.as_ref());
        done.unwrap_or_else(|error| self.fail(&format!("no answer ({error}) to putting"), path));
    }

    /// Copies a file of the host there.
    pub fn copy(&self, from: &Path, to: &str) {
        let content = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.put(to, 0o755, content);
    }

    /// Waits until a script succeeds, and returns what it says.
    pub fn eventually(&self, what: &str, within: Duration, script: &str) -> String {
        let within = within * self.slowness();
        let until = Instant::now() + within;
        loop {
            let Output { status, text } = self.run(script);
            if status == 0 {
                return text.trim().to_owned();
            }
            if Instant::now() > until {
                self.fail(
                    &format!("{what} did not come within {within:?}: {text}\nof"),
                    script,
                );
            }
            thread::sleep(PAUSE);
        }
    }

    /// The version of the kernel that it runs on.
    pub fn kernel(&self) -> (u32, u32) {
        let release = self.ok("uname -r");
        let mut numbers = release.split(['.', '-']).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => self.fail(&release, "uname -r"),
        }
    }

    /// How many times as long everything may take here as on a machine that is not emulated.
    pub fn slowness(&self) -> u32 {
        self.runner.borrow().slowness()
    }

    /// Has it shut down in good order and boot again.
    pub fn reboot(&self) {
        self.ok("(sleep 0.3; systemctl reboot) >/dev/null 2>&1 &");
        let agent = Agent::meet(self.runner.borrow_mut().boot());
        let agent = agent
            .unwrap_or_else(|error| self.fail(&format!("no answer ({error}) after"), "reboot"));
        self.agent.replace(agent);
        self.assert_well();
    }

    /// Panics unless all that was to be started has been.
    fn assert_well(&self) {
        let state = self.agent.borrow().state.clone();
        if state != "running" {
            self.fail(&format!("it is {state}"), "systemctl list-units --failed");
        }
    }

    fn fail(&self, what: &str, script: &str) -> ! {
        // By the console, as the system inside may not answer any more.
        let console = self.runner.borrow().console();
        panic!(
            "{}: {what}:\n{script}\n\nthe end of the journal:\n{}",
            self.name,
            tail(&console)
        );
    }
}

/// The last lines, without colours and what systemd says of each unit that it starts.
fn tail(console: &str) -> String {
    let lines = console.lines().map(plain);
    let lines: Vec<_> = lines
        .filter(|line| !line.starts_with("systemd[1]: "))
        .collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// A line without escape sequences for a terminal.
fn plain(line: &str) -> String {
    let mut letters = line.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            plain.push(letter);
            continue;
        }
        // Colours and the like end with a letter, titles with a bell.
        match letters.next() {
            Some('[') => letters.find(|&letter| ('@'..='~').contains(&letter)),
            Some(']') => letters.find(|&letter| letter == '\u{7}'),
            _ => None,
        };
    }
    plain
}

#[test]
#[ignore = "boots a system: make vm-test"]
fn a_machine_does_what_it_is_asked_for() {
    on_each(|machine| {
        machine.put("/var/lib/test/file", 0o640, "a\0b\n");
        let stat = machine.ok("stat -c '%a %s' /var/lib/test/file");
        assert_eq!(stat, "640 4");
        let failed = machine.run("echo before; false; echo after");
        assert_eq!((failed.status, failed.text.as_str()), (1, "before\n"));
        assert_eq!(machine.run("kill -KILL $$").status, 137);
        let long = machine.ok("head -c 3000000 /dev/zero | tr '\\0' x");
        assert_eq!(long.len(), 1 << 20);
        // What stays in the background holds nobody up, and what hangs is ended, with its children.
        machine.ok("sleep 1000 &");
        let hanging =
            || machine.run_within(Duration::from_secs(1), "echo hanging; sleep 2000; true");
        let panicked = panic::catch_unwind(AssertUnwindSafe(hanging)).expect_err("it hangs");
        let said = panicked.downcast_ref::<String>().expect("a text");
        assert!(
            said.contains("hanging") && said.contains("the end of the journal"),
            "{said}"
        );
        assert_eq!(machine.run("pgrep -f '[s]leep 2000'").text, "");
        machine.reboot();
        assert_eq!(machine.ok("stat -c '%a %s' /var/lib/test/file"), stat);
    });
}
