//! Real programs at work: each is kept busy, and says how much it has done.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::churn::Churn;
use crate::interrupt;
use crate::running::Running;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A busy program. It ends with this, and so does what keeps it busy.
pub struct Workload {
    pub title: &'static str,
    counter: Counter,
    /// Ended before the program.
    _client: Option<Running>,
    program: Running,
    _directory: TempDir,
}

/// Where it is seen how much the program has done.
enum Counter {
    /// Lines of its output.
    Lines(Arc<AtomicU64>),
    Redis(UnixStream),
    /// Its port.
    Nginx(u16),
}

/// Statements one by one, as an application sends them.
const SQL_TABLE: &str = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, note TEXT);\n\
     CREATE INDEX by_name ON item(name);\n";
const N_SQL_ROWS: usize = 200;

/// Documents that are read, changed, and written again.
const PYTHON: &str = r#"
import json
text = json.dumps([{"id": i, "name": "item %d" % i, "tags": ["a", "b"] * 8, "note": "x" * 700} for i in range(200)])
while True:
    documents = json.loads(text)
    by_name = {document["name"]: document for document in documents}
    for document in documents:
        document["note"] = document["note"].upper() + str(len(by_name))
        document["tags"] = sorted(set(document["tags"])) * 100
    text_again = json.dumps(documents)
    print(len(text_again), flush=True)
"#;

/// Everything that can be had here; what cannot is told.
pub fn start_all(mut cannot: impl FnMut(&'static str, anyhow::Error)) -> Vec<Workload> {
    let mut workloads = Vec::new();
    for (name, started) in [
        ("redis-server", Workload::redis()),
        ("sqlite3", Workload::sqlite()),
        ("python3", Workload::python()),
        ("nginx", Workload::nginx()),
    ] {
        match started {
            Ok(workload) => workloads.push(workload),
            Err(error) => cannot(name, error),
        }
    }
    workloads
}

impl Workload {
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// How much it has done so far, in units of its own.
    pub fn done(&mut self) -> Result<u64> {
        match &mut self.counter {
            Counter::Lines(n_lines) => Ok(n_lines.load(Ordering::Relaxed)),
            Counter::Redis(socket) => redis_commands(socket),
            Counter::Nginx(port) => nginx_requests(*port),
        }
    }

    pub fn redis() -> Result<Self> {
        let directory = directory()?;
        let socket = directory.path().join("redis.sock");
        // Debian's redis-tools has the server's program by another name, and no service.
        let server = directory.path().join("redis-server");
        std::os::unix::fs::symlink("/usr/bin/redis-check-rdb", &server)?;
        let program = Running::start(
            quiet(&server)
                .args(["--port", "0", "--save", "", "--appendonly", "no"])
                .arg("--unixsocket")
                .arg(&socket)
                .arg("--dir")
                .arg(directory.path()),
        )?;
        let connection = eventually("redis-server", || Ok(UnixStream::connect(&socket)?))?;
        let client = Running::start(
            quiet(Path::new("redis-benchmark"))
                .args([
                    "-q", "-l", "-t", "set,get", "-r", "100000", "-d", "200", "-s",
                ])
                .arg(&socket),
        )?;
        Ok(Self {
            title: "redis-server, redis-benchmark set and get",
            counter: Counter::Redis(connection),
            _client: Some(client),
            program,
            _directory: directory,
        })
    }

    fn sqlite() -> Result<Self> {
        let mut command = Command::new("sqlite3");
        command.arg(":memory:").stdin(Stdio::piped());
        let mut workload = Self::by_lines("sqlite3, in memory, a statement each", &mut command)?;
        let mut input = workload.program.child.stdin.take().context("no input")?;
        let mut round = String::new();
        for row in 0..N_SQL_ROWS {
            let (price, word) = (row * 7 % 100, "word ".repeat(row % 30));
            round += &format!(
                "INSERT INTO item(name, price, note) VALUES('item {row}', {price}.5, '{word}');\n\
                 SELECT count(*) FROM item WHERE name = 'item {row}' AND price > 3;\n"
            );
        }
        round += "DELETE FROM item;\n";
        thread::spawn(move || {
            let mut sent = input.write_all(SQL_TABLE.as_bytes());
            // Until the program ends.
            while sent.is_ok() {
                sent = input.write_all(round.as_bytes());
            }
        });
        Ok(workload)
    }

    /// A program that does nothing but allocate and free, by every function of the family.
    pub fn allocations() -> Result<Self> {
        let program = Churn::compile("churn", "cc", &[])?;
        let mut command = Command::new(program);
        command.stdin(Stdio::piped());
        let mut workload = Self::by_lines("a loop of allocations", &mut command)?;
        let mut input = workload.program.child.stdin.take().context("no input")?;
        // Until the program ends.
        thread::spawn(move || while input.write_all(b"churn 500\n").is_ok() {});
        Ok(workload)
    }

    fn python() -> Result<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", PYTHON]).stdin(Stdio::null());
        Self::by_lines("python3, documents of JSON", &mut command)
    }

    fn nginx() -> Result<Self> {
        let directory = directory()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = directory.path().display();
        let config = directory.path().join("nginx.conf");
        fs::write(
            directory.path().join("page.html"),
            "0123456789abcdef\n".repeat(60),
        )?;
        fs::write(
            &config,
            format!(
                "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/error.log;\n\
                 events {{ }}\nhttp {{\n  access_log off;\n  keepalive_requests 1000000;\n  \
                 client_body_temp_path {path};\n  proxy_temp_path {path};\n  fastcgi_temp_path {path};\n  \
                 uwsgi_temp_path {path};\n  scgi_temp_path {path};\n  server {{\n    \
                 listen 127.0.0.1:{port};\n    root {path};\n    location = /status {{ stub_status; }}\n  }}\n}}\n"
            ),
        )?;
        // Where scripts/setup.sh puts it if it is not installed.
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/usr/sbin/nginx");
        let server = match unpacked.exists() {
            true => unpacked.as_path(),
            false => Path::new("nginx"),
        };
        let program = Running::start(quiet(server).arg("-c").arg(&config))?;
        eventually("nginx", || nginx_requests(port))?;
        let client = Running::start(
            quiet(Path::new("wrk"))
                .args(["-t", "1", "-c", "32", "-d", "3600"])
                .arg(format!("http://127.0.0.1:{port}/page.html")),
        )?;
        Ok(Self {
            title: "nginx, wrk",
            counter: Counter::Nginx(port),
            _client: Some(client),
            program,
            _directory: directory,
        })
    }

    fn by_lines(title: &'static str, command: &mut Command) -> Result<Self> {
        let directory = directory()?;
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = Running::start(command)?;
        let output = program.child.stdout.take().context("no output")?;
        let n_lines = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&n_lines);
        thread::spawn(move || {
            let mut line = Vec::new();
            let mut output = BufReader::new(output);
            // Until the program ends.
            while output.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                line.clear();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self {
            title,
            counter: Counter::Lines(n_lines),
            _client: None,
            program,
            _directory: directory,
        })
    }
}

