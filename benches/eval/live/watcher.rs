//! The daemon as it is shipped, watching only the programs that were started for it.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use memleakd::alert::Alert;

use super::running::Running;

/// How many times as fast the daemon's clock runs as that of the default profile.
pub const PACE: f64 = 12.5;

/// The default profile at [`PACE`]. Nothing else on this machine is watched, or gets probes.
const PROFILE: &str = r#"
[scan]
interval = "400ms"

[heap]
watch = "suspects"
ceiling = "12.5%"

[kernel]
watch = "off"

[rule.default]
growth = "6.25MiB/min"
min_growth = "32MiB"
sustained = "48s"
warm_up = "24s"
fast.sustained = "4.8s"
fast.exhausts_within = "144s"

[rule.others]
match.comm = ["*"]
ignore = true

[alert]
max_per_hour = 1000

[journal]
enabled = false

[dbus]
enabled = false
"#;

/// A running `memleakd`. It ends with this, or with the thread that started it.
pub struct Watcher {
    running: Running,
    alerts: PathBuf,
    log: PathBuf,
}

impl Watcher {
    /// Starts it in a directory, with a rule for each program of these names: what shares a rule
    /// and an executable, as an interpreter's programs do, would share an alert.
    pub fn start(directory: &Path, names: &[&str]) -> Result<Self> {
        let mut config = PROFILE.to_owned();
        for name in names {
            write!(config, "\n[rule.{name}]\nmatch.comm = [\"{name}\"]\n")?;
        }
        let config_path = directory.join("memleakd.toml");
        fs::write(&config_path, config).context("writing a configuration")?;
        let alerts = directory.join("alerts.json");
        let log = directory.join("log");
        // If this process is killed, none of its guards runs.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--", env!("CARGO_BIN_EXE_memleakd")])
            .args(["--output", "json", "--config"])
            .arg(&config_path)
            .env("STATE_DIRECTORY", directory.join("state"))
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(File::create(&alerts).context("making a file for alerts")?)
            .stderr(File::create(&log).context("making a log")?);
        Ok(Self {
            running: Running::start(&mut command)?,
            alerts,
            log,
        })
    }

    /// Fails if it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        if self.running.has_ended()? {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            bail!("memleakd has ended and said: {}", log.trim());
        }
        Ok(())
    }

    /// Every change of every alert so far, in the order of time.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        let text = fs::read_to_string(&self.alerts).context("reading alerts")?;
        // What has no end of line yet is still being written.
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let alerts = lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
        alerts.collect()
    }
}
