//! What the programs run on, as far as this machine has it.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use memleakd::alert::Cause;

/// A language, or a server that is a program by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    C,
    Rust,
    Python,
    Node,
    Java,
    /// It makes no requests by itself, and does not say what it keeps without being asked.
    Redis,
}

/// How a program is started, but for what it may keep.
#[derive(Debug)]
pub struct Server {
    /// An executable that can be linked to under any name.
    pub executable: PathBuf,
    /// What it is told in any case.
    pub arguments: Vec<OsString>,
}

impl Runtime {
    /// All, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::C,
        Self::Rust,
        Self::Python,
        Self::Node,
        Self::Java,
        Self::Redis,
    ];

    /// The first part of the names of its programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Node => "node",
            Self::Java => "java",
            Self::Redis => "redis",
        }
    }

    /// What a leak in it is in truth: one of malloc's, or of memory that the runtime maps itself.
    pub fn cause(self) -> Cause {
        match self {
            Self::C | Self::Rust | Self::Redis => Cause::Heap,
            Self::Python | Self::Node | Self::Java => Cause::Mapping,
        }
    }

    /// Finds it, and compiles its program into a directory. An error says what is missing.
    pub fn prepare(self, directory: &Path) -> Result<Server> {
        let (executable, arguments) = match self {
            Self::C => {
                let executable = directory.join("server-c");
                let mut compiler = Command::new("cc");
                compile(
                    compiler.args(["-O2", "-o"]).arg(&executable),
                    &source("server.c"),
                )?;
                (executable, Vec::new())
            }
            Self::Rust => {
                let executable = directory.join("server-rust");
                let mut compiler =
                    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
                compiler.args(["-O", "--edition", "2024", "-o"]);
                compile(compiler.arg(&executable), &source("server.rs"))?;
                (executable, Vec::new())
            }
            Self::Python => (find(&["python3"])?, vec![source("server.py").into()]),
            Self::Node => (find(&["node", "nodejs"])?, vec![source("server.js").into()]),
            Self::Java => {
                let executable = find(&["java"])?;
                let mut compiler = Command::new("javac");
                compile(compiler.arg("-d").arg(directory), &source("Server.java"))?;
                // What is young stays small, or it would fill the memory before the collector runs;
                // what is old has more room than the leak takes up within the time.
                let limits = ["-Xms32m", "-Xmn16m", "-Xmx512m"];
                let others = ["-XX:-UsePerfData", "-cp"];
                let mut arguments: Vec<OsString> =
                    limits.into_iter().chain(others).map(Into::into).collect();
                arguments.extend([directory.into(), "Server".into()]);
                (executable, arguments)
            }
            // The second is the same program, which only checks files if it is called by this name.
            // Debian has it in a package that starts no service, the first in one that does.
            Self::Redis => {
                let executable = find(&["redis-server", "redis-check-rdb"])?;
                let arguments = ["--port", "0", "--save", "", "--appendonly", "no"];
                (executable, arguments.map(Into::into).into())
            }
        };
        Ok(Server {
            executable,
            arguments,
        })
    }
}

/// A program of these benchmarks.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/eval/programs")
        .join(name)
}

fn compile(compiler: &mut Command, source: &Path) -> Result<()> {
    let name = compiler.get_program().to_string_lossy().into_owned();
    let status = compiler.arg(source).status();
    let status = status.with_context(|| format!("running {name}"))?;
    ensure!(
        status.success(),
        "{name} cannot compile {}",
        source.display()
    );
    Ok(())
}

/// The first executable of one of these names. The system's own come first, and scripts do not
/// count: what they start has a name of its own.
fn find(names: &[&str]) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = [PathBuf::from("/usr/bin")]
        .into_iter()
        .chain(env::split_paths(&path))
        .collect();
    let mut candidates = names.iter().flat_map(|name| {
        directories
            .iter()
            .map(move |directory| directory.join(name))
    });
    let found = candidates.find(|path| is_elf(path));
    found.with_context(|| format!("there is no {} here", names.join(" or ")))
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}
