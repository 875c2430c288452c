//! The page of an alert's report, opened in the person's browser.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::tz::TimeZone;
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath, Variant, proxy};

use crate::file;
use crate::report::{Report, is_id, page};

/// In the session's runtime directory, which is the person's alone and gone after the session.
const DIRECTORY: &str = "memleakd";
/// So many pages are kept, the latest ones.
const MAX_PAGES: usize = 20;
/// What has not failed by then has opened something, or is the browser itself.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

#[proxy(
    interface = "org.freedesktop.portal.OpenURI",
    default_service = "org.freedesktop.portal.Desktop",
    default_path = "/org/freedesktop/portal/desktop"
)]
trait OpenUri {
    async fn open_file(
        &self,
        parent_window: &str,
        fd: zbus::Fd<'_>,
        options: std::collections::HashMap<&str, Variant<'_>>,
    ) -> zbus::fdo::Result<OwnedObjectPath>;
}

/// Writes the page of a report, and has it opened: by the desktop's portal, which starts the browser
/// outside of what this program may do, or else by `xdg-open`.
///
/// Waits for as long as `xdg-open` runs, which may be the browser itself; `done` is called before.
pub(super) fn open(session: &Connection, report: &Report, done: impl FnOnce(Result<()>)) {
    let opened = write(report).and_then(|path| match by_portal(session, &path) {
        Ok(()) => Ok(None),
        // Not every desktop has one.
        Err(_) => by_program(&path),
    });
    match opened {
        Ok(running) => {
            done(Ok(()));
            if let Some(mut child) = running {
                // How it ends is nobody's business any more.
                child.wait().ok();
            }
        }
        Err(error) => done(Err(error)),
    }
}

fn write(report: &Report) -> Result<PathBuf> {
    ensure!(is_id(&report.id), "{:?} is no alert's id", report.id);
    let runtime = env::var_os("XDG_RUNTIME_DIR").context("XDG_RUNTIME_DIR is not set")?;
    let directory = Path::new(&runtime).join(DIRECTORY);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.with_context(|| format!("making {}", directory.display()))?,
    }
    let path = directory.join(format!("{}.html", report.id));
    let writing = || format!("writing {}", path.display());
    let text = page::page(report, &TimeZone::system());
    file::replace(&path, text.as_bytes(), 0o600).with_context(writing)?;
    let mut pages = file::list(&directory).with_context(writing)?;
    pages.sort();
    for (_, old) in &pages[..pages.len().saturating_sub(MAX_PAGES)] {
        // One that somebody else has removed is gone as well.
        fs::remove_file(old).ok();
    }
    Ok(path)
}

fn by_portal(session: &Connection, path: &Path) -> Result<()> {
    let file = File::open(path)?;
    zbus::block_on(async {
        let portal = OpenUriProxy::builder(session)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        portal
            .open_file("", (&file).into(), Default::default())
            .await?;
        Ok(())
    })
}

/// Returns the program, if it still runs.
fn by_program(path: &Path) -> Result<Option<Child>> {
    let mut child = Command::new("xdg-open")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting xdg-open")?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().context("waiting for xdg-open")? {
            ensure!(status.success(), "xdg-open has failed ({status})");
            return Ok(None);
        }
        thread::sleep(POLL);
    }
    Ok(Some(child))
}
