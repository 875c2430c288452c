//! Mail through a real mail server, Postfix, to a mail box: what arrives there is read by another
//! program. It needs root, as Postfix does.
//!
//! Postfix is unpacked below `target` and runs as an instance of its own, on a loopback port and
//! with its own directories; `scripts/setup.sh test` gets it.

use std::env;
use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use memleakd::alert::{Alert, Change, Point};
use memleakd::config;
use memleakd::sink::{Delivery, Mail, Sink};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Delivery takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// Owns the queue: an account that every Debian and Ubuntu has and no other mail server uses.
const GAMES: u32 = 5;

/// The group of the queue's programs, as common.
const OPERATOR: u32 = 37;

/// Owns the mail box.
const NOBODY: u32 = 65534;

/// Postfix at work; it ends with this value.
struct Postfix {
    directory: TempDir,
    port: u16,
    master: Child,
}

impl Postfix {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        open_to_all(path);
        let queue = path.join("queue");
        for (name, mode) in [
            (
                "active bounce corrupt defer deferred flush hold incoming",
                0o700,
            ),
            ("private saved trace", 0o700),
            ("public", 0o710),
            ("maildrop", 0o730),
        ] {
            for name in name.split(' ') {
                let each = queue.join(name);
                fs::create_dir_all(&each).expect("is made");
                chown(&each, Some(GAMES), Some(OPERATOR)).expect("is root");
                fs::set_permissions(&each, Permissions::from_mode(mode)).expect("is ours");
            }
        }
        for (name, owner) in [("queue/pid", 0), ("data", GAMES), ("mail", NOBODY)] {
            fs::create_dir_all(path.join(name)).expect("is made");
            chown(path.join(name), Some(owner), None).expect("is root");
        }
        fs::create_dir(path.join("config")).expect("is made");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("there is a free port")
            .port();
        fs::write(path.join("config/main.cf"), main_cf(path)).expect("writes");
        fs::write(path.join("config/master.cf"), master_cf(port)).expect("writes");
        let master = Command::new(unpacked().join("usr/lib/postfix/sbin/master"))
            .arg("-d")
            .arg("-c")
            .arg(path.join("config"))
            .env("LD_LIBRARY_PATH", libraries())
            .stdin(Stdio::null())
            .spawn()
            .expect("scripts/setup.sh test has unpacked it");
        let postfix = Self {
            directory,
            port,
            master,
        };
        postfix.wait("it answers", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        postfix
    }

    /// The messages in its mail box as Python reads them, in the order of their numbers of changes.
    fn messages(&self, n: usize) -> Vec<Value> {
        let new = self.directory.path().join("mail/box/new");
        let files = || {
            let files = fs::read_dir(&new).into_iter().flatten();
            files
                .map(|file| file.expect("is read").path())
                .collect::<Vec<_>>()
        };
        self.wait("they arrive", || files().len() >= n);
        let output = Command::new("/usr/bin/python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtp/parse.py"))
            .args(files())
            .output()
            .expect("python3 is installed");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("writes UTF-8");
        let messages = text.lines().map(serde_json::from_str);
        let mut messages: Vec<Value> = messages.collect::<Result<_, _>>().expect("writes JSON");
        assert_eq!(messages.len(), n, "some came twice");
        messages.sort_by_key(|message| header(message, "Date"));
        messages
    }

    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.directory.path().join("log"));
                panic!("waiting that {what}: {}", log.unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // It ends its children with itself.
        kill_process(Pid::from_child(&self.master), Signal::TERM).ok();
        self.master.wait().ok();
    }
}

/// Where Postfix is, as if it were the root of a file system.
fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test")
}

/// Where its libraries are, and those that they need.
fn libraries() -> String {
    let machine = format!("usr/lib/{}-linux-gnu", env::consts::ARCH);
    let directories = ["usr/lib/postfix", &machine];
    let directories = directories.map(|name| unpacked().join(name).display().to_string());
    directories.join(":")
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("is ours");
}

/// Everything that comes for example.org goes into one mail box, and nothing anywhere else.
fn main_cf(directory: &Path) -> String {
    let (root, directory) = (unpacked(), directory.display());
    let (root, libraries) = (root.display(), libraries());
    format!(
        "compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {directory}/config
mail_owner = games
setgid_group = operator
default_privs = nobody
import_environment = MAIL_CONFIG LD_LIBRARY_PATH={libraries}
export_environment = MAIL_CONFIG LD_LIBRARY_PATH={libraries}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mta.example.org
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = example.org
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{NOBODY}
virtual_gid_maps = static:{NOBODY}
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
"
    )
}

fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"
    )
}

