//! Who gets what, from the configuration to the spool.

use std::fs;
use std::path::Path;

use memleakd::alert::{Alert, Change, Reason};
use memleakd::config::{Mail as Settings, Severity};
use memleakd::sink::{Delivery, Mail, Sink};
use tempfile::TempDir;

use super::post::{leak, reminded};

const SETTINGS: &str = r#"
    to = ["ops@x"]
    [route.databases]
    match.unit = ["postgresql*"]
    to = ["dba@x"]
    [route.night]
    match.unit = ["*"]
    match.user = ["postgres"]
    min_severity = "critical"
    to = ["night@x"]
"#;

/// The sink as the daemon has it, and what it has written so far.
struct Desk {
    state: TempDir,
    sink: Mail,
    sequence: u64,
}

impl Desk {
    fn new(settings: &str) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let sink = sink(settings, state.path());
        Self {
            state,
            sink,
            sequence: 0,
        }
    }

    /// The daemon is started again, maybe with other settings.
    fn restart(&mut self, settings: &str) {
        self.sink = sink(settings, self.state.path());
    }

    /// Sends changes together; of each message who gets it, its subject, and whether it answers
    /// another. They are taken out of the spool.
    fn send(&mut self, changes: &[Alert]) -> Vec<(String, String, bool)> {
        self.sequence += 1;
        let delivery = Delivery {
            sequence: self.sequence,
            changes: changes.to_vec(),
        };
        self.sink.send(&delivery).expect("is written");
        let files = self.files();
        // Once more, as if the daemon had not lived to hear of it: the same files.
        self.sink.send(&delivery).expect("is written");
        assert_eq!(self.files(), files);
        let mut messages: Vec<_> = files.iter().map(|name| self.take(name)).collect();
        messages.sort();
        messages
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.state.path().join("spool")).expect("is there");
        let mut files: Vec<_> = files
            .map(|file| file.expect("is read").file_name())
            .map(|name| name.into_string().expect("is text"))
            .collect();
        files.sort();
        files
    }

    fn take(&self, name: &str) -> (String, String, bool) {
        let path = self.state.path().join("spool").join(name);
        let text = fs::read_to_string(&path).expect("is text");
        fs::remove_file(path).expect("is there");
        let (header, _) = text.split_once("\r\n\r\n").expect("has a body");
        let header = header.replace("\r\n ", " ");
        let field = |name: &str| {
            let mut fields = header.lines();
            fields.find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
        };
        (
            field("To").expect("is to somebody"),
            field("Subject").expect("has a subject"),
            field("In-Reply-To").is_some(),
        )
    }
}

fn sink(settings: &str, state: &Path) -> Mail {
    let settings: Settings = toml::from_str(settings).expect("is [mail]");
    Mail::new(settings, Some(state)).expect("is set up")
}

fn to(messages: &[(String, String, bool)]) -> Vec<&str> {
    messages.iter().map(|(to, ..)| to.as_str()).collect()
}

fn cleared(alert: &Alert) -> Alert {
    Alert {
        change: Change::Cleared,
        reason: Some(Reason::Exited),
        ..alert.clone()
    }
}

fn postgres() -> Alert {
    Alert {
        user: Some("postgres".to_owned()),
        ..leak()
    }
}

#[test]
fn it_is_over_for_whoever_was_told() {
    let subject = "[memleakd] db1: postgres (postgresql.service) leaks memory";
    let mut desk = Desk::new(SETTINGS);
    assert_eq!(
        desk.send(&[postgres()]),
        [("dba@x".to_owned(), subject.to_owned(), false)]
    );
    let critical = Alert {
        change: Change::Escalated,
        severity: Severity::Critical,
        ..postgres()
    };
    assert_eq!(
        desk.send(std::slice::from_ref(&critical)),
        [("dba@x, night@x".to_owned(), format!("Re: {subject}"), true)]
    );
    // Another process of the unit is the fastest now, which the route for the night does not
    // match; and the host has got another name.
    desk.restart(SETTINGS);
    let other = Alert {
        user: Some("backup".to_owned()),
        comm: "pg_dump".to_owned(),
        host: "db1.example.org".to_owned(),
        ..critical
    };
    assert_eq!(
        desk.send(&[cleared(&other)]),
        [("dba@x, night@x".to_owned(), format!("Re: {subject}"), true)]
    );
    // The next incident has forgotten them.
    let next = Alert {
        raised: "2026-12-01T00:00:00Z".parse().expect("is a time"),
        user: Some("backup".to_owned()),
        ..leak()
    };
    assert_eq!(to(&desk.send(&[next])), ["dba@x"]);
}

#[test]
fn who_is_no_longer_named_gets_nothing_more() {
    let mut desk = Desk::new(SETTINGS);
    desk.send(&[postgres()]);
    desk.restart("to = [\"ops@x\"]");
    assert_eq!(to(&desk.send(&[cleared(&postgres())])), [""; 0]);
}

#[test]
fn without_what_was_kept_the_routes_say_it() {
    let mut desk = Desk::new(SETTINGS);
    desk.send(&[postgres()]);
    fs::write(desk.state.path().join("mail-told.json"), "[").expect("writes");
    desk.restart(SETTINGS);
    assert_eq!(to(&desk.send(&[cleared(&postgres())])), ["dba@x"]);
}

#[test]
fn who_hears_of_it_first_when_it_is_critical_gets_no_answer_to_nothing() {
    let mut desk = Desk::new("to = [\"ops@x\"]\nmin_severity = \"critical\"");
    assert_eq!(to(&desk.send(&[leak()])), [""; 0]);
    let critical = Alert {
        change: Change::Escalated,
        severity: Severity::Critical,
        ..leak()
    };
    let messages = desk.send(std::slice::from_ref(&critical));
    assert_eq!(to(&messages), ["ops@x"]);
    assert!(messages[0].1.starts_with("[memleakd]"), "{messages:?}");
    assert_eq!(to(&desk.send(&[cleared(&critical)])), ["ops@x"]);
}

#[test]
fn what_comes_together_is_a_message_for_each_set_of_people() {
    let mut desk = Desk::new(SETTINGS);
    let numbered = |number: u32, unit: &str| Alert {
        id: format!("{number:012x}"),
        unit: Some(unit.to_owned()),
        ..leak()
    };
    let nginx = numbered(3, "nginx.service");
    let messages = desk.send(&[
        numbered(1, "postgresql.service"),
        numbered(2, "postgresql@15.service"),
        nginx.clone(),
        Alert {
            change: Change::Escalated,
            severity: Severity::Critical,
            ..nginx
        },
    ]);
    assert_eq!(
        messages,
        [
            (
                "dba@x".to_owned(),
                "[memleakd] db1: 2 leaks".to_owned(),
                false
            ),
            (
                "ops@x".to_owned(),
                "[memleakd] db1: postgres (nginx.service) leaks memory".to_owned(),
                false
            ),
        ]
    );
}

#[test]
fn more_people_than_a_message_may_have_get_more_messages() {
    let people: Vec<_> = (0..250).map(|number| format!("\"p{number}@x\"")).collect();
    let mut desk = Desk::new(&format!("to = [{}]", people.join(", ")));
    for changes in [vec![leak()], vec![reminded(), postgres()]] {
        let messages = desk.send(&changes);
        let sizes = messages.iter().map(|(to, ..)| to.split(',').count());
        let mut sizes: Vec<_> = sizes.collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [50, 100, 100]);
    }
}
