//! A real mail server to send to, and certificates for it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes long; what takes longer than this does not come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// `tests/smtp/server.py` as a process of its own, which ends with this value.
pub struct Server {
    pub port: u64,
    child: Child,
    events: Receiver<Value>,
}

/// A certificate, its key and the authority that signed it, as PEM files.
pub struct Certificate {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    _directory: TempDir,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtp/server.py");
        // Debian's own interpreter is the one that has python3-aiosmtpd.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 and python3-aiosmtpd are installed");
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in lines {
                let line = line.expect("the server writes UTF-8");
                let event =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            port: 0,
            child,
            events,
        };
        server.port = server.next("ready")["port"].as_u64().expect("is a number");
        server
    }

    /// A server that speaks TLS in one of the two ways.
    pub fn start_with(tls: &str, certificate: &Certificate, arguments: &[&str]) -> Self {
        let [certificate, key] = [&certificate.certificate, &certificate.key]
            .map(|path| path.to_str().expect("is UTF-8"));
        let mut all = vec!["--tls", tls, "--certificate", certificate, "--key", key];
        all.extend(arguments);
        Self::start(&all)
    }

    /// Waits for the next event of a kind.
    pub fn next(&self, kind: &str) -> Value {
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("no event {kind:?}: {error}"));
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Ends the server and returns what has happened since the last call of [`Self::next`].
    pub fn finish(mut self) -> Vec<Value> {
        self.child.kill().expect("it is a child");
        // The sender is dropped at the end of the server's output.
        self.events.iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been ended before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Certificate {
    /// For a server of this name, signed by an authority that nobody else knows.
    pub fn for_name(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        std::fs::write(
            path.join("extensions"),
            format!("subjectAltName=DNS:{name}\n"),
        )
        .expect("writes");
        let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(
            path,
            &format!(
                "req -x509 {new_key} -keyout authority.key -out authority.pem -days 2 -subj /CN=authority"
            ),
        );
        openssl(
            path,
            &format!("req {new_key} -keyout key.pem -out request.pem -subj /CN=server"),
        );
        openssl(
            path,
            "x509 -req -in request.pem -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile extensions -out certificate.pem",
        );
        Self {
            authority: path.join("authority.pem"),
            certificate: path.join("certificate.pem"),
            key: path.join("key.pem"),
            _directory: directory,
        }
    }
}

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .expect("openssl is installed");
    assert!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