fn header(message: &Value, name: &str) -> String {
    let headers = message["headers"].as_array().expect("is a list");
    let mut found = headers.iter().filter(|header| header[0] == name);
    let value = found
        .next()
        .unwrap_or_else(|| panic!("no {name}: {headers:?}"));
    value[1].as_str().expect("is text").to_owned()
}

/// A change, so many seconds after the leak was found.
fn change(secs: i64, change: Change) -> Alert {
    let leak: Alert = serde_json::from_str(include_str!("../smtp/leak.json")).expect("is an alert");
    let point = |(secs_ago, bytes)| Point { secs_ago, bytes };
    Alert {
        time: leak.time + jiff::SignedDuration::from_secs(secs),
        change,
        curve: [(600.0, 1134559232), (0.0, 1258291200)].map(point).to_vec(),
        comm: "größe=?".to_owned(),
        ..leak
    }
}

/// Puts what is told together into a spool as the daemon does, and sends it with these settings.
fn send(
    settings: &str,
    to: &str,
    deliveries: &[Vec<Alert>],
    postfix: &Postfix,
) -> (Option<i32>, String) {
    let state = tempfile::tempdir().expect("a temporary directory");
    let mail = config::Mail {
        to: vec![to.to_owned()],
        ..config::Mail::default()
    };
    let mut sink = Mail::new(mail, Some(state.path())).expect("is set up");
    for (sequence, changes) in (1..).zip(deliveries) {
        let changes = changes.clone();
        sink.send(&Delivery { sequence, changes })
            .expect("is written");
    }
    let file = state.path().join("memleakd.toml");
    fs::write(&file, format!("[mail]\n{settings}\n")).expect("writes");
    let output = Command::new(env!("CARGO_BIN_EXE_memleakd-mail"))
        .args(["--config".as_ref(), file.as_os_str()])
        .env("STATE_DIRECTORY", state.path())
        .env("MAIL_CONFIG", postfix.directory.path().join("config"))
        .env("LD_LIBRARY_PATH", libraries())
        .env_remove("JOURNAL_STREAM")
        .output()
        .expect("starts");
    let log = String::from_utf8(output.stderr).expect("logs UTF-8");
    (output.status.code(), log)
}

#[test]
#[ignore = "needs root and BTF"]
fn a_real_server_puts_it_into_a_mail_box() {
    let postfix = Postfix::start();
    let server = format!("server = \"127.0.0.1\"\nport = {}", postfix.port);
    let program = unpacked().join("usr/sbin/sendmail");
    let program = format!("sendmail = {program:?}");
    let other = Alert {
        id: "0123456789ab".to_owned(),
        ..change(2, Change::Raised)
    };
    let digest = vec![other, change(2, Change::Reminded)];
    let by_server = [
        vec![change(0, Change::Raised)],
        vec![change(1, Change::Reminded)],
        digest,
    ];
    let (status, log) = send(&server, "ops@example.org", &by_server, &postfix);
    assert_eq!(status, Some(0), "{log}");
    let (status, log) = send(
        &program,
        "ops@example.org",
        &[vec![change(3, Change::Escalated)]],
        &postfix,
    );
    assert_eq!(status, Some(0), "{log}");

    let messages = postfix.messages(4);
    let root = "<5c0f3a91d27e.1795312867000@db1>";
    let subject = "[memleakd] db1: größe= ? (postgresql.service) leaks memory";
    for (message, change) in messages
        .iter()
        .zip(["raised", "reminded", "digest", "escalated"])
    {
        assert_eq!(header(message, "X-Memleakd-Change"), change);
        assert_eq!(header(message, "To"), "ops@example.org");
        // The server's own, which say that it has been there.
        assert_eq!(header(message, "Delivered-To"), "ops@example.org");
        assert!(header(message, "Received").contains("by mta.example.org"));
        assert_eq!(message["defects"], json!([]));
        assert_eq!(message["html"]["faults"], json!([]));
        let n_pictures = usize::from(change != "digest");
        assert_eq!(
            message["pictures"].as_array().map(Vec::len),
            Some(n_pictures)
        );
        assert!(change == "raised" || header(message, "References").contains(root));
    }
    assert_eq!(header(&messages[0], "Message-ID"), root);
    assert_eq!(header(&messages[0], "Subject"), subject);
    assert_eq!(header(&messages[1], "Subject"), format!("Re: {subject}"));
    assert_eq!(header(&messages[1], "In-Reply-To"), root);
    let text = messages[0]["text"].as_str().expect("is text");
    assert!(
        text.contains("\n  memleakctl show 5c0f3a91d27e\n"),
        "{text}"
    );

    let (status, log) = send(
        &server,
        "ops@elsewhere.example",
        &[vec![change(0, Change::Raised)]],
        &postfix,
    );
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("554 5.7.1") && log.contains("ERROR"), "{log}");
}
