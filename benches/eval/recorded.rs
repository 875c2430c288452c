//! Recorded hosts: false alerts on them as they are, and leaks put into their processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A silence of so long is a gap in a recording, which is no time of the host.
const GAP_SECS: f64 = 1800.0;

/// A recorded host.
#[derive(Debug)]
pub struct Host {
    /// The recording's name.
    pub name: String,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    secs: f64,
    pid: u32,
    comm: String,
    bytes: u64,
}

/// A recorded host with leaks put into its processes.
#[derive(Debug)]
pub struct Leaking {
    /// The host, in which each process has a name of its own, as alerts of one program are one.
    pub host: Host,
    /// The leaks.
    pub leaks: Vec<Leak>,
}

/// A leak that was put into a process.
#[derive(Debug)]
pub struct Leak {
    /// Its process,
    pub pid: u32,
    /// with the name that it goes by.
    pub comm: String,
    /// From when on it leaks, in seconds.
    pub from_secs: f64,
    /// What it holds with that: times in seconds and bytes.
    pub samples: Vec<(f64, u64)>,
}

impl Host {
    /// Reads a recording, packed by xz or not.
    pub fn read(path: &Path) -> Result<Self> {
        let is_packed = path.extension().is_some_and(|extension| extension == "xz");
        let text = match is_packed {
            true => {
                let output = Command::new("xz").arg("-dc").arg(path).output();
                let output = output.context("running xz")?;
                ensure!(
                    output.status.success(),
                    "xz cannot unpack {}",
                    path.display()
                );
                String::from_utf8(output.stdout).context("a recording is text")?
            }
            false => fs::read_to_string(path)?,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut rows = Vec::new();
        for record in reader.deserialize() {
            let (secs, pid, comm, bytes) = record?;
            rows.push(Row {
                secs,
                pid,
                comm,
                bytes,
            });
        }
        Ok(Self {
            name: name.split('.').next().unwrap_or_default().to_owned(),
            rows,
        })
    }

    /// How long it was recorded, without gaps.
    pub fn days(&self) -> f64 {
        let pairs = self.rows.windows(2);
        let steps = pairs.map(|pair| pair[1].secs - pair[0].secs);
        steps.filter(|step| *step < GAP_SECS).sum::<f64>() / 86400.0
    }

    /// What each process held: times in seconds and bytes.
    pub fn series(&self) -> Vec<Vec<(f64, u64)>> {
        self.by_process().into_values().collect()
    }

    /// Puts a leak into each process that is there for long enough, from a random time on.
    pub fn with_leaks(&self, bytes_per_sec: f64, within_secs: f64, seed: u64) -> Leaking {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut begins = BTreeMap::new();
        for ((pid, comm), (first, last)) in self.lives() {
            if last - first >= within_secs + GAP_SECS {
                let from_secs = random.random_range(first..last - within_secs);
                begins.insert((pid, own_name(pid, comm)), from_secs);
            }
        }
        let mut host = Self {
            name: self.name.clone(),
            rows: self.rows.clone(),
        };
        for row in &mut host.rows {
            row.comm = own_name(row.pid, &row.comm);
            if let Some(from_secs) = begins.get(&(row.pid, row.comm.clone())) {
                row.bytes += ((row.secs - from_secs).max(0.0) * bytes_per_sec) as u64;
            }
        }
        let mut by_process = host.by_process();
        let leaks = begins.into_iter().map(|((pid, comm), from_secs)| Leak {
            samples: by_process.remove(&(pid, comm.clone())).unwrap_or_default(),
            pid,
            comm,
            from_secs,
        });
        let leaks = leaks.collect();
        Leaking { host, leaks }
    }

    fn by_process(&self) -> BTreeMap<(u32, String), Vec<(f64, u64)>> {
        let mut by_process: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in &self.rows {
            let process = (row.pid, row.comm.clone());
            by_process
                .entry(process)
                .or_default()
                .push((row.secs, row.bytes));
        }
        by_process
    }

    /// When each process was seen first and last; not those whose number and name came again.
    fn lives(&self) -> BTreeMap<(u32, &str), (f64, f64)> {
        let mut lives = BTreeMap::new();
        let mut again = BTreeSet::new();
        for row in &self.rows {
            let process = (row.pid, row.comm.as_str());
            let life = lives.entry(process).or_insert((row.secs, row.secs));
            if row.secs - life.1 > GAP_SECS {
                again.insert(process);
            }
            life.1 = row.secs;
        }
        lives.retain(|process, _| !again.contains(process));
        lives
    }

    /// As the table that `memleakd replay` takes.
    pub fn table(&self) -> String {
        let mut table = "time_secs,pid,comm,bytes\n".to_owned();
        for row in &self.rows {
            let comm = row.comm.replace('"', "\"\"");
            writeln!(table, "{},{},\"{comm}\",{}", row.secs, row.pid, row.bytes)
                .expect("a String takes any text");
        }
        table
    }
}

/// A name of at most 15 bytes that no other process has.
fn own_name(pid: u32, comm: &str) -> String {
    format!("{pid}-{comm}").chars().take(15).collect()
}
