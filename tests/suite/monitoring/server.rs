use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::mail::server::Certificate;

/// Nothing here takes long; what takes longer than this does not come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `tests/monitoring/server.py` as a process of its own, which ends with this value.
pub struct Server {
    pub port: u64,
    child: Child,
    events: Receiver<Value>,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/monitoring/server.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
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
        let ready = server.next().expect("it is ready");
        server.port = ready["port"].as_u64().expect("a number");
        server
    }

    pub fn start_with(certificate: &Certificate, arguments: &[&str]) -> Self {
        let [certificate, key] = [&certificate.certificate, &certificate.key]
            .map(|path| path.to_str().expect("is UTF-8"));
        let mut all = vec!["--certificate", certificate, "--key", key];
        all.extend(arguments);
        Self::start(&all)
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits for the next request.
    pub fn next(&self) -> Option<Value> {
        self.events.recv_timeout(PATIENCE).ok()
    }

    /// The requests that have come.
    pub fn seen(&self) -> Vec<Value> {
        self.events.try_iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
