//! What other programs of ours send: mails and what Alertmanager is told. No server is asked here.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Finding, Machine};
use crate::file;
use crate::mail::has_recipients;
use crate::quantity::{Span, count};

/// A mail that waits for so long does not get through.
const LONG: Duration = Duration::from_secs(15 * 60);
/// Where systemd finds credentials that no unit says more of.
const STORES: [&str; 3] = ["/etc/credstore", "/run/credstore", "/usr/lib/credstore"];

/// One of the two programs.
struct Program<'a> {
    subject: &'static str,
    /// What its units are called.
    unit: &'static str,
    /// Where it finds what it is to send, of which kind.
    directory: PathBuf,
    kind: &'static str,
    /// Whether what lies there has not been sent, or is there for as long as it is true.
    is_queue: bool,
    username: &'a str,
    password_file: &'a Path,
    credential: &'static str,
}

/// Mails.
pub fn mail(machine: &Machine) -> Vec<Finding> {
    let Ok(config) = &machine.config else {
        return Vec::new();
    };
    let mail = &config.mail;
    if !has_recipients(mail) {
        return vec![
            Finding::note("mail", "nobody is to have any")
                .advise("to have alerts by mail, set mail.to"),
        ];
    }
    let by = match mail.sendmail.as_os_str().is_empty() {
        true => format!("by {}", mail.server),
        false => format!("by {}", mail.sendmail.display()),
    };
    program(
        machine,
        &by,
        &Program {
            subject: "mail",
            unit: "memleakd-mail",
            directory: machine.path("/var/lib/memleakd/spool"),
            kind: "eml",
            is_queue: true,
            username: &mail.username,
            password_file: &mail.password_file,
            credential: "memleakd.smtp-password",
        },
    )
}

/// What Alertmanager is told.
pub fn alertmanager(machine: &Machine) -> Vec<Finding> {
    let Ok(config) = &machine.config else {
        return Vec::new();
    };
    let settings = &config.alertmanager;
    if settings.url.is_empty() {
        return vec![
            Finding::note("Alertmanager", "it is not told of alerts")
                .advise("if there is one, set alertmanager.url"),
        ];
    }
    program(
        machine,
        &format!("at {}", settings.url),
        &Program {
            subject: "Alertmanager",
            unit: "memleakd-alertmanager",
            directory: machine.path("/var/lib/memleakd/alertmanager"),
            kind: "json",
            is_queue: false,
            username: &settings.username,
            password_file: &settings.password_file,
            credential: "memleakd.alertmanager-password",
        },
    )
}

fn program(machine: &Machine, by: &str, program: &Program<'_>) -> Vec<Finding> {
    let Program { subject, unit, .. } = *program;
    let mut findings = units(machine, subject, unit);
    findings.extend(password(machine, program));
    let mut waiting = match files(&program.directory, program.kind) {
        Ok(waiting) => waiting,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            findings.push(Finding::hidden(subject, "what waits to be sent"));
            return findings;
        }
        Err(error) => {
            let found = format!("{}: {error}", program.directory.display());
            findings.push(Finding::wrong(subject, found));
            return findings;
        }
    };
    waiting.sort();
    let n_rejected = files(&program.directory.join("rejected"), program.kind);
    let n_rejected = n_rejected.map_or(0, |files| files.len());
    if n_rejected > 0 {
        let found = format!(
            "{} refused, and kept in {}",
            was(n_rejected),
            program.directory.join("rejected").display()
        );
        findings.push(Finding::wrong(subject, found).advise(format!(
            "\"journalctl -u {unit}\" says why; then remove them"
        )));
    }
    let age = waiting
        .first()
        .and_then(|(written, _)| SystemTime::now().duration_since(*written).ok());
    let age = age.unwrap_or_default();
    let n = waiting.len();
    findings.push(match program.is_queue {
        true if n > 0 && age > LONG => {
            let age = Span::from_secs(age.as_secs());
            let wait = if n == 1 { "waits" } else { "wait" };
            let found = format!(
                "{by}: {} {wait}, the oldest for {age}",
                count(n, "mail", "mails")
            );
            Finding::wrong(subject, found).advise(format!("\"journalctl -u {unit}\" says why"))
        }
        true if n > 0 => Finding::ok(
            subject,
            format!("{by}: {} on the way", count(n, "mail", "mails")),
        ),
        true => Finding::ok(subject, format!("{by}; nothing waits to be sent"))
            .advise("memleakctl test mail"),
        false => Finding::ok(
            subject,
            format!("{by}: it is told of {}", count(n, "alert", "alerts")),
        )
        .advise("memleakctl test alertmanager"),
    });
    findings
}

/// Whether what is put there is found.
fn units(machine: &Machine, subject: &str, unit: &str) -> Vec<Finding> {
    let path = format!("{unit}.path");
    let service = format!("{unit}.service");
    let mut findings = Vec::new();
    if let Some(known) = machine.asked.unit(&path)
        && known.active != "active"
    {
        let found = format!("{path} is {}: nothing is sent", known.active);
        findings.push(
            Finding::wrong(subject, found).advise(format!("\"systemctl enable --now {path}\"")),
        );
    }
    if let Some(known) = machine.asked.unit(&service)
        && known.active == "failed"
    {
        let found = format!("{service} has failed ({})", known.result);
        findings.push(
            Finding::wrong(subject, found).advise(format!("\"journalctl -u {unit}\" says why")),
        );
    }
    findings
}

/// Whether a user's password can be found.
fn password(machine: &Machine, program: &Program<'_>) -> Option<Finding> {
    let Program {
        subject,
        unit,
        credential,
        ..
    } = *program;
    if program.username.is_empty() {
        return None;
    }
    if !program.password_file.as_os_str().is_empty() {
        let file = program.password_file.display();
        return (!machine.path(program.password_file).exists() && machine.is_root).then(|| {
            Finding::wrong(subject, format!("there is no {file}"))
                .advise(format!("put the password of {} there", program.username))
        });
    }
    let is_there = |store: &&str| machine.path(store).join(credential).exists();
    match (STORES.iter().any(is_there), machine.is_root) {
        (true, _) => None,
        (false, false) => Some(Finding::hidden(subject, "the password")),
        (false, true) => Some(
            Finding::note(subject, format!("no store of credentials has the password of {}", program.username)).advise(
                format!("put it into /etc/credstore/{credential}, with mode 600, unless a drop-in of {unit}.service has it"),
            ),
        ),
    }
}

/// The files of a kind; a directory that is not there has none.
fn files(directory: &Path, kind: &str) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut files = match file::list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    let is_hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    files.retain(|(_, path)| {
        path.extension().is_some_and(|found| found == kind) && !is_hidden(path)
    });
    Ok(files)
}

fn was(n: usize) -> String {
    format!("{n} {} been", if n == 1 { "has" } else { "have" })
}
