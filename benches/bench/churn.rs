//! The program that allocates as it is told, tests/programs/churn.c.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::interrupt;
use crate::running::Running;

/// How long a tool may take until its probes are in.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tells a pair with probes from one without, whatever the machine and the allocator.
const PROBES_NANOS: f64 = 250.0;

/// It, and its two ends of a conversation. It ends with this.
pub struct Churn {
    // Dropped before `running`, which waits for the program: it ends at the end of its input.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    running: Running,
}

/// What it says that it has done since it started, in bytes.
#[derive(Clone, Copy)]
pub struct Turnover {
    pub live: i64,
    /// All that was ever allocated.
    pub turned: i64,
}

impl Churn {
    /// Compiles it. `name` is that of the program.
    pub fn compile(name: &str, compiler: &str, arguments: &[&str]) -> Result<PathBuf> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/churn.c");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let status = Command::new(compiler)
            .args(["-O2", "-w", "-pthread"])
            .args(arguments)
            .arg("-o")
            .args([&program, &source])
            .status()
            .with_context(|| format!("starting the C compiler {compiler}"))?;
        ensure!(
            status.success(),
            "{} does not compile with {compiler}",
            source.display()
        );
        Ok(program)
    }

    /// Starts it, by itself or by way of another program that says things first.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(command)?;
        let input = running.child.stdin.take().context("churn has no input")?;
        let output = running.child.stdout.take().context("churn has no output")?;
        let mut churn = Self {
            input,
            output: BufReader::new(output),
            running,
        };
        while churn.line()? != "ready" {}
        Ok(churn)
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// CPU time of a pair of malloc and free in nanoseconds, over so many pairs.
    pub fn nanos_of_pair(&mut self, n_pairs: u64) -> Result<f64> {
        self.nanos_of_pair_of(n_pairs, 100)
    }

    /// The same with blocks of so many bytes.
    pub fn nanos_of_pair_of(&mut self, n_pairs: u64, bytes: u64) -> Result<f64> {
        let answer = self.ask(&format!("pairs {n_pairs} {bytes}"))?;
        let nanos = answer
            .strip_prefix("took ")
            .and_then(|n| n.parse::<f64>().ok());
        Ok(nanos.with_context(|| format!("churn says {answer:?}"))? / n_pairs as f64)
    }

    /// Waits until its pairs are seen to cost more. `check` is asked meanwhile, and may give up.
    pub fn wait_for_probes(&mut self, mut check: impl FnMut() -> Result<()>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.nanos_of_pair(1000)? < PROBES_NANOS {
            check()?;
            ensure!(
                Instant::now() < until,
                "the probes are not in after {PATIENCE:?}"
            );
            interrupt::wait(Duration::from_millis(5))?;
        }
        Ok(())
    }

    /// Has it do as `command` says, and returns what it has done since it started.
    pub fn turn_over(&mut self, command: &str) -> Result<Turnover> {
        let answer = self.ask(command)?;
        let mut words = answer.split(' ');
        let mut number = || words.nth(1)?.parse().ok();
        let turnover = number().zip(number());
        let (live, turned) = turnover.with_context(|| format!("churn says {answer:?}"))?;
        Ok(Turnover { live, turned })
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.input, "{command}").context("talking to churn")?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .context("listening to churn")?;
        ensure!(!line.is_empty(), "churn has ended");
        Ok(line.trim_end().to_owned())
    }
}
