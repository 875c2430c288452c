//! Machines that were saved when they had booted, in the cache that `scripts/vm` has.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::parts::Parts;
use super::virtual_machine::{VirtualMachine, description};
use crate::machine::agent::Agent;

/// How often one is booted anew that has not become well.
const ATTEMPTS: usize = 4;

/// For so long its clock is looked at.
const LOOK: Duration = Duration::from_secs(8);

/// A machine that has booted, as it was then.
pub struct Snapshot {
    directory: PathBuf,
}

impl Snapshot {
    /// That of a machine of these parts. The first time it is booted for that, in half a minute,
    /// while others wait.
    pub fn of(parts: &Parts) -> Self {
        // The image is two below the cache.
        let cache = parts.image.ancestors().nth(2).expect("a cache");
        let snapshots = cache.join("snapshots");
        fs::create_dir_all(&snapshots).expect("a directory");
        let name = format!("{}-", parts.kernel);
        let directory = snapshots.join(format!("{name}{:016x}", digest(parts)));
        let lock = File::create(snapshots.join(format!("{}.lock", parts.kernel)));
        let lock = lock.expect("a lock");
        lock.lock().expect("a lock");
        let snapshot = Self { directory };
        if !snapshot.directory.exists() {
            remove_older(&snapshots, &name);
            snapshot.make(parts);
        }
        snapshot
    }

    /// What has been written since the image, as a file of the kind qcow2 upon that.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// Memory, and the state of all else.
    pub fn memory(&self) -> PathBuf {
        self.directory.join("memory")
    }

    fn make(&self, parts: &Parts) {
        let making = Self {
            // Not by its extension, which a version's last number would be.
            directory: PathBuf::from(format!("{}.making", self.directory.display())),
        };
        fs::create_dir(&making.directory).expect("a directory");
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            match making.attempt(parts) {
                Ok(()) => {
                    fs::rename(&making.directory, &self.directory).expect("a directory");
                    return;
                }
                Err(reason) => said = reason,
            }
        }
        panic!("Linux {} does not boot as it should: {said}", parts.kernel);
    }

    fn attempt(&self, parts: &Parts) -> Result<(), String> {
        let status = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(parts.image.join("disk"))
            .arg(self.disk())
            .status();
        assert!(status.expect("qemu-img runs").success(), "no disk");
        let machine = VirtualMachine::booted(parts, &self.disk());
        let because = |reason: &str| format!("{reason}; {}", machine.console());
        let mut agent = Agent::meet(machine.connection())
            .map_err(|error| because(&format!("no agent: {error}")))?;
        if agent.state != "running" {
            return Err(because(&format!("it is {}", agent.state)));
        }
        let pace = pace(&mut agent).ok_or_else(|| because("no clock"))?;
        if !(0.8..1.25).contains(&pace) {
            return Err(because(&format!("its clock goes {pace} times as fast")));
        }
        // The agent is connected all the while.
        machine.save(&self.memory());
        drop(agent);
        Ok(())
    }
}

/// How fast the clock in a machine goes. A kernel measures its processor's clock when it boots, and
/// gets that quite wrong if the emulator has to wait for a processor just then.
fn pace(agent: &mut Agent) -> Option<f64> {
    let mut uptime_secs = || {
        let output = agent.run("cut -d ' ' -f 1 /proc/uptime", LOOK).ok()?;
        output.text.trim().parse::<f64>().ok()
    };
    let (started, before_secs) = (Instant::now(), uptime_secs()?);
    thread::sleep(LOOK);
    let after_secs = uptime_secs()?;
    Some((after_secs - before_secs) / started.elapsed().as_secs_f64())
}

/// What differs wherever a state that was saved cannot be resumed.
fn digest(parts: &Parts) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&parts.image, &parts.linux, &parts.qemu, parts.version()).hash(&mut hasher);
    description().hash(&mut hasher);
    hasher.finish()
}

/// Removes what was saved of machines of other parts, and attempts at that.
fn remove_older(snapshots: &Path, name: &str) {
    for entry in fs::read_dir(snapshots).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(name) {
            fs::remove_dir_all(entry.path()).expect("a directory of ours");
        }
    }
}
