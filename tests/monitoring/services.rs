//! Prometheus, node_exporter and Alertmanager as this machine's archive has them, on loopback and
//! with directories of their own. `scripts/setup.sh test` unpacks them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes long; what takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the packages are unpacked.
pub fn unpacked(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/test")
        .join(path);
    assert!(
        path.exists(),
        "{} is not there: run scripts/setup.sh test",
        path.display()
    );
    path
}

/// A port of this machine that is free for now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A program that listens; it ends with this value.
pub struct Service {
    child: Child,
    pub port: u16,
    pub directory: TempDir,
}

impl Service {
    /// Alertmanager, which tells a receiver of what it is told.
    pub fn alertmanager(port: u16, receiver: u64) -> Self {
        let directory = TempDir::new().expect("a directory");
        let config = directory.path().join("alertmanager.yml");
        fs::write(
            &config,
            format!(
                "route:\n  receiver: test\n  group_by: [id]\n  group_wait: 1s\n  group_interval: 1s\n  \
                 repeat_interval: 1h\nreceivers:\n  - name: test\n    webhook_configs:\n      \
                 - url: http://127.0.0.1:{receiver}/notify\n"
            ),
        )
        .expect("writes");
        // Its templates are where the package has them, which this process alone is to see.
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg("mount --bind \"$1\" /usr/share && shift && exec \"$@\"")
            .arg("sh")
            .arg(unpacked("usr/share"))
            .arg(unpacked("usr/bin/prometheus-alertmanager"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.path={}",
                directory.path().join("data").display()
            ))
            .arg("--cluster.listen-address=");
        Self::start(command, port, directory, "/-/ready")
    }

    /// node_exporter, which reads nothing but a directory of texts.
    pub fn node_exporter(texts: &Path) -> Self {
        let mut command = Command::new(unpacked("usr/bin/prometheus-node-exporter"));
        command
            .args(["--collector.disable-defaults", "--collector.textfile"])
            .arg(format!(
                "--collector.textfile.directory={}",
                texts.display()
            ));
        let directory = TempDir::new().expect("a directory");
        Self::start(command, free_port(), directory, "/")
    }

    /// Prometheus, which reads a target each second.
    pub fn prometheus(target: u16) -> Self {
        let directory = TempDir::new().expect("a directory");
        let config = directory.path().join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "scrape_configs:\n  - job_name: node\n    scrape_interval: 1s\n    static_configs:\n      \
                 - targets: ['127.0.0.1:{target}']\n"
            ),
        )
        .expect("writes");
        let mut command = Command::new(unpacked("usr/bin/prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ));
        Self::start(command, free_port(), directory, "/-/ready")
    }

    /// What a page says, if it can be had.
    pub fn page(&self, path: &str) -> Option<String> {
        page(self.port, path)
    }

    /// The same of a page in JSON.
    pub fn json(&self, path: &str) -> Value {
        let page = self.page(path).unwrap_or_else(|| panic!("no {path}"));
        serde_json::from_str(&page).unwrap_or_else(|error| panic!("{path}: {error}: {page}"))
    }

    /// The alerts that stand in Alertmanager.
    pub fn alerts(&self) -> Vec<Value> {
        let alerts = self.json("/api/v2/alerts");
        alerts.as_array().expect("a list").clone()
    }

    fn start(mut command: Command, port: u16, directory: TempDir, ready: &str) -> Self {
        let log = File::create(directory.path().join("log")).expect("a log");
        command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(directory.path())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let service = Self {
            child,
            port,
            directory,
        };
        let until = Instant::now() + PATIENCE;
        while service.page(ready).is_none() {
            assert!(Instant::now() < until, "{}", service.log());
            thread::sleep(Duration::from_millis(50));
        }
        service
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("a log")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits for something to become true.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < until, "{what} did not come");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Runs one of the unpacked tools on a text: whether it is content, and what it says.
pub fn tool(name: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(unpacked(&format!("usr/bin/{name}")))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // A tool that has seen enough may have ended.
    let written = child
        .stdin
        .take()
        .expect("is piped")
        .write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success() && written.is_ok(), said)
}

fn page(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // Version 1.0 keeps it simple: the body is all that comes.
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .next()?
        .contains(" 200 ")
        .then(|| body.to_owned())
}