fn directory() -> Result<TempDir> {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).context("making a directory")
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() > until => {
                return Err(error).with_context(|| format!("{what} does not answer"));
            }
            Err(_) => interrupt::wait(Duration::from_millis(50))?,
        }
    }
}

fn redis_commands(socket: &mut UnixStream) -> Result<u64> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(b"INFO stats\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16384];
    // "$LENGTH", and then so many bytes with a line of each figure.
    loop {
        let n_bytes = socket.read(&mut buffer)?;
        if n_bytes == 0 {
            bail!("redis-server has ended");
        }
        answer.extend_from_slice(&buffer[..n_bytes]);
        let text = String::from_utf8_lossy(&answer);
        let Some((length, rest)) = text.split_once("\r\n") else {
            continue;
        };
        let length: usize = length.trim_start_matches('$').parse()?;
        if rest.len() >= length + 2 {
            return number_after(rest, "total_commands_processed:");
        }
    }
}

/// The third number of the line after "server accepts handled requests".
fn nginx_requests(port: u16) -> Result<u64> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(b"GET /status HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (_, numbers) = answer
        .split_once("handled requests")
        .context("nginx does not say what it has done")?;
    let requests = numbers.split_whitespace().nth(2);
    Ok(requests
        .context("nginx does not say what it has done")?
        .parse()?)
}

fn number_after(text: &str, name: &str) -> Result<u64> {
    let (_, rest) = text
        .split_once(name)
        .with_context(|| format!("no {name}"))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
